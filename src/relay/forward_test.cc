#include "relay/forward.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace gputach::relay {
namespace {

using http::AfterResponse;
using http::HeadState;
using testing::HasSubstr;
using testing::Not;

constexpr std::size_t bytes_max = 16384;
constexpr std::string_view date = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";

RequestContext request_context() {
  RequestContext context;
  context.peer = "192.0.2.7";
  context.scheme = "http";
  context.upstream_host = "127.0.0.1:8000";
  context.pseudonym = "gputach-5f3a";
  return context;
}

struct ForwardedRequest {
  RequestOutcome outcome{};
  std::string text;
};

ForwardedRequest forward(std::string_view bytes, const RequestContext& context) {
  http::RequestHead head;
  const http::HeadOutcome parsed = http::parse_request_head(bytes, 0, bytes_max, head);
  EXPECT_EQ(parsed.state, HeadState::complete) << bytes << parsed.error.sentence;
  ForwardedRequest result;
  result.outcome = append_forwarded_request(result.text, head.request, {head.framing, head.content_length}, context);
  return result;
}

std::string forwarded(std::string_view bytes) {
  return forward(bytes, request_context()).text;
}
// A GET with these fields beside Host, as it leaves.
std::string with_fields(std::string_view fields) {
  return forwarded("GET /v1/models HTTP/1.1\r\nHost: gpu:8080\r\n" + std::string(fields) + "\r\n");
}

constexpr std::string_view provenance =
    "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: gpu:8080\r\n"
    "Forwarded: for=192.0.2.7;host=\"gpu:8080\";proto=http;by=_gputach-5f3a\r\nVia: 1.1 gputach-5f3a\r\n";

TEST(Forward, PassesAPlainRequestOnWithOurTracesAfterTheClientsFields) {
  EXPECT_EQ(forwarded("POST /v1/chat/completions?a=%2F&b HTTP/1.1\r\nAccept:  */* \r\nhost: gpu:8080\r\n"
                      "Authorization: Bearer k\r\nContent-Length: 0012\r\nx-odd_name: \x80 a\tb\r\n\r\n"),
            "POST /v1/chat/completions?a=%2F&b HTTP/1.1\r\nHost: gpu:8080\r\nAccept: */*\r\n"
            "Authorization: Bearer k\r\nx-odd_name: \x80 a\tb\r\n" +
                std::string(provenance) + "Content-Length: 12\r\n\r\n");
}

TEST(Forward, DropsWhatBelongsToTheConnection) {
  const std::string text = with_fields(
      "Connection: close, X-Mine, x-theirs\r\nX-Mine: 1\r\nX-THEIRS: 2\r\nX-Stays: 3\r\nKeep-Alive: timeout=5\r\n"
      "Proxy-Connection: keep-alive\r\nTE: trailers\r\nTrailer: X-Sum\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"
      "Proxy-Authorization: Basic eDp5\r\nproxy-authenticate: Basic\r\nExpect: 100-continue\r\n");
  EXPECT_EQ(text, "GET /v1/models HTTP/1.1\r\nHost: gpu:8080\r\nX-Stays: 3\r\n" + std::string(provenance) + "\r\n");
}

TEST(Forward, ConnectionCannotTakeAwayWhatTheEngineNeeds) {
  const std::string text = forwarded(
      "POST / HTTP/1.1\r\nHost: gpu:8080\r\nContent-Length: 3\r\nAuthorization: Bearer k\r\nCookie: a\r\n"
      "Content-Type: application/json\r\nConnection: host, content-length, AUTHORIZATION, cookie, content-type\r\n"
      "Connection: x-forwarded-for, forwarded, via, transfer-encoding\r\nVia: 1.0 edge\r\n\r\n");
  EXPECT_EQ(text,
            "POST / HTTP/1.1\r\nHost: gpu:8080\r\nAuthorization: Bearer k\r\nCookie: a\r\n"
            "Content-Type: application/json\r\nVia: 1.0 edge\r\n" +
                std::string(provenance) + "Content-Length: 3\r\n\r\n");
}

TEST(Forward, BelievesNobodyWhoTheClientIs) {
  const std::string text = with_fields(
      "X-Forwarded-For: 127.0.0.1\r\nx-forwarded-proto: https\r\nX-Forwarded-Host: evil\r\nX-Forwarded-Prefix: /a\r\n"
      "X_Forwarded_For: 127.0.0.1\r\nX-Forwarded_For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\nX-Real-IP: 127.0.0.1\r\n"
      "Content_Length: 5\r\nTransfer_Encoding: chunked\r\n");
  EXPECT_EQ(text, "GET /v1/models HTTP/1.1\r\nHost: gpu:8080\r\n" + std::string(provenance) + "\r\n");
}

TEST(Forward, WritesAddressesAsTheirFieldsWantThem) {
  const std::string_view bytes = "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n";
  RequestContext context = request_context();
  context.peer = "2001:db8::1";
  context.scheme = "https";
  EXPECT_THAT(forward(bytes, context).text,
              HasSubstr("X-Forwarded-For: 2001:db8::1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: [::1]:8080\r\n"
                        "Forwarded: for=\"[2001:db8::1]\";host=\"[::1]:8080\";proto=https;by=_gputach-5f3a\r\n"));
  context.peer = "fe80::1%eth0";
  EXPECT_THAT(forward(bytes, context).text, HasSubstr("Forwarded: for=\"[fe80::1]\";"));
  context.peer = "";
  const std::string text = forward(bytes, context).text;
  EXPECT_THAT(text, HasSubstr("Forwarded: for=unknown;"));
  EXPECT_THAT(text, Not(HasSubstr("X-Forwarded-For")));
}

TEST(Forward, TurnsTargetsIntoOriginForm) {
  const struct {
    std::string_view request, line_and_host;
  } rows[] = {
      {"GET http://a:1/x?y HTTP/1.1\r\nHost: b\r\n\r\n", "GET /x?y HTTP/1.1\r\nHost: a:1\r\n"},
      {"GET HTTP://a HTTP/1.1\r\nHost: b\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n"},
      {"GET http://a? HTTP/1.1\r\nHost: b\r\n\r\n", "GET /? HTTP/1.1\r\nHost: a\r\n"},
      {"GET https://a?q=http://c/d HTTP/1.1\r\nHost: b\r\n\r\n", "GET /?q=http://c/d HTTP/1.1\r\nHost: a\r\n"},
      {"GET //a/%2e%2E/;b?? HTTP/1.1\r\nHost: b\r\n\r\n", "GET //a/%2e%2E/;b?? HTTP/1.1\r\nHost: b\r\n"},
      {"OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: b\r\n"},
      {"OPTIONS http://a HTTP/1.1\r\nHost: b\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n"},
      {"OPTIONS http://a/ HTTP/1.1\r\nHost: b\r\n\r\n", "OPTIONS / HTTP/1.1\r\nHost: a\r\n"},
      {"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"},
      {"GET / HTTP/1.1\r\nHost:\r\n\r\n", "GET / HTTP/1.1\r\nHost: 127.0.0.1:8000\r\n"},
      {"brew /pot HTTP/1.1\r\nHost: b\r\n\r\n", "brew /pot HTTP/1.1\r\nHost: b\r\n"},
  };
  for (const auto& row : rows) EXPECT_THAT(forwarded(row.request), testing::StartsWith(row.line_and_host));
  EXPECT_THAT(forwarded("GET / HTTP/1.0\r\n\r\n"), Not(HasSubstr("X-Forwarded-Host")));
  EXPECT_THAT(forwarded("GET / HTTP/1.0\r\n\r\n"), HasSubstr("Via: 1.0 gputach-5f3a\r\n"));
}

TEST(Forward, FramesTheBodyAnew) {
  const std::string start = "POST / HTTP/1.1\r\nHost: a\r\n";
  EXPECT_THAT(forwarded(start + "transfer-encoding: Chunked\r\nTrailer: X\r\n\r\n"),
              testing::EndsWith("5f3a\r\nTransfer-Encoding: chunked\r\n\r\n"));
  EXPECT_THAT(forwarded(start + "Content-Length: 0\r\n\r\n"), testing::EndsWith("5f3a\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_THAT(forwarded(start + "\r\n"), testing::EndsWith("5f3a\r\n\r\n"));
}

TEST(Forward, FindsItselfInViaAndNobodyElse) {
  const auto outcome = [](std::string_view via) {
    const auto result =
        forward("GET / HTTP/1.1\r\nHost: a\r\nVia: " + std::string(via) + "\r\n\r\n", request_context());
    EXPECT_EQ(result.text.empty(), result.outcome != RequestOutcome::appended) << via;
    return result.outcome;
  };
  for (const std::string_view via : {"1.1 gputach-5f3a", "1.0 edge, 1.1 GPUTACH-5f3a", "HTTP/1.1 \t gputach-5f3a (x)",
                                     "1.1 gputach-5f3a(x),1.1 b", "1.1 a\r\nVia: 1.1 gputach-5f3a"}) {
    EXPECT_EQ(outcome(via), RequestOutcome::loop) << via;
  }
  for (const std::string_view via : {"1.1 gputach-5f3b", "1.1 gputach-5f3a2", "gputach-5f3a", "1.1 x (gputach-5f3a)",
                                     "1.1 gputach", "", ",", "1.1"}) {
    EXPECT_EQ(outcome(via), RequestOutcome::appended) << via;
  }
}

TEST(Forward, CountsMaxForwardsDownForOptionsAndTraceAlone) {
  const auto run = [](std::string_view method, std::string_view value) {
    return forward(std::string(method) + " / HTTP/1.1\r\nHost: a\r\nMax-Forwards: " + std::string(value) + "\r\n\r\n",
                   request_context());
  };
  EXPECT_THAT(run("OPTIONS", "7").text, HasSubstr("Max-Forwards: 6\r\n"));
  EXPECT_THAT(run("TRACE", "1").text, HasSubstr("Max-Forwards: 0\r\n"));
  EXPECT_THAT(run("OPTIONS", "99999999999999999999999").text, HasSubstr("Max-Forwards: 1000\r\n"));
  EXPECT_THAT(run("GET", "0").text, HasSubstr("Max-Forwards: 0\r\n"));
  EXPECT_THAT(run("OPTIONS", "soon").text, HasSubstr("Max-Forwards: soon\r\n"));
  for (const std::string_view method : {"OPTIONS", "TRACE"}) {
    EXPECT_EQ(run(method, "0").outcome, RequestOutcome::final_recipient);
    EXPECT_EQ(run(method, "000").text, "");
  }
}

TEST(Forward, PassesAnExpectationOnlyWhereTold) {
  RequestContext context = request_context();
  context.expect = ExpectPolicy::pass;
  const std::string fields = "Host: a\r\nExpect: 100-Continue\r\nContent-Length: 3\r\n\r\n";
  EXPECT_THAT(forward("PUT / HTTP/1.1\r\n" + fields, context).text, HasSubstr("\r\nExpect: 100-continue\r\n"));
  EXPECT_THAT(forward("PUT / HTTP/1.0\r\n" + fields, context).text, Not(HasSubstr("Expect")));
  EXPECT_THAT(forwarded("PUT / HTTP/1.1\r\n" + fields), Not(HasSubstr("Expect")));
}

TEST(Forward, UpgradesToWebsocketAndToNothingElse) {
  RequestContext context = request_context();
  context.upgrade = UpgradePolicy::websocket;
  const std::string key = "Sec-WebSocket-Key: AAAA==\r\nSec-WebSocket-Version: 13\r\n";
  const auto upgraded = [&](std::string_view line, std::string_view fields) {
    const std::string text =
        forward(std::string(line) + "\r\nHost: a\r\n" + std::string(fields) + key + "\r\n", context).text;
    EXPECT_THAT(text, HasSubstr(key));
    const bool named = text.contains("Upgrade: ");
    EXPECT_EQ(named, text.contains("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")) << text;
    return named;
  };
  const std::string_view get = "GET /v1/realtime HTTP/1.1";
  EXPECT_TRUE(upgraded(get, "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  EXPECT_TRUE(upgraded(get, "Connection: keep-alive, upgrade, sec-websocket-key\r\nUpgrade: h2c, WebSocket\r\n"));
  EXPECT_FALSE(upgraded(get, "Connection: Upgrade\r\nUpgrade: h2c\r\n"));
  EXPECT_FALSE(upgraded(get, "Upgrade: websocket\r\n"));
  EXPECT_FALSE(upgraded(get, "Connection: Upgrade\r\n"));
  EXPECT_FALSE(upgraded(get, "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n"));
  EXPECT_FALSE(upgraded(get, "Connection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n"));
  EXPECT_FALSE(upgraded("POST / HTTP/1.1", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  EXPECT_FALSE(upgraded("GET / HTTP/1.0", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  context.upgrade = UpgradePolicy::drop;
  EXPECT_FALSE(upgraded(get, "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
}

TEST(Forward, GivesARequestAnIdUnlessItBringsOne) {
  RequestContext context = request_context();
  context.request_id = "0123";
  EXPECT_THAT(forward("GET / HTTP/1.1\r\nHost: a\r\n\r\n", context).text, HasSubstr("\r\nX-Request-Id: 0123\r\n"));
  const std::string_view own = "GET / HTTP/1.1\r\nHost: a\r\nx-request-id: mine\r\nConnection: x-request-id\r\n\r\n";
  // What the log notes is the client's own, unless it is fit for no log.
  context.request_id = "mine";
  EXPECT_THAT(forward(own, context).text, HasSubstr("\r\nx-request-id: mine\r\n"));
  context.request_id = "0123";
  EXPECT_THAT(forward(own, context).text, HasSubstr("\r\nx-request-id: 0123\r\n"));
  EXPECT_THAT(forward(own, context).text, Not(HasSubstr("mine")));
  context.request_id = {};
  EXPECT_THAT(forward(own, context).text, HasSubstr("\r\nx-request-id: mine\r\n"));
}

TEST(Forward, RefusesAConnectionFieldWithoutBound) {
  std::string names;
  for (std::size_t i = 0; i < nominations_max; ++i) names += "a" + std::to_string(i) + ", ,";
  const std::string start = "GET / HTTP/1.1\r\nHost: a\r\nConnection: " + names;
  EXPECT_EQ(forward(start + "\r\n\r\n", request_context()).outcome, RequestOutcome::appended);
  const ForwardedRequest refused = forward(start + "one-more\r\n\r\n", request_context());
  EXPECT_EQ(refused.outcome, RequestOutcome::too_many_nominations);
  EXPECT_EQ(refused.text, "");
}

// What leaves towards the client for `bytes` from the engine.
std::string responded(std::string_view bytes, const ResponseContext& context, Answering answering = Answering::other,
                      ResponseOutcome expected = ResponseOutcome::appended) {
  UpstreamHead head;
  const UpstreamHeadOutcome parsed = parse_upstream_head(bytes, 0, bytes_max, answering, head);
  EXPECT_EQ(parsed.state, HeadState::complete) << bytes << parsed.sentence;
  std::string text;
  EXPECT_EQ(append_forwarded_response(text, head, context), expected) << bytes;
  return text;
}

ResponseContext response_context(int client_minor_version = 1) {
  ResponseContext context;
  context.client_minor_version = client_minor_version;
  context.after = AfterResponse::keep_alive;
  context.date_line = date;
  return context;
}

TEST(Forward, PassesAPlainResponseOn) {
  EXPECT_EQ(responded("HTTP/1.1 418 I'm a teapot\r\ndate: now\r\nserver: uvicorn\r\nset-cookie: a\r\nset-cookie: b\r\n"
                      "content-length: 007\r\nx-empty:\r\n\r\n",
                      response_context()),
            "HTTP/1.1 418 I'm a teapot\r\ndate: now\r\nserver: uvicorn\r\nset-cookie: a\r\nset-cookie: b\r\n"
            "x-empty: \r\nContent-Length: 7\r\n\r\n");
}

TEST(Forward, DropsWhatBelongsToTheEnginesConnection) {
  EXPECT_EQ(responded("HTTP/1.1 200\r\nConnection: close, X-Mine, content-type\r\nX-Mine: 1\r\nContent-Type: a/b\r\n"
                      "Keep-Alive: timeout=5\r\nTrailer: X\r\nUpgrade: h2c\r\nProxy-Authenticate: Basic\r\n"
                      "Transfer-Encoding: chunked\r\n\r\n",
                      response_context()),
            "HTTP/1.1 200 \r\nContent-Type: a/b\r\n" + std::string(date) + "Transfer-Encoding: chunked\r\n\r\n");
}

TEST(Forward, FramesABodyWithoutKnownLengthForEachClient) {
  for (const std::string_view bytes :
       {"HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 200 OK\r\nDate: now\r\n\r\n",
        "HTTP/1.0 200 OK\r\nDate: now\r\n\r\n"}) {
    EXPECT_EQ(responded(bytes, response_context(1)),
              "HTTP/1.1 200 OK\r\nDate: now\r\nTransfer-Encoding: chunked\r\n\r\n");
    EXPECT_EQ(responded(bytes, response_context(0)), "HTTP/1.1 200 OK\r\nDate: now\r\nConnection: close\r\n\r\n");
  }
  EXPECT_EQ(responded("HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 3\r\n\r\n", response_context(0)),
            "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 3\r\nConnection: close\r\n\r\n");
}

TEST(Forward, AnnouncesNoBodyWhereNoneComes) {
  ResponseContext context = response_context();
  context.date_line = "";
  EXPECT_EQ(responded("HTTP/1.1 204 A\r\nContent-Length: 0\r\n\r\n", context), "HTTP/1.1 204 A\r\n\r\n");
  EXPECT_EQ(responded("HTTP/1.1 204 A\r\nTransfer-Encoding: chunked\r\n\r\n", context), "HTTP/1.1 204 A\r\n\r\n");
  EXPECT_EQ(responded("HTTP/1.1 304 A\r\nContent-Length: 9\r\n\r\n", context),
            "HTTP/1.1 304 A\r\nContent-Length: 9\r\n\r\n");
  EXPECT_EQ(responded("HTTP/1.1 200 A\r\nContent-Length: 9\r\n\r\n", context, Answering::head),
            "HTTP/1.1 200 A\r\nContent-Length: 9\r\n\r\n");
  EXPECT_EQ(responded("HTTP/1.1 200 A\r\nTransfer-Encoding: chunked\r\n\r\n", context, Answering::head),
            "HTTP/1.1 200 A\r\n\r\n");
}

TEST(Forward, PassesInterimResponsesToClientsThatKnowThem) {
  const std::string_view hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: close\r\n\r\n";
  ResponseContext context = response_context();
  context.request_id = "0123";
  context.pseudonym = "gputach-5f3a";
  EXPECT_EQ(responded(hints, context), "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
  EXPECT_EQ(responded("HTTP/1.1 100 Continue\r\n\r\n", context), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(responded(hints, response_context(0), Answering::other, ResponseOutcome::withheld), "");
}

TEST(Forward, PassesTheSwitchToWebsocketOn) {
  EXPECT_EQ(responded("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nDate: now\r\n"
                      "Sec-WebSocket-Accept: x=\r\n\r\n",
                      response_context(), Answering::upgrade),
            "HTTP/1.1 101 Switching Protocols\r\nDate: now\r\nSec-WebSocket-Accept: x=\r\n"
            "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
}

TEST(Forward, AddsItsOwnLinesToAResponse) {
  ResponseContext context = response_context();
  context.after = AfterResponse::close;
  context.request_id = "0123";
  context.pseudonym = "gputach-5f3a";
  EXPECT_EQ(responded("HTTP/1.0 200 OK\r\nContent-Length: 3\r\n\r\n", context),
            "HTTP/1.1 200 OK\r\n" + std::string(date) +
                "X-Request-Id: 0123\r\nVia: 1.0 gputach-5f3a\r\nContent-Length: 3\r\nConnection: close\r\n\r\n");
  EXPECT_THAT(responded("HTTP/1.1 200 OK\r\nx-request-id: theirs\r\nContent-Length: 3\r\n\r\n", context),
              Not(HasSubstr("0123")));
  std::string names;
  for (std::size_t i = 0; i <= nominations_max; ++i) names += "a" + std::to_string(i) + ",";
  EXPECT_EQ(responded("HTTP/1.1 200 OK\r\nConnection: " + names + "\r\n\r\n", context, Answering::other,
                      ResponseOutcome::too_many_nominations),
            "");
}

}  // namespace
}  // namespace gputach::relay
