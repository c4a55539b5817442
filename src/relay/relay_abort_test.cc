// The server's time is up while an engine is silent: nothing of the engine's may keep run() from returning.
#include <gtest/gtest.h>

#include <csignal>

#include "relay/engine_test_kit.h"
#include "relay/relay.h"
#include "relay/traffic_test_kit.h"

namespace gputach::relay {
namespace {

using namespace http::test;

constexpr std::size_t engine_connections_max = 2;

class RelayAbort : public testing::Test {
 protected:
  RelayAbort() {
    ::signal(SIGPIPE, SIG_IGN);  // as the daemon does
  }

  static RelaySettings to(const Engine& engine) {
    RelaySettings settings{
        .address = *parse_upstream_address("http://127.0.0.1:" + std::to_string(engine.port())),
        .takes = [](const http::Request&) { return true; },
    };
    settings.limits.connections_max = engine_connections_max;
    return settings;
  }

  bool shows(std::string_view line) {
    return eventually([&] { return series(traffic_).contains(line); });
  }
  // What the io thread had to do by now it has done.
  void settle() {
    server_.on_io_thread([] {});
  }

  void expect_it_ends() {
    const auto begin = std::chrono::steady_clock::now();
    server_.stop(20ms);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, patience / 2);
    EXPECT_FALSE(series(traffic_).contains("active")) << series(traffic_);
    EXPECT_FALSE(series(traffic_).contains("queued")) << series(traffic_);
  }

  SystemClock clock_;
  Engine engine_;
  Traffic traffic_;
  Relay relay_{to(engine_), traffic_, clock_};
  RunningServer server_{[this] {
    http::Settings settings = local_settings();
    settings.carrier = &relay_.carrier();
    return settings;
  }()};
};

TEST_F(RelayAbort, EndsARequestThatIsNotAnswered) {
  Client client(server_.port());
  client.send(get("/silent"));
  ASSERT_TRUE(eventually([&] { return engine_.asked("/silent") == 1; }));
  expect_it_ends();
}

// Nothing is read from such a client any more, and so it does not see that its connection was closed.
TEST_F(RelayAbort, EndsATunnelWhoseClientHasNothingMoreToSay) {
  Client client(server_.port());
  client.send(get("/silent-socket", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  ASSERT_TRUE(client.response().starts_with("HTTP/1.1 101 "));
  client.shut_down_sending();
  ASSERT_TRUE(eventually([&] { return engine_.half_closed() == 1; }));
  settle();
  expect_it_ends();
}

TEST_F(RelayAbort, EndsRequestsThatWaitForAConnection) {
  std::list<Client> clients;
  for (std::size_t i = 0; i < engine_connections_max; ++i) clients.emplace_back(server_.port()).send(get("/silent"));
  ASSERT_TRUE(eventually([&] { return engine_.asked("/silent") == engine_connections_max; }));
  clients.emplace_back(server_.port()).send(get("/queued"));
  ASSERT_TRUE(shows("queued"));
  expect_it_ends();
  EXPECT_EQ(engine_.asked("/queued"), 0);
}

}  // namespace
}  // namespace gputach::relay
