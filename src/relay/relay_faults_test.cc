// Fail-at-N for the proxy: the same conversation with an engine again and again, and each time the next system call of
// the io thread fails, or moves one byte only; those towards the client, those towards the engine, and connecting to
// it. Whatever fails, an answer is right, or the gateway says that it failed, or it is visibly incomplete; nothing is
// sent twice that must not be; the next client is served, and no exchange and no connection is left.
#include <gtest/gtest.h>

#include "http/conversation_test_kit.h"
#include "http/faults_test_kit.h"
#include "relay/proxy_test_kit.h"

namespace gputach::relay {
namespace {

using namespace http::test;

constexpr int calls_max = 2000;  // a conversation takes about a hundred

const std::vector<Fault>& all_faults() {
  using enum Call;
  using enum Effect;
  static const std::vector<Fault> all = {
      {"one byte", 0, {receive, Call::send}, none},
      {"EAGAIN", EAGAIN, {receive, Call::send}, none},
      {"EINTR", EINTR, {receive}, none},
      {"ECONNRESET", ECONNRESET, {receive, Call::send}, may_refuse},
      {"EPIPE", EPIPE, {Call::send}, may_refuse},
      {"ENOBUFS", ENOBUFS, {receive, Call::send}, may_refuse},
      {"ENOMEM", ENOMEM, {receive, Call::send, Call::accept, watch, Call::connect}, may_refuse},
      {"ENOSPC", ENOSPC, {watch}, may_refuse},
      {"ECONNREFUSED", ECONNREFUSED, {Call::connect}, may_refuse},
      {"ETIMEDOUT", ETIMEDOUT, {receive, Call::connect}, may_refuse},
      {"EADDRNOTAVAIL", EADDRNOTAVAIL, {Call::connect}, may_refuse},
  };
  return all;
}

class FaultyProxy {
 public:
  FaultyProxy() {
    proxy_.server().on_io_thread([] { faults.watch_this_thread(); });
  }

  std::vector<Answer> talk() {
    Client client(proxy_.server().port());
    return converse_with_engine(client, ++conversations_);
  }

  // What is right, and then no part of a test: the names of models have been asked for, once in a minute.
  std::vector<Answer> talk_undisturbed() {
    std::vector<Answer> answers = talk();
    EXPECT_TRUE(eventually([&] { return proxy_.engine().asked("/v1/models") == 1; }));
    EXPECT_TRUE(settled());
    descriptors_ = open_descriptors();
    return answers;
  }

  // True when the fault struck.
  bool holds_against(const Fault& fault, int nth, const std::vector<Answer>& expected) {
    SCOPED_TRACE(std::string(fault.name) + " at call " + std::to_string(nth));
    faults.arm(fault, nth);
    const auto begin = std::chrono::steady_clock::now();
    const std::vector<Answer> answers = talk();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, patience) << "the client was left waiting: " << answers.back();
    EXPECT_TRUE(settled()) << "something is left: " << proxy_.figures();
    const bool struck = faults.disarm();
    judge(answers, expected, struck && fault.effect != Effect::none);
    EXPECT_LE(proxy_.engine().times_of_one_request_max(), 1) << "a POST came twice";
    EXPECT_EQ(talk(), expected) << "the next client";
    EXPECT_TRUE(settled()) << "something of the next client is left: " << proxy_.figures();
    EXPECT_EQ(proxy_.engine().malformed(), 0);
    return struck;
  }

 private:
  static void judge(const std::vector<Answer>& answers, const std::vector<Answer>& expected, bool may_fail) {
    ASSERT_LE(answers.size(), expected.size());
    for (std::size_t i = 0; i < answers.size(); ++i) {
      if (answers[i] == expected[i]) continue;
      const Answer& got = answers[i];
      EXPECT_TRUE(may_fail) << "answer " << i << ": " << got;
      const bool begins_right = expected[i].head.starts_with(got.head) && expected[i].body.starts_with(got.body);
      EXPECT_TRUE(got.is_error_of_ours() || (!got.complete && begins_right)) << "answer " << i << ": " << got;
    }
    EXPECT_TRUE(may_fail || answers.size() == expected.size()) << "there are " << answers.size() << " answers";
  }

  // The connection that is kept for later is a descriptor here, and one of the engine's.
  bool settled() {
    return eventually(
        [&] { return proxy_.is_settled() && (descriptors_ == 0 || open_descriptors() <= descriptors_ + 2); });
  }

  ProxyUnderTest proxy_;
  int conversations_ = 0;
  long descriptors_ = 0;
};

// Nothing of it was written, and it may be asked twice: a connection that has ended at that moment costs nobody
// anything.
TEST(RelayRetry, AGetOnAConnectionThatHasJustEndedIsSentOnAnother) {
  ProxyUnderTest proxy;
  proxy.server().on_io_thread([] { faults.watch_this_thread(); });
  Client client(proxy.server().port());
  Incoming incoming(client.descriptor());
  const auto ask = [&](const std::string& request) {
    client.send(request);
    return read_answer(incoming);
  };
  ASSERT_TRUE(ask(get("/first")).complete);
  ASSERT_TRUE(eventually([&] { return proxy.engine().asked("/v1/models") == 1 && proxy.engine().open() == 1; }));
  const Fault reset{"ECONNRESET", ECONNRESET, {Call::send}, Effect::none};
  faults.arm(reset, 1);
  const Answer again = ask(get("/second"));
  EXPECT_TRUE(faults.disarm()) << "it never struck";
  EXPECT_TRUE(again.complete && again.head.starts_with("HTTP/1.1 200 ")) << again;
  EXPECT_EQ(proxy.engine().asked("/second"), 1);
  // A POST is not.
  faults.arm(reset, 1);
  const Answer refused = ask("POST /post HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
  EXPECT_TRUE(faults.disarm()) << "it never struck";
  EXPECT_TRUE(refused.is_error_of_ours()) << refused;
  EXPECT_EQ(proxy.engine().asked("/post"), 0);
}

// What the test below relies on.
TEST(RelayRetry, ARequestThatComesTwiceIsSeenByTheEngine) {
  ProxyUnderTest proxy;
  for (int i = 1; i <= 2; ++i) {
    Client client(proxy.server().port());
    ASSERT_EQ(converse_with_engine(client, 7).size(), answers_of_a_conversation);
    EXPECT_EQ(proxy.engine().times_of_one_request_max(), i);
  }
}

class RelayFaults : public testing::TestWithParam<Fault> {};

TEST_P(RelayFaults, EveryCallOfAConversationWithAnEngineMayFail) {
  FaultyProxy proxy;
  const std::vector<Answer> expected = proxy.talk_undisturbed();
  ASSERT_EQ(expected.size(), answers_of_a_conversation);
  for (const Answer& answer : expected) EXPECT_TRUE(answer.complete) << answer;
  int nth = 1;
  while (nth < calls_max && !HasFailure() && proxy.holds_against(GetParam(), nth, expected)) ++nth;
  EXPECT_GT(nth, 1) << "it never struck";
  EXPECT_LT(nth, calls_max);
}

INSTANTIATE_TEST_SUITE_P(All, RelayFaults, testing::ValuesIn(all_faults()), [](const auto& instance) {
  std::string name = instance.param.name;
  std::ranges::replace(name, ' ', '_');
  return name;
});

}  // namespace
}  // namespace gputach::relay
