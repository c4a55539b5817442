#include "http/tls_client.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>
#include <sys/socket.h>

#include <csignal>
#include <utility>

#include "base/fd.h"
#include "http/tls_test_kit.h"

namespace gputach::http {
namespace {

using namespace test;

constexpr int steps_max = 100;  // of a handshake, which takes a few

struct FreeServerContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};

// Two ends in one thread: whoever has something to do does it.
class TlsConnecting : public testing::Test {
 protected:
  TlsConnecting() {
    std::signal(SIGPIPE, SIG_IGN);  // OpenSSL writes with write()
    write_certificate(files_, 1);   // names localhost
    write_certificate(others_, 2);
    int ends[2] = {-1, -1};
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    client_end_ = Fd(ends[0]);
    server_end_ = Fd(ends[1]);
    server_context_.reset(SSL_CTX_new(TLS_server_method()));
    EXPECT_EQ(SSL_CTX_use_certificate_chain_file(server_context_.get(), files_.certificate.c_str()), 1);
    EXPECT_EQ(SSL_CTX_use_PrivateKey_file(server_context_.get(), files_.key.c_str(), SSL_FILETYPE_PEM), 1);
    SSL_CTX_set_cert_cb(server_context_.get(), keep_name, &asked_for_);
  }

  static int keep_name(SSL* ssl, void* asked_for) {
    const char* const name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
    *static_cast<std::string*>(asked_for) = name == nullptr ? "" : name;
    return 1;
  }

  // How the handshake ended for the client.
  TlsState connect(const TlsPeer& peer) {
    auto made = TlsConnector::make(peer);
    EXPECT_TRUE(made) << made.error().context;
    if (!made) return TlsState::failed;
    client_ = (*made)->channel(client_end_.get());
    server_ = TlsChannel::accepting(server_context_.get(), server_end_.get());
    TlsState state = TlsState::want_write;
    TlsState of_server = TlsState::want_read;
    for (int step = 0; step < steps_max && (state != TlsState::done || of_server != TlsState::done); ++step) {
      if (state != TlsState::done) state = client_->handshake();
      if (state == TlsState::failed) break;
      if (of_server != TlsState::done) of_server = server_->handshake();
    }
    return state;
  }

  TemporaryFiles folder_;
  TlsFiles files_{folder_.path("tls.crt"), folder_.path("tls.key")};
  TlsFiles others_{folder_.path("other.crt"), folder_.path("other.key")};
  Fd client_end_;
  Fd server_end_;
  std::unique_ptr<SSL_CTX, FreeServerContext> server_context_;
  std::string asked_for_ = "nobody asked";
  std::unique_ptr<TlsChannel> client_;
  std::unique_ptr<TlsChannel> server_;
};

TEST_F(TlsConnecting, ReachesWhomItsFileVouchesForAndAsksByName) {
  ASSERT_EQ(connect({"localhost", files_.certificate}), TlsState::done);
  EXPECT_EQ(asked_for_, "localhost");
  EXPECT_EQ(client_->refusal(), "");
  EXPECT_EQ(server_->write("hello").bytes, 5U);
  std::string space(10, '\0');
  EXPECT_EQ(client_->read(space).bytes, 5U);
  EXPECT_EQ(client_->read(space).state, TlsState::want_read);
}

TEST_F(TlsConnecting, RefusesACertificateOfAnotherName) {
  EXPECT_EQ(connect({"other.example", files_.certificate}), TlsState::failed);
  EXPECT_EQ(asked_for_, "other.example");
  EXPECT_EQ(client_->refusal(), "hostname mismatch");
}

TEST_F(TlsConnecting, RefusesACertificateWithoutTheAddressAndSendsNoAddressAsAName) {
  EXPECT_EQ(connect({"127.0.0.1", files_.certificate}), TlsState::failed);
  EXPECT_EQ(client_->refusal(), "IP address mismatch");
  EXPECT_EQ(asked_for_, "");
}

TEST_F(TlsConnecting, RefusesWhomItsFileDoesNotKnow) {
  EXPECT_EQ(connect({"localhost", others_.certificate}), TlsState::failed);
  EXPECT_NE(client_->refusal(), "");
}

TEST_F(TlsConnecting, RefusesWhomTheSystemDoesNotKnow) {
  EXPECT_EQ(connect({"localhost", ""}), TlsState::failed);
  EXPECT_NE(client_->refusal(), "");
}

TEST_F(TlsConnecting, LooksAtNothingWhenToldSo) {
  EXPECT_EQ(connect({"other.example", others_.certificate, TlsVerify::off}), TlsState::done);
  EXPECT_EQ(client_->refusal(), "");
}

TEST_F(TlsConnecting, TellsAnEndFromACut) {
  std::string space(10, '\0');
  ASSERT_EQ(connect({"localhost", files_.certificate}), TlsState::done);
  server_->shutdown();
  EXPECT_EQ(client_->read(space).state, TlsState::closed);
  ASSERT_EQ(connect({"localhost", files_.certificate}), TlsState::done);
  server_end_ = Fd();
  EXPECT_EQ(client_->read(space).state, TlsState::failed);
}

TEST_F(TlsConnecting, LeavesTheSocketAloneOnceItIsAbandoned) {
  ASSERT_EQ(connect({"localhost", files_.certificate}), TlsState::done);
  EXPECT_EQ(server_->write("for another").state, TlsState::done);
  client_->abandon();
  std::string space(20, '\0');
  EXPECT_EQ(client_->read(space).state, TlsState::failed);
  EXPECT_EQ(client_->write("x").state, TlsState::failed);
  EXPECT_GT(::recv(client_end_.get(), space.data(), space.size(), 0), 0) << "it has taken nothing";
}

TEST_F(TlsConnecting, NamesTheFileThatItCannotUse) {
  const auto missing = TlsConnector::make({"localhost", folder_.path("missing.pem")});
  ASSERT_FALSE(missing);
  EXPECT_NE(missing.error().context.find("missing.pem"), std::string::npos) << missing.error().context;
  EXPECT_FALSE(TlsConnector::make({"localhost", files_.key})) << "a key is no certificate";
}

}  // namespace
}  // namespace gputach::http
