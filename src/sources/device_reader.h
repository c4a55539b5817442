// Purpose: what the worker process drives: a driver library seen as "open it, then read one device at a time".
// Owns: the library and its handles.
// Threads: open() on one thread, once. read_device() for *different* devices may run at the same time on different
//          threads (a call that overruns keeps its thread while the others are read); never twice for one device.
// Fails: open() with not_initialized or no_gpus. read_device() never fails: the entity says what is wrong.
#pragma once

#include <string>

#include "base/result.h"
#include "model/entity.h"

namespace gputach {

class DeviceReader {
 public:
  virtual ~DeviceReader() = default;

  // Loads and starts the driver library; may block for long, or for ever. Gives the number of device slots,
  // at least 1 and at most limits::gpus_max.
  [[nodiscard]] virtual Result<unsigned> open() = 0;

  // First call for a slot fetches the handle, which initialises the GPU (seconds), and its identity.
  // Returns false when this device is not to be shown (not selected); such a slot is never asked again.
  [[nodiscard]] virtual bool prepare_device(unsigned slot, Entity& out) = 0;

  // Fills identity, condition and all readings of one device.
  virtual void read_device(unsigned slot, Entity& out) = 0;

  // A fresh process is the only cure for what the last reads returned (driver unloaded, library and module differ).
  [[nodiscard]] virtual bool needs_restart() const = 0;

  // For the log: why open() failed, or what it found.
  [[nodiscard]] virtual const std::string& why() const = 0;

  // The library says of itself that its figures are invented.
  [[nodiscard]] virtual bool simulated() const = 0;
};

}  // namespace gputach
