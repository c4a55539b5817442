// Purpose: carries every request that is not our own to the engine, and its answer back.
// Units: in the types of RelayLimits.
// Owns: the connections to the engine. Must outlive the server that carries through it.
// Threads: made anywhere; then the io thread.
// Fails: requests, with a gateway error each.
// Source: RFC 9110 section 3.7 (gateways). uvicorn closes an idle connection after 5 s (timeout_keep_alive).
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "base/clock.h"
#include "http/message.h"
#include "http/tls_client.h"
#include "relay/path_rules.h"
#include "relay/traffic.h"
#include "relay/upstream_address.h"

namespace gputach::http {
class Carrier;
}

namespace gputach::relay {

struct RelayLimits {
  std::size_t connections_max = 1024;                       // to the engine
  std::size_t queue_max = 1024;                             // requests that wait for one of them
  Duration queue_wait_max = std::chrono::seconds(10);       // then 503
  Duration connect_timeout = std::chrono::seconds(2);       // then 504
  Duration reuse_within = std::chrono::milliseconds(2500);  // an idle connection is used again
  std::size_t head_bytes_max = 48 * 1024;                   // of an answer
  Duration body_timeout = std::chrono::seconds(60);         // a client that sends nothing in the middle of its body
};

struct RelaySettings {
  UpstreamAddress address;
  std::unique_ptr<http::TlsConnector> tls{};  // where the address has Kind::tls
  RelayLimits limits{};
  PathRules rules{};
  std::function<bool(const http::Request&)> takes{};  // which requests are the engine's
};

class Relay {
 public:
  Relay(RelaySettings settings, Traffic& traffic, const Clock& clock);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  [[nodiscard]] http::Carrier& carrier();

  // The engine's own word on its health (GET /health): 200 or not. Answered on the io thread, within a few seconds.
  void ask_health(std::move_only_function<void(bool healthy)> answer);

  // No new work: it is answered 503. `when_empty` is called once, as soon as nothing is on its way any more.
  void drain(std::function<void()> when_empty);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gputach::relay
