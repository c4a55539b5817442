// Purpose: the machine's memory, which is the GPU's memory too on parts where both share one (GB10).
// Units: bytes.
// Threads: any.
// Fails: with nothing when the file cannot be read or does not say both figures.
// Source: proc(5); MemAvailable exists since Linux 3.14.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace gputach::nvml {

struct SystemMemory {
  std::uint64_t total = 0;
  std::uint64_t used = 0;  // MemTotal - MemAvailable: what a new program could not have

  bool operator==(const SystemMemory&) const = default;
};

// Pure. Lines are "Name:   number kB".
[[nodiscard]] std::optional<SystemMemory> parse_meminfo(std::string_view text);

[[nodiscard]] std::optional<SystemMemory> read_meminfo(const char* path);

}  // namespace gputach::nvml
