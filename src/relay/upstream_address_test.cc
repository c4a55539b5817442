#include "relay/upstream_address.h"

#include <gtest/gtest.h>

namespace gputach::relay {
namespace {

using Kind = UpstreamAddress::Kind;

UpstreamAddress parsed(std::string_view text) {
  const auto address = parse_upstream_address(text);
  EXPECT_TRUE(address) << text;
  return address.value_or(UpstreamAddress{});
}

TEST(UpstreamAddress, IsAnAddressAndAPort) {
  EXPECT_EQ(parsed("http://127.0.0.1:8000"),
            (UpstreamAddress{Kind::tcp, "127.0.0.1", 8000, "127.0.0.1:8000", "127.0.0.1"}));
  EXPECT_EQ(parsed("https://[::1]:8443/"), (UpstreamAddress{Kind::tls, "::1", 8443, "[::1]:8443", "::1"}));
}

TEST(UpstreamAddress, HasThePortOfItsSchemeWhereNoneIsGiven) {
  EXPECT_EQ(parsed("http://127.0.0.1").port, 80);
  EXPECT_EQ(parsed("https://127.0.0.1").port, 443);
  EXPECT_EQ(parsed("https://[::1]").port, 443);
}

TEST(UpstreamAddress, IsReachedByNumberAndKnownByTheNameThatWasWritten) {
  EXPECT_EQ(parsed("https://localhost:8443"),
            (UpstreamAddress{Kind::tls, "127.0.0.1", 8443, "localhost:8443", "localhost"}));
}

TEST(UpstreamAddress, MayBeAUnixSocket) {
  const UpstreamAddress file = parsed("unix:/run/vllm.sock");
  EXPECT_EQ(file.kind, Kind::unix_socket);
  EXPECT_EQ(file.host, "/run/vllm.sock");
  EXPECT_EQ(file.authority, "localhost");
  EXPECT_EQ(parsed("unix:@vllm").host, "@vllm");
}

TEST(UpstreamAddress, RefusesWhatWouldNeedALookUpOrHasAPath) {
  for (const char* bad : {"", "127.0.0.1:8000", "http://", "http://engine:8000", "https://engine", "http://127.0.0.1:0",
                          "http://127.0.0.1:x", "http://127.0.0.1:8000/v1", "http://a@127.0.0.1:8000",
                          "unix:", "tls:[::]:1", "ftp://127.0.0.1", "HTTP://127.0.0.1"}) {
    EXPECT_FALSE(parse_upstream_address(bad)) << bad;
  }
}

}  // namespace
}  // namespace gputach::relay
