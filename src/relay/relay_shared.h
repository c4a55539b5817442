// Purpose: private to this folder: what the exchanges of one io thread have in common.
// Units: bytes, Durations.
// Owns: the pool of connections to the engine, and scratch that is used between two waits only.
// Threads: the io thread.
// Fails: never.
#pragma once

#include <list>
#include <string>

#include "base/clock.h"
#include "http/response_head.h"
#include "relay/pool.h"
#include "relay/upstream_head.h"

namespace gputach::relay {

class Exchange;

struct RelayLimits {
  PoolLimits pool{};
  std::size_t head_bytes_max = 65536;                // of an answer
  Duration body_timeout = std::chrono::seconds(60);  // a client that sends nothing in the middle of its body
  Duration write_timeout = std::chrono::seconds(60);  // a client that takes no byte
};

struct RelayShared {
  RelayShared(UpstreamAddress address, const RelayLimits& limits_in, std::string pseudonym_in, const Clock& clock_in)
      : pool(std::move(address), limits_in.pool, clock_in),
        limits(limits_in),
        pseudonym(std::move(pseudonym_in)),
        clock(clock_in) {}

  Pool pool;
  const RelayLimits limits;
  const std::string pseudonym;
  const Clock& clock;
  std::list<Exchange*> exchanges;
  UpstreamHead head;
  http::DateLine date;
};

}  // namespace gputach::relay
