// Purpose: private to this folder: a page of the engine that the proxy asks for itself.
// Units: bytes.
// Owns: its connection while it lasts.
// Threads: the io thread.
// Fails: with status 0: nothing that could be read came in time.
#pragma once

#include <string>
#include <string_view>

#include "http/loop_watch.h"
#include "relay/relay_shared.h"

namespace gputach::relay {

inline constexpr std::size_t fetched_bytes_max = 256 * 1024;
inline constexpr Duration fetch_timeout = std::chrono::seconds(2);  // once there is a connection

struct Fetched {
  int status = 0;
  std::string body;
};

net::Awaitable<> fetch(RelayShared& shared, net::Executor executor, http::LoopWatch& watch, const std::string& path,
                       Fetched& fetched);

}  // namespace gputach::relay
