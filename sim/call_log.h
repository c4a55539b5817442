// Purpose: how often the driver was called, for tests that hold a client to its promise of few calls.
// Units: time stamps are CLOCK_MONOTONIC nanoseconds, the same in every process of one machine.
// Owns: the log file's descriptor.
// Threads: any, at the same time; one line is one write(2) to a file opened with O_APPEND, so processes may share it.
// Fails: a log that cannot be opened is said on standard error; calls are counted without it.
#pragma once

#include <array>
#include <atomic>
#include <optional>

#include "symbols.h"

namespace gputach::sim {

class CallLog {
 public:
  // Null: count only.
  explicit CallLog(const char* path);
  ~CallLog();
  CallLog(const CallLog&) = delete;
  CallLog& operator=(const CallLog&) = delete;

  // "1234567890 nvmlDeviceGetName 3\n"; "-" where the call names no valid device.
  void record(Symbol symbol, std::optional<unsigned> gpu);

  [[nodiscard]] unsigned long long calls(Symbol symbol) const { return counts_[index_of(symbol)]; }

 private:
  std::array<std::atomic<unsigned long long>, symbol_names.size()> counts_{};
  int fd_ = -1;
};

}  // namespace gputach::sim
