// Purpose: everything a user may set, as plain values. flags.cc fills it.
// Units: in the types.
// Owns: values only.
// Threads: read-only once the daemon is built.
#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/log.h"
#include "sources/nvml/nvml_source.h"

namespace gputach {

struct Config {
  std::vector<std::string> listen;
  std::string nvml_library;
  DeviceSelection devices;
  Duration nvml_timeout{};
  Duration cache_ttl{};
  std::string cors_origin;
  unsigned connections_max = 0;
  LogLevel log_level{};
};

}  // namespace gputach
