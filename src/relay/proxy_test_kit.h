// Purpose: for tests: a server that forwards everything to an engine, and whether anything of that is still on its way.
// Units: none.
// Owns: engine, traffic, relay and the running server, in the order in which they need each other.
// Threads: the server has its own; everything here is called by the test's.
// Fails: never.
#pragma once

#include <csignal>
#include <memory>
#include <string>

#include "http/server_test_kit.h"
#include "relay/engine_test_kit.h"
#include "relay/relay.h"
#include "relay/traffic_test_kit.h"

namespace gputach::relay {

class ProxyUnderTest {
 public:
  explicit ProxyUnderTest(const RelayLimits& limits = {}) : relay_(to(engine_, limits), traffic_, clock_) {
    ::signal(SIGPIPE, SIG_IGN);  // as the daemon does
    http::Settings settings = http::test::local_settings();
    settings.carrier = &relay_.carrier();
    server_ = std::make_unique<http::test::RunningServer>(std::move(settings));
  }

  [[nodiscard]] http::test::RunningServer& server() { return *server_; }
  [[nodiscard]] Engine& engine() { return engine_; }
  [[nodiscard]] std::string figures() const { return series(traffic_); }

  // No exchange, and at most one connection to the engine, which is kept for later.
  [[nodiscard]] bool is_settled() {
    return (*server_)->counters().active == 0 && !figures().contains("active") && !figures().contains("queued") &&
           engine_.open() <= 1;
  }

 private:
  static RelaySettings to(const Engine& engine, const RelayLimits& limits) {
    return {.address = *parse_upstream_address("http://127.0.0.1:" + std::to_string(engine.port())),
            .limits = limits,
            .takes = [](const http::Request&) { return true; }};
  }

  SystemClock clock_;
  Engine engine_;
  Traffic traffic_;
  Relay relay_;
  std::unique_ptr<http::test::RunningServer> server_;
};

}  // namespace gputach::relay
