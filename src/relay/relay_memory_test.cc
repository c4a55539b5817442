// Fail-at-N for memory: the same short conversation with an engine again and again, and each time the next allocation
// of the io thread fails. It may cost the client its connection, and leaves no exchange and no place among the
// connections behind. Short: while an upload waits, a coroutine that Asio loses for want of memory ends the process.
#include <gtest/gtest.h>

#include <csignal>

#include "http/scarcity_test_kit.h"
#include "relay/engine_test_kit.h"
#include "relay/relay.h"
#include "relay/traffic_test_kit.h"

namespace gputach::relay {
namespace {

using namespace http::test;

constexpr int allocations_max = 1000;  // a conversation takes some tens
const std::string post = "POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";

class ScarceProxy {
 public:
  ScarceProxy() {
    ::signal(SIGPIPE, SIG_IGN);  // as the daemon does
    server_->on_io_thread([] { scarcity.watch_this_thread(); });
  }

  std::vector<Answer> talk() {
    Client client(server_->port());
    Incoming incoming(client.descriptor());
    std::vector<Answer> answers;
    for (const std::string& request : {get("/first"), post, get("/second")}) {
      client.send(request);
      answers.push_back(read_answer(incoming));
      if (!answers.back().complete) break;
    }
    return answers;
  }

  // At most one connection to the engine is kept for later.
  bool settled() {
    return eventually([&] {
      return (*server_)->counters().active == 0 && !series(traffic_).contains("active") &&
             !series(traffic_).contains("queued") && engine_.open() <= 1;
    });
  }

  std::string figures() { return series(traffic_); }
  [[nodiscard]] const Engine& engine() const { return engine_; }

 private:
  SystemClock clock_;
  Engine engine_;
  Traffic traffic_;
  Relay relay_{RelaySettings{
                   .address = *parse_upstream_address("http://127.0.0.1:" + std::to_string(engine_.port())),
                   // With one place a place that is lost is noticed.
                   .limits = {.connections_max = 1},
                   .takes = [](const http::Request&) { return true; },
               },
               traffic_, clock_};
  std::unique_ptr<RunningServer> server_ = std::make_unique<RunningServer>([this] {
    http::Settings settings = local_settings();
    settings.carrier = &relay_.carrier();
    return settings;
  }());
};

TEST(RelayMemory, EveryAllocationOfAConversationMayFail) {
  ScarceProxy proxy;
  const std::vector<Answer> expected = proxy.talk();
  ASSERT_EQ(expected.size(), 3U);
  ASSERT_TRUE(proxy.settled());
  int nth = 1;
  for (bool struck = true; struck && nth < allocations_max && !HasFailure(); ++nth) {
    SCOPED_TRACE("allocation " + std::to_string(nth));
    const auto begin = std::chrono::steady_clock::now();
    scarcity.arm(nth);
    const std::vector<Answer> answers = proxy.talk();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, patience) << "the client was left waiting";
    EXPECT_TRUE(proxy.settled()) << "something is left";
    struck = scarcity.disarm();
    for (std::size_t i = 0; i < std::min(answers.size(), expected.size()); ++i) {
      const Answer& got = answers[i];
      const bool begins_right = expected[i].head.starts_with(got.head) && expected[i].body.starts_with(got.body);
      EXPECT_TRUE(got == expected[i] || got.is_error_of_ours() || (!got.complete && begins_right)) << got;
    }
    EXPECT_TRUE(struck || answers == expected);
    EXPECT_TRUE(eventually([&] { return proxy.talk() == expected; }))
        << "the next client is not served: " << proxy.figures();
    EXPECT_TRUE(proxy.settled()) << "something of the next client is left";
  }
  EXPECT_GT(nth, 10);
  EXPECT_LT(nth, allocations_max);
  EXPECT_EQ(proxy.engine().malformed(), 0);
}

}  // namespace
}  // namespace gputach::relay
