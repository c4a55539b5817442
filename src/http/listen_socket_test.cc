#include "http/listen_socket.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include "base/fd.h"

namespace gputach::http {
namespace {

TEST(ListenAddress, ReadsLiteralsAndLocalhost) {
  EXPECT_EQ(parse_listen_address("127.0.0.1:8080"), (ListenAddress{ListenKind::tcp, "127.0.0.1", 8080}));
  EXPECT_EQ(parse_listen_address("[::]:0"), (ListenAddress{ListenKind::tcp, "::", 0}));
  EXPECT_EQ(parse_listen_address("[fe80::1]:65535"), (ListenAddress{ListenKind::tcp, "fe80::1", 65535}));
  EXPECT_EQ(parse_listen_address("localhost:80"), (ListenAddress{ListenKind::tcp, "localhost", 80}));
  EXPECT_EQ(parse_listen_address("tls:[::1]:443"), (ListenAddress{ListenKind::tls, "::1", 443}));
  EXPECT_EQ(parse_listen_address("unix:/run/a:1"), (ListenAddress{ListenKind::unix_socket, "/run/a:1", 0}));
  EXPECT_EQ(parse_listen_address("unix:@a"), (ListenAddress{ListenKind::unix_socket, "@a", 0}));
}

TEST(ListenAddress, RefusesTheRestWithASentence) {
  for (const char* text : {"",
                           "8080",
                           ":8080",
                           "127.0.0.1",
                           "127.0.0.1:",
                           "127.0.0.1:65536",
                           "127.0.0.1:-1",
                           "127.0.0.1:80x",
                           "::1:80",
                           "[127.0.0.1]:80",
                           "[::1]",
                           "[]:80",
                           "example.com:80",
                           "[localhost]:80",
                           "256.0.0.1:80",
                           "127.1:80",
                           "tls:",
                           "tls:unix:/a",
                           "tls:8443",
                           "unix:",
                           "unix:a",
                           "unix:/",
                           "unix:@",
                           "http:1"}) {
    const auto address = parse_listen_address(text);
    ASSERT_FALSE(address) << text;
    EXPECT_EQ(address.error().code, ErrorCode::invalid);
    EXPECT_TRUE(address.error().context.starts_with("the listen address " + std::string(text) + " "));
  }
}

TEST(ListenSocket, ReportsThePortReallyBound) {
  const auto sockets = open_listen_sockets("127.0.0.1:0");
  ASSERT_TRUE(sockets) << sockets.error().context;
  ASSERT_EQ(sockets->size(), 1U);
  const auto address = parse_listen_address(sockets->front().address());
  ASSERT_TRUE(address);
  EXPECT_EQ(address->host, "127.0.0.1");
  EXPECT_NE(address->port, 0);
}

TEST(ListenSocket, SaysWhichAddressCouldNotBeHad) {
  const auto first = open_listen_sockets("127.0.0.1:0");
  ASSERT_TRUE(first);
  const std::string& taken = first->front().address();
  const auto second = open_listen_sockets(taken);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, ErrorCode::io);
  EXPECT_EQ(second.error().context, "cannot listen on " + taken + ": Address already in use");
}

TEST(ListenSocket, ItsConnectionsNoticeAPeerThatVanishes) {
  auto sockets = open_listen_sockets("127.0.0.1:0");
  ASSERT_TRUE(sockets) << sockets.error().context;
  const Fd listener(sockets->front().release());
  sockaddr_in address{};
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof address;
  ASSERT_EQ(::getsockname(listener.get(), generic, &size), 0);
  const Fd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(::connect(client.get(), generic, size), 0);
  pollfd arrival{listener.get(), POLLIN, 0};
  ASSERT_EQ(::poll(&arrival, 1, 10'000), 1);
  const Fd accepted(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
  const auto option = [&](int level, int name) {
    int value = -1;
    socklen_t length = sizeof value;
    return ::getsockopt(accepted.get(), level, name, &value, &length) == 0 ? value : -1;
  };
  EXPECT_EQ(option(SOL_SOCKET, SO_KEEPALIVE), 1);
  EXPECT_LE(option(IPPROTO_TCP, TCP_KEEPIDLE) + option(IPPROTO_TCP, TCP_KEEPINTVL) * option(IPPROTO_TCP, TCP_KEEPCNT),
            60)
      << "a minute";
}

TEST(ListenAddress, BoundsThePathOfAUnixSocket) {
  EXPECT_TRUE(parse_listen_address("unix:/" + std::string(106, 'x')));
  EXPECT_FALSE(parse_listen_address("unix:/" + std::string(107, 'x')));
}

TEST(ListenSocket, OpensTheWildcardWithOrWithoutIpv6) {
  const auto sockets = open_listen_sockets("[::]:0");
  ASSERT_TRUE(sockets) << sockets.error().context;
  EXPECT_TRUE(sockets->front().address().starts_with("[::]:") || sockets->front().address().starts_with("0.0.0.0:"));
}

}  // namespace
}  // namespace gputach::http
