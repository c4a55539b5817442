#include "app/probe_url.h"

#include <gtest/gtest.h>

#include "app/probe.h"

namespace gputach {
namespace {

TEST(ProbeUrl, HasTheThreeFormsOfAServer) {
  EXPECT_EQ(parse_probe_url("http://127.0.0.1:8080/proxy/healthz"),
            (ProbeUrl{ProbeVia::tcp, "127.0.0.1", 8080, "127.0.0.1:8080", "/proxy/healthz"}));
  EXPECT_EQ(parse_probe_url("https://[::1]:8443/x?y=http://z/"),
            (ProbeUrl{ProbeVia::tls, "::1", 8443, "[::1]:8443", "/x?y=http://z/"}));
  EXPECT_EQ(parse_probe_url("unix:/run/gputach.sock:/proxy/healthz"),
            (ProbeUrl{ProbeVia::unix_socket, "/run/gputach.sock", 0, "localhost", "/proxy/healthz"}));
  EXPECT_EQ(parse_probe_url("unix:@gputach:/x?a=b:/c"),
            (ProbeUrl{ProbeVia::unix_socket, "@gputach", 0, "localhost", "/x?a=b:/c"}));
}

TEST(ProbeUrl, HasDefaultsForPortAndPath) {
  EXPECT_EQ(parse_probe_url("http://localhost"), (ProbeUrl{ProbeVia::tcp, "localhost", 80, "localhost", "/"}));
  EXPECT_EQ(parse_probe_url("https://[::1]?q"), (ProbeUrl{ProbeVia::tls, "::1", 443, "[::1]", "/?q"}));
  EXPECT_EQ(parse_probe_url("unix:/a"), (ProbeUrl{ProbeVia::unix_socket, "/a", 0, "localhost", "/"}));
}

TEST(ProbeUrl, RefusesWhatCouldMeanSomethingElseOrOutlastADeadline) {
  for (const char* bad : {"",
                          "127.0.0.1:8080/",
                          "ftp://127.0.0.1/",
                          "HTTP://127.0.0.1/",
                          "http:/127.0.0.1/",
                          "http://",
                          "http:///x",
                          "http://example.org/",
                          "http://1.2.3/",
                          "http://1.2.3.4.5/",
                          "http://u@127.0.0.1/",
                          "http://127.0.0.1:0/",
                          "http://127.0.0.1:/",
                          "http://127.0.0.1:65536/",
                          "http://127.0.0.1:8080x/",
                          "http://127.0.0.1:-1/",
                          "http://[::1/",
                          "http://[]/",
                          "http://[127.0.0.1]/",
                          "http://::1/",
                          "http://[::1]x/",
                          "http://[::1]:/",
                          "http://[fe80::1%25eth0]/",
                          "http://127.0.0.1/a b",
                          "http://127.0.0.1/#a",
                          "http://127.0.0.1/\r\nA: b",
                          "http://127.0.0.1/\xc3\xa4",
                          "unix:",
                          "unix:/",
                          "unix:@",
                          "unix:a",
                          "unix::/x"})
    EXPECT_FALSE(parse_probe_url(bad)) << bad;
  EXPECT_TRUE(parse_probe_url("unix:/" + std::string(106, 'a')));
  EXPECT_FALSE(parse_probe_url("unix:/" + std::string(107, 'a'))) << "does not fit sockaddr_un";
}

TEST(ProbeRequest, CarriesTheFieldsThatWereGiven) {
  const ProbeUrl url = *parse_probe_url("http://127.0.0.1:8080/x");
  const std::string given[] = {"Authorization: Bearer a", "X-Empty:"};
  EXPECT_EQ(probe_request(url, given),
            "GET /x HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nUser-Agent: gputach-probe\r\nConnection: close\r\n"
            "Authorization: Bearer a\r\nX-Empty:\r\n\r\n");
  const std::string host[] = {"hOST: example.org"};
  EXPECT_EQ(probe_request(url, host),
            "GET /x HTTP/1.1\r\nhOST: example.org\r\nUser-Agent: gputach-probe\r\nConnection: close\r\n\r\n");
}

TEST(ProbeRequest, NoFieldCanBreakIt) {
  const ProbeUrl url = *parse_probe_url("http://127.0.0.1:8080/x");
  for (const char* bad : {"", "a", ":b", "a b: c", "a : b", "a: b\r\nc: d", "a: b\n", "a: \x7f", "\xc3\xa4: b"}) {
    const std::string given[] = {bad};
    EXPECT_FALSE(probe_request(url, given)) << bad;
  }
}

std::string status_of(std::string_view bytes) {
  const auto status = status_in(bytes);
  if (!status) return "an error";
  return *status ? std::to_string(**status) : "too little";
}

TEST(ProbeAnswer, HasItsStatusOnceTheLineIsThere) {
  constexpr std::string_view answer = "HTTP/1.1 204 No Content\r\n";
  for (std::size_t length = 0; length + 1 < answer.size(); ++length)
    EXPECT_EQ(status_of(answer.substr(0, length)), "too little") << length;
  EXPECT_EQ(status_of(answer), "204");
  EXPECT_EQ(status_of("HTTP/1.0 503\n"), "503");
  EXPECT_EQ(status_of("HTTP/1.1 302 \r\n"), "302");
}

TEST(ProbeAnswer, InterimOnesArePassedOver) {
  EXPECT_EQ(status_of("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 500 x\r\n"), "500");
  EXPECT_EQ(status_of("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 10"), "too little");
  EXPECT_EQ(status_of("HTTP/1.1 100 Continue\r\n"), "too little");
}

TEST(ProbeAnswer, AnythingElseIsAnError) {
  for (const char* bad :
       {"SSH-2.0-x\r\n", "HTTP/2 200\r\n", "HTTP/1.1\r\n", "HTTP/1.1 \r\n", "HTTP/1.1 20\r\n", "HTTP/1.1 2000\r\n",
        "HTTP/1.1 +20 x\r\n", "HTTP/1.1 099 x\r\n", "HTTP/1.1200 x\r\n", "\n", "HTTP/1.\n", "x"})
    EXPECT_EQ(status_of(bad), "an error") << bad;
}

TEST(ProbeOptions, AreJudgedTogether) {
  const auto probe = make_probe({.url = "http://localhost:1/", .timeout = "500ms", .headers = {"A: b"}});
  ASSERT_TRUE(probe);
  EXPECT_EQ(probe->timeout, std::chrono::milliseconds(500));
  EXPECT_NE(probe->request.find("\r\nA: b\r\n"), std::string::npos);
  EXPECT_FALSE(make_probe({.url = "x", .headers = {}}));
  EXPECT_FALSE(make_probe({.url = "http://localhost:1/", .headers = {"x"}}));
  EXPECT_EQ(make_probe({.url = "http://localhost:1/", .timeout = "1", .headers = {}}).error().context,
            "the timeout has to be a duration with its unit between 10ms and 60s");
}

}  // namespace
}  // namespace gputach
