// Purpose: carries every request that is not our own to the engine, and its answer back.
// Units: in the types of RelayLimits.
// Owns: the connections to the engine. Must outlive the server that carries through it.
// Threads: the io thread.
// Fails: requests, with a gateway error each.
// Source: RFC 9110 section 3.7 (gateways).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "http/message.h"

namespace gputach::http {
class Carrier;
}

namespace gputach::relay {

struct RelayLimits;
struct UpstreamAddress;

struct RelaySettings {
  const UpstreamAddress& address;
  const RelayLimits& limits;
  std::function<bool(const http::Request&)> takes;  // which requests are the engine's
};

[[nodiscard]] std::unique_ptr<http::Carrier> make_relay(const RelaySettings& settings, const Clock& clock);

}  // namespace gputach::relay
