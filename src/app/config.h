// Purpose: everything a user may set, as plain values. flags.cc fills it.
// Units: in the types.
// Owns: values only.
// Threads: read-only once the daemon is built; what a reload changes is a new one.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/token_files.h"
#include "base/clock.h"
#include "base/log.h"
#include "http/server.h"
#include "http/tls_client.h"
#include "relay/relay.h"
#include "routes/site.h"
#include "sources/nvml/nvml_source.h"

namespace gputach {

struct Config {
  std::vector<std::string> listen;
  std::vector<std::string> private_listen;
  http::TlsFiles tls;
  http::Limits limits;
  std::vector<TokenFile> token_files;
  std::string access_log;  // off, stderr or a file
  std::optional<relay::UpstreamAddress> upstream;
  std::string upstream_ca;  // a file; empty: whom the system trusts
  http::TlsVerify upstream_tls_verify{};
  relay::RelayLimits relay_limits;
  ReadyRequires ready_requires;
  std::string allow_paths;
  std::string deny_paths;
  Duration drain_timeout{};
  std::string cors_origin;
  Duration cache_ttl{};
  Duration nvml_timeout{};
  std::string nvml_library;
  DeviceSelection devices;
  LogLevel log_level{};
  std::string config_file;
};

}  // namespace gputach
