// Fail-at-N: the same conversation again and again, and each time the next of the server's system calls fails, or moves
// one byte only. Whatever fails, a client gets right bytes or the end of its connection, the next client is served, and
// no connection is left.
#include <gtest/gtest.h>

#include <cerrno>
#include <csignal>

#include "http/conversation_test_kit.h"
#include "http/faults_test_kit.h"
#include "http/tls_test_kit.h"

namespace gputach::http {
namespace {

using namespace test;

constexpr int calls_max = 2000;  // a conversation takes about a hundred

const std::vector<Fault>& all_faults() {
  using enum Call;
  using enum Effect;
  static const std::vector<Fault> all = {
      {"one byte", 0, {receive, Call::send}, none},
      {"EAGAIN", EAGAIN, {receive, Call::send, Call::accept}, none},
      {"EINTR", EINTR, {receive, Call::accept}, none},
      {"EINTR of a send", EINTR, {Call::send}, costs_the_connection},  // not seen with a socket that never waits
      {"ECONNRESET", ECONNRESET, {receive, Call::send}, costs_the_connection},
      {"EPIPE", EPIPE, {Call::send}, costs_the_connection},
      {"ENOBUFS", ENOBUFS, {receive, Call::send, Call::accept}, may_refuse},
      {"ENOMEM", ENOMEM, {receive, Call::send, Call::accept, watch}, may_refuse},
      {"ENOSPC", ENOSPC, {watch}, costs_the_connection},
      {"EMFILE", EMFILE, {Call::accept}, may_refuse},
      {"ECONNABORTED", ECONNABORTED, {Call::accept}, none},
  };
  return all;
}

class FaultyServer {
 public:
  explicit FaultyServer(Settings settings) : server_(std::move(settings), conversation_handler()) {
    ::signal(SIGPIPE, SIG_IGN);  // as the daemon does: OpenSSL writes without MSG_NOSIGNAL
    server_.on_io_thread([] { faults.watch_this_thread(); });
  }
  std::uint16_t port() { return server_.port(); }

  // True when the fault struck. `talk` opens a connection, has the conversation and gives what came back.
  bool holds_against(const Fault& fault, int nth, const std::string& expected,
                     const std::function<std::string()>& talk) {
    SCOPED_TRACE(std::string(fault.name) + " at call " + std::to_string(nth));
    const auto begin = std::chrono::steady_clock::now();
    faults.arm(fault, nth);
    const std::string received = talk();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, patience) << "the client was left waiting";
    EXPECT_TRUE(settled()) << "a connection or a descriptor is left";
    const bool struck = faults.disarm();
    const bool refused = fault.effect == Effect::may_refuse && received.starts_with("HTTP/1.1 503 ");
    const bool complete = received == expected;
    EXPECT_TRUE(complete || refused || expected.starts_with(received)) << "wrong bytes: " << received.substr(0, 300);
    EXPECT_TRUE(complete || (struck && fault.effect != Effect::none)) << "got " << received.size() << " bytes";
    const std::string again = talk();
    EXPECT_TRUE(again == expected) << "the next client got " << again.size() << " bytes";
    EXPECT_TRUE(settled()) << "a connection of the next client is left";
    return struck;
  }

 private:
  bool settled() {
    return eventually([&] { return server_->counters().active == 0 && open_descriptors() == descriptors_; });
  }

  RunningServer server_;
  long descriptors_ = open_descriptors();
};

void hold_against_all(const Settings& settings, const std::function<std::string(std::uint16_t port)>& talk_to) {
  for (const Fault& fault : all_faults()) {
    FaultyServer server(settings);
    const auto talk = [&] { return talk_to(server.port()); };
    const std::string expected = talk();
    EXPECT_GT(expected.size(), large_bytes);
    int nth = 1;
    while (nth < calls_max && server.holds_against(fault, nth, expected, talk)) {
      if (testing::Test::HasFailure()) return;  // the rest would say the same
      ++nth;
    }
    EXPECT_GT(nth, 1) << fault.name << " never struck";
    EXPECT_LT(nth, calls_max);
  }
}

TEST(ServerFaults, EveryCallOfAConversationMayFail) {
  hold_against_all(local_settings(), [](std::uint16_t port) {
    Client client(port);
    return converse(client, client.descriptor());
  });
}

TEST(ServerFaults, EveryCallOfATlsConversationMayFail) {
  const TemporaryFiles files;
  Settings settings = local_settings();
  settings.listen = {{"tls:127.0.0.1:0"}};
  settings.tls = {files.path("certificate"), files.path("key")};
  write_certificate(settings.tls, 1);
  hold_against_all(settings, [](std::uint16_t port) {
    TlsClient client(port);
    return client.connected() ? converse(client, SSL_get_fd(client.ssl())) : "";
  });
}

}  // namespace
}  // namespace gputach::http
