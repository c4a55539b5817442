// Purpose: NVIDIA's driver library as a DeviceReader: handles, identities, GPUs that get lost and come back.
// Units: those of the catalogue.
// Owns: the loaded library and one slot per device. The clock must outlive it.
// Threads: as DeviceReader says. Slots share nothing but atomics, so one that hangs holds up no other.
// Fails: open() with "NVML not initialized" or "no GPUs found", for clients; why() tells an operator more.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "sources/device_reader.h"
#include "sources/nvml/library.h"
#include "sources/nvml/readers.h"

namespace gputach {

// The devices to show: those with one of these indices or UUIDs; all of them when both are empty.
struct DeviceSelection {
  std::vector<unsigned> indices;
  std::vector<std::string> uuids;

  [[nodiscard]] bool all() const { return indices.empty() && uuids.empty(); }
  bool operator==(const DeviceSelection&) const = default;
};

struct NvmlOptions {
  std::string library_path;  // empty: where drivers put it
  DeviceSelection devices;
  std::string meminfo_path = "/proc/meminfo";  // for parts that share the machine's memory
};

class NvmlReader final : public DeviceReader {
 public:
  NvmlReader(NvmlOptions options, const Clock& clock);
  // With a library that is already there.
  NvmlReader(nvml::Library library, NvmlOptions options, const Clock& clock);

  [[nodiscard]] Result<unsigned> open() override;
  [[nodiscard]] bool prepare_device(unsigned slot, Entity& out) override;
  void read_device(unsigned slot, Entity& out) override;
  [[nodiscard]] bool needs_restart() const override;
  [[nodiscard]] bool simulated() const override;

  [[nodiscard]] const std::string& why() const override { return why_; }

 private:
  // A device without a handle is down: `condition` and `fault` say how, and from `retry_at` on it is fetched again.
  struct Slot {
    nvml::Device handle = nullptr;
    std::string name;
    std::string uuid;
    Status condition = Status::not_read;
    std::string fault;
    nvml::DeviceState calls;
    Duration pause{};
    Instant retry_at = Instant::min();
    // What other threads may see.
    std::atomic<bool> shown = false;
    std::atomic<bool> down = false;            // it has no handle
    std::atomic<bool> gone = false;            // its handle is refused, or its GPU is not found
    std::atomic<std::uint64_t> uuid_hash = 0;  // 0: not known
  };

  Result<unsigned> fail_open(ErrorCode code, std::string why);
  void fetch(unsigned index);
  [[nodiscard]] nvml::Return fetch_text(nvml::DeviceGetTextFn* get, nvml::Device device, std::string& out) const;
  void take_down(Slot& slot, nvml::Return code, Status condition, std::string fault);
  [[nodiscard]] bool selected(unsigned index, std::string_view uuid) const;
  // The slot of that GPU, when it is another one than `index`.
  [[nodiscard]] const Slot* shown_elsewhere(unsigned index, std::uint64_t uuid_hash) const;

  NvmlOptions options_;
  const Clock& clock_;
  std::optional<nvml::Library> library_;
  std::vector<Slot> slots_;
  std::string why_;
  std::atomic<bool> restart_ = false;
};

}  // namespace gputach
