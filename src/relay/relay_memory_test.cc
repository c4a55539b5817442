// Fail-at-N for memory: the same short conversation with an engine again and again, and each time the next allocation
// of the io thread fails. It may cost the client its connection, and leaves no exchange and no place among the
// connections behind. Short: while an upload waits, a coroutine that Asio loses for want of memory ends the process.
#include <gtest/gtest.h>

#include "http/scarcity_test_kit.h"
#include "relay/proxy_test_kit.h"

namespace gputach::relay {
namespace {

using namespace http::test;

constexpr int allocations_max = 1000;  // a conversation takes some tens
const std::string post = "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";

std::vector<Answer> talk(ProxyUnderTest& proxy) {
  Client client(proxy.server().port());
  Incoming incoming(client.descriptor());
  std::vector<Answer> answers;
  for (const std::string& request : {get("/first"), post, get("/second")}) {
    client.send(request);
    answers.push_back(read_answer(incoming));
    if (!answers.back().complete) break;
  }
  return answers;
}

TEST(RelayMemory, EveryAllocationOfAConversationMayFail) {
  ProxyUnderTest proxy({.connections_max = 1});  // a place that is lost is noticed
  proxy.server().on_io_thread([] { scarcity.watch_this_thread(); });
  const auto settled = [&] { return eventually([&] { return proxy.is_settled(); }); };
  const std::vector<Answer> expected = talk(proxy);
  ASSERT_EQ(expected.size(), 3U);
  ASSERT_TRUE(settled());
  int nth = 1;
  for (bool struck = true; struck && nth < allocations_max && !HasFailure(); ++nth) {
    SCOPED_TRACE("allocation " + std::to_string(nth));
    const auto begin = std::chrono::steady_clock::now();
    scarcity.arm(nth);
    const std::vector<Answer> answers = talk(proxy);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, patience) << "the client was left waiting";
    EXPECT_TRUE(settled()) << "something is left";
    struck = scarcity.disarm();
    for (std::size_t i = 0; i < std::min(answers.size(), expected.size()); ++i) {
      const Answer& got = answers[i];
      const bool begins_right = expected[i].head.starts_with(got.head) && expected[i].body.starts_with(got.body);
      EXPECT_TRUE(got == expected[i] || got.is_error_of_ours() || (!got.complete && begins_right)) << got;
    }
    EXPECT_TRUE(struck || answers == expected);
    EXPECT_TRUE(eventually([&] { return talk(proxy) == expected; }))
        << "the next client is not served: " << proxy.figures();
    EXPECT_TRUE(settled()) << "something of the next client is left";
  }
  EXPECT_GT(nth, 10);
  EXPECT_LT(nth, allocations_max);
  EXPECT_EQ(proxy.engine().malformed(), 0);
}

}  // namespace
}  // namespace gputach::relay
