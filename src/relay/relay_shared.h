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
#include "relay/path_rules.h"
#include "relay/pool.h"
#include "relay/relay.h"
#include "relay/traffic.h"
#include "relay/upstream_head.h"

namespace gputach::relay {

class Exchange;

// Held of a body in one direction while the other side takes it.
inline constexpr std::size_t window_bytes_max = 64 * 1024;
// What we add to a head, in most cases: it need not grow then.
inline constexpr std::size_t head_bytes_added = 512;

struct RelayShared {
  RelayShared(RelaySettings settings, std::string pseudonym_in, Traffic& traffic_in, const Clock& clock_in)
      : pool(std::move(settings.address), std::move(settings.tls), settings.limits, traffic_in, clock_in),
        limits(settings.limits),
        rules(std::move(settings.rules)),
        pseudonym(std::move(pseudonym_in)),
        traffic(traffic_in),
        clock(clock_in) {}

  Pool pool;
  const RelayLimits limits;
  const PathRules rules;
  const std::string pseudonym;
  Traffic& traffic;
  const Clock& clock;
  std::list<Exchange*> exchanges;
  bool draining = false;
  UpstreamHead head;
  http::DateLine date;
};

}  // namespace gputach::relay
