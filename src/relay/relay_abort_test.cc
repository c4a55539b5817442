// The server's time is up while an engine is silent: nothing of the engine's may keep run() from returning.
#include <gtest/gtest.h>

#include "relay/proxy_test_kit.h"

namespace gputach::relay {
namespace {

using namespace http::test;

constexpr std::size_t engine_connections_max = 2;

class RelayAbort : public testing::Test {
 protected:
  bool shows(std::string_view line) {
    return eventually([&] { return proxy_.figures().contains(line); });
  }
  // What the io thread had to do by now it has done.
  void settle() {
    proxy_.server().on_io_thread([] {});
  }

  void expect_it_ends() {
    const auto begin = std::chrono::steady_clock::now();
    proxy_.server().stop(20ms);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, patience / 2);
    EXPECT_FALSE(proxy_.figures().contains("active")) << proxy_.figures();
    EXPECT_FALSE(proxy_.figures().contains("queued")) << proxy_.figures();
  }

  ProxyUnderTest proxy_{{.connections_max = engine_connections_max}};
};

TEST_F(RelayAbort, EndsARequestThatIsNotAnswered) {
  Client client(proxy_.server().port());
  client.send(get("/silent"));
  ASSERT_TRUE(eventually([&] { return proxy_.engine().asked("/silent") == 1; }));
  expect_it_ends();
}

// Nothing is read from such a client any more, and so it does not see that its connection was closed.
TEST_F(RelayAbort, EndsATunnelWhoseClientHasNothingMoreToSay) {
  Client client(proxy_.server().port());
  client.send(get("/silent-socket", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  ASSERT_TRUE(client.response().starts_with("HTTP/1.1 101 "));
  client.shut_down_sending();
  ASSERT_TRUE(eventually([&] { return proxy_.engine().half_closed() == 1; }));
  settle();
  expect_it_ends();
}

TEST_F(RelayAbort, EndsRequestsThatWaitForAConnection) {
  std::list<Client> clients;
  for (std::size_t i = 0; i < engine_connections_max; ++i)
    clients.emplace_back(proxy_.server().port()).send(get("/silent"));
  ASSERT_TRUE(eventually([&] { return proxy_.engine().asked("/silent") == engine_connections_max; }));
  clients.emplace_back(proxy_.server().port()).send(get("/queued"));
  ASSERT_TRUE(shows("queued"));
  expect_it_ends();
  EXPECT_EQ(proxy_.engine().asked("/queued"), 0);
}

}  // namespace
}  // namespace gputach::relay
