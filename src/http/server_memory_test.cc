// Fail-at-N for memory: the same conversation again and again, and each time the next allocation of the io thread
// fails. It may cost the client its connection and nobody else anything.
#include <gtest/gtest.h>

#include "http/conversation_test_kit.h"
#include "http/scarcity_test_kit.h"

namespace gputach::http {
namespace {

using namespace test;

constexpr int allocations_max = 2000;  // a conversation takes about a hundred

// With others beside it: what one connection gives back does not serve the next at once.
std::string talk(std::uint16_t port) {
  std::vector<Client> others;
  for (int i = 0; i < 3; ++i) {
    others.emplace_back(port);
    others.back().send(get("/other"));
    others.back().response();
  }
  Client client(port);
  return converse(client, client.descriptor());
}

TEST(ServerMemory, EveryAllocationOfAConversationMayFail) {
  RunningServer server(local_settings(), conversation_handler());
  server.on_io_thread([] { scarcity.watch_this_thread(); });
  const auto settled = [&, before = open_descriptors()] {
    return eventually([&] { return server->counters().active == 0 && open_descriptors() == before; });
  };
  const std::string expected = talk(server.port());
  ASSERT_TRUE(settled());
  ASSERT_GT(expected.size(), large_bytes);
  int nth = 1;
  for (bool struck = true; struck && nth < allocations_max && !HasFailure(); ++nth) {
    SCOPED_TRACE("allocation " + std::to_string(nth));
    const auto begin = std::chrono::steady_clock::now();
    scarcity.arm(nth);
    const std::string received = talk(server.port());
    EXPECT_LT(std::chrono::steady_clock::now() - begin, patience) << "the client was left waiting";
    EXPECT_TRUE(settled()) << "a connection or a descriptor is left";
    struck = scarcity.disarm();
    const bool refused = received.starts_with("HTTP/1.1 503 ") || received.contains("HTTP/1.1 500 ");
    EXPECT_TRUE(expected.starts_with(received) || refused) << "wrong bytes: " << received.substr(0, 300);
    EXPECT_TRUE(struck || received == expected) << "got " << received.size() << " bytes";
    // For a moment it may say 503, as it does when memory has run out for longer.
    EXPECT_TRUE(eventually([&] { return talk(server.port()) == expected; })) << "the next client is not served";
    EXPECT_TRUE(settled()) << "a connection or a descriptor of the next client is left";
  }
  EXPECT_GT(nth, 10);
  EXPECT_LT(nth, allocations_max);
  // What would stay away for good.
  server.on_io_thread([&] {
    Limits limits;
    limits.idle_timeout = 20ms;
    limits.sweep_period = 10ms;
    server->set_limits(limits);
  });
  Client idle(server.port());
  EXPECT_EQ(idle.until_closed(), "");
}

}  // namespace
}  // namespace gputach::http
