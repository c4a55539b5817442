// TLS on the server's sockets: the same answers, bounded handshakes, certificates that change while it runs.
#include <gtest/gtest.h>

#include <csignal>
#include <fstream>

#include "http/server.h"
#include "http/server_test_kit.h"
#include "http/tls_test_kit.h"

namespace gputach::http {
namespace {

using namespace test;

class ServerTls : public testing::Test {
 protected:
  ServerTls() {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes with write()
    write_certificate(files_, 1);
    settings_.listen = {{"tls:127.0.0.1:0"}};
    settings_.tls = files_;
  }

  TemporaryFiles folder_;
  TlsFiles files_{folder_.path("tls.crt"), folder_.path("tls.key")};
  Settings settings_ = local_settings();
};

TEST_F(ServerTls, AnswersOneAfterAnotherAndPipelined) {
  RunningServer server(settings_);
  EXPECT_TRUE(server->addresses().front().address.starts_with("tls:127.0.0.1:"));
  TlsClient client(server.port());
  ASSERT_TRUE(client.connected());
  client.send(get("/one"));
  EXPECT_EQ(body_of(client.response()), "/one");
  client.send(get("/two") + get("/three") + "POST /four HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(body_of(client.response()), "/two");
  EXPECT_EQ(body_of(client.response()), "/three");
  EXPECT_EQ(body_of(client.response()), "/four");
  client.send(get("/five", "Connection: close\r\n"));
  EXPECT_EQ(body_of(client.response()), "/five");
  EXPECT_TRUE(client.ended_properly());
  EXPECT_EQ(server->counters().tls_handshakes, 1U);
  EXPECT_EQ(server->counters().tls_failures, 0U);
}

TEST_F(ServerTls, SendsALargeAnswerToASlowReaderUnchanged) {
  std::string body;
  for (int i = 0; i < 2'000'000; ++i) body += static_cast<char>('a' + i % 23);
  RunningServer server(settings_, [&](const Request&, Respond respond) { respond(Response{text(body), {}, false}); });
  TlsClient client(server.port(), {}, 4096);
  ASSERT_TRUE(client.connected());
  for (int round = 0; round < 2; ++round) {
    client.send(get("/"));
    EXPECT_EQ(body_of(client.response()), body);
  }
}

TEST_F(ServerTls, SpeaksNothingOlderThanTls12) {
  RunningServer server(settings_);
  TlsClient old(server.port(), [](SSL_CTX* context) {
    SSL_CTX_set_security_level(context, 0);
    SSL_CTX_set_min_proto_version(context, TLS1_VERSION);
    SSL_CTX_set_max_proto_version(context, TLS1_1_VERSION);
  });
  EXPECT_FALSE(old.connected());
  TlsClient twelve(server.port(), [](SSL_CTX* context) { SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION); });
  EXPECT_TRUE(twelve.connected());
  twelve.send(get("/"));
  EXPECT_EQ(body_of(twelve.response()), "/");
  EXPECT_TRUE(eventually([&] { return server->counters().tls_failures == 1; }));
}

TEST_F(ServerTls, ChoosesHttp11AndRefusesClientsThatOfferOnlyOthers) {
  RunningServer server(settings_);
  const auto offer = [](std::string protocols) {
    return [protocols = std::move(protocols)](SSL_CTX* context) {
      SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(protocols.data()),
                              static_cast<unsigned>(protocols.size()));
    };
  };
  TlsClient both(server.port(), offer("\x02h2\x08http/1.1"));
  ASSERT_TRUE(both.connected());
  const unsigned char* chosen = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(both.ssl(), &chosen, &size);
  EXPECT_EQ(std::string_view(reinterpret_cast<const char*>(chosen), size), "http/1.1");
  EXPECT_FALSE(TlsClient(server.port(), offer("\x02h2")).connected());
}

TEST_F(ServerTls, EndsConnectionsThatDoNotSpeakTlsOrNothingAtAll) {
  settings_.limits.head_timeout = 100ms;
  RunningServer server(settings_);
  Client plain(server.port());
  plain.send(get("/"));
  EXPECT_EQ(plain.until_closed().find("HTTP/1.1 200"), std::string::npos);
  Client silent(server.port());
  EXPECT_EQ(silent.until_closed(), "");
  Client halfway(server.port());
  halfway.send("\x16\x03\x01");
  EXPECT_EQ(halfway.until_closed(), "");
  EXPECT_TRUE(eventually([&] { return server->counters().active == 0; }));
  EXPECT_EQ(server->counters().tls_failures, 3U);
  TlsClient client(server.port());
  EXPECT_TRUE(client.connected());
}

// OpenSSL and the kernel hold more requests than one turn should answer.
TEST_F(ServerTls, GivesOthersATurnAmongPipelinedRequests) {
  settings_.limits.pipelined_before_yield = 8;
  RunningServer server(settings_);
  TlsClient client(server.port());
  ASSERT_TRUE(client.connected());
  std::string burst;
  for (int i = 0; i < 400; ++i) burst += get("/x");
  client.send(burst);
  for (int i = 0; i < 400; ++i) ASSERT_EQ(body_of(client.response()), "/x");
  EXPECT_GE(server->counters().yields, 10U);
}

TEST_F(ServerTls, AnswersASlowHeadWith408ThroughTls) {
  settings_.limits.head_timeout = 100ms;
  RunningServer server(settings_);
  TlsClient client(server.port());
  ASSERT_TRUE(client.connected());
  client.send("GET / HTTP/1.1\r\nHost");
  EXPECT_TRUE(client.response().starts_with("HTTP/1.1 408 "));
}

TEST_F(ServerTls, ServesANewCertificateToNewConnectionsAndKeepsTheOldOnesOpen) {
  RunningServer server(settings_);
  TlsClient before(server.port());
  EXPECT_EQ(before.serial(), 1);
  write_certificate(files_, 2);
  EXPECT_TRUE(eventually([&] { return TlsClient(server.port()).serial() == 2; }));
  before.send(get("/still"));
  EXPECT_EQ(body_of(before.response()), "/still");
  EXPECT_EQ(server->counters().tls_reload_failures, 0U);
}

TEST_F(ServerTls, KeepsTheCertificateItHasWhenTheNewOneCannotBeUsed) {
  RunningServer server(settings_);
  EXPECT_EQ(TlsClient(server.port()).serial(), 1);
  std::ofstream(files_.certificate) << "not a certificate\n";
  EXPECT_TRUE(eventually([&] {
    EXPECT_EQ(TlsClient(server.port()).serial(), 1);
    return server->counters().tls_reload_failures == 1;
  }));
  write_certificate(files_, 3);
  EXPECT_TRUE(eventually([&] { return TlsClient(server.port()).serial() == 3; }));
}

TEST_F(ServerTls, ReturnsEverythingAfterResetsInEveryState) {
  RunningServer server(settings_, [](const Request&, Respond respond) {
    respond(Response{text(std::string(1'000'000, 'x')), {}, false});
  });
  for (int i = 0; i < 30; ++i) {
    TlsClient client(server.port(), {}, 4096);
    if (i % 3 > 0) client.send(i % 3 == 1 ? "GET / HT" : get("/"));
    client.reset();
  }
  EXPECT_TRUE(eventually([&] { return server->counters().active == 0; }));
  TlsClient client(server.port());
  client.send(get("/"));
  EXPECT_EQ(body_of(client.response()).size(), 1'000'000U);
}

TEST(ServerTlsFiles, MustBeThereAndBelongTogether) {
  const TemporaryFiles folder;
  const TlsFiles one{folder.path("a.crt"), folder.path("a.key")};
  const TlsFiles other{folder.path("b.crt"), folder.path("b.key")};
  write_certificate(one, 1);
  write_certificate(other, 2);
  const SystemClock clock;
  const auto open = [&](const TlsFiles& files) {
    Settings settings = local_settings();
    settings.listen = {{"tls:127.0.0.1:0"}};
    settings.tls = files;
    return Server::open(settings, echo_path, clock);
  };
  EXPECT_TRUE(open(one));
  EXPECT_EQ(open({}).error().context, "a tls: address needs a certificate and its key");
  EXPECT_TRUE(open({one.certificate, other.key}).error().context.starts_with("cannot use the TLS key " + other.key));
  const std::string missing = folder.path("none.crt");
  EXPECT_TRUE(open({missing, one.key}).error().context.starts_with("cannot use the TLS certificate " + missing));
}

}  // namespace
}  // namespace gputach::http
