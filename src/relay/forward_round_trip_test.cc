// Round trips: what has been forwarded is parsed again and compared with what came, over random heads, by a naive twin.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <random>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "relay/forward.h"

namespace gputach::relay {
namespace {

using http::AfterResponse;
using http::HeadState;

constexpr std::size_t bytes_max = 16384;

RequestContext request_context() {
  RequestContext context;
  context.peer = "192.0.2.7";
  context.scheme = "http";
  context.upstream_host = "127.0.0.1:8000";
  context.pseudonym = "gputach-5f3a";
  return context;
}

ResponseContext response_context(int client_minor_version) {
  ResponseContext context;
  context.client_minor_version = client_minor_version;
  context.after = AfterResponse::keep_alive;
  context.date_line = "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n";
  return context;
}

// The twin, in sets and maps: which fields of the client must arrive, in which order.
std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return out;
}

std::vector<std::string> words(std::string_view list) {
  std::vector<std::string> all;
  std::string word;
  for (const char c : std::string(list) + ",") {
    if (c == ',') {
      if (!word.empty()) all.push_back(word);
      word.clear();
    } else if (c != ' ' && c != '\t') {
      word += lower({&c, 1});
    }
  }
  return all;
}

std::vector<std::string> survivors(std::span<const http::Field> fields, bool of_request) {
  std::set<std::string> gone{
      "connection",     "keep-alive",          "proxy-connection",  "te", "trailer", "transfer-encoding", "upgrade",
      "content-length", "proxy-authorization", "proxy-authenticate"};
  if (of_request) gone.insert({"host", "expect", "forwarded"});
  for (const auto& [name, value] : fields) {
    if (lower(name) != "connection") continue;
    for (const std::string& nominated : words(value)) {
      if (nominated != "authorization" && nominated != "via" && nominated != "date") gone.insert(nominated);
    }
  }
  std::vector<std::string> kept;
  for (const auto& [name, value] : fields) {
    const bool claims = of_request && lower(name).starts_with("x-forwarded-");
    if (!claims && !gone.contains(lower(name))) kept.push_back(std::string(name) + "=" + std::string(value));
  }
  return kept;
}

std::vector<std::string> listed(std::span<const http::Field> fields) {
  std::vector<std::string> all;
  for (const auto& [name, value] : fields) all.push_back(std::string(name) + "=" + std::string(value));
  return all;
}

// Random heads out of the fields that matter; many of them are refused by the parsers, the rest is forwarded.
class RandomHeads {
 public:
  explicit RandomHeads(unsigned seed) : random_(seed) {}

  std::size_t below(std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random_); }

  std::string request() {
    static const std::vector<std::string> lines{"GET / HTTP/1.1", "POST /v1/x?y HTTP/1.1", "GET http://h:1?q HTTP/1.1",
                                                "OPTIONS http://h HTTP/1.1", "PUT / HTTP/1.0"};
    return pick(lines) + "\r\nHost: a\r\n" + fields();
  }
  std::string response() {
    static const std::vector<std::string> lines{"HTTP/1.1 200 OK", "HTTP/1.0 200",   "HTTP/1.1 204 ",
                                                "HTTP/1.1 304 N",  "HTTP/1.1 100 C", "HTTP/1.1 599 x y"};
    return pick(lines) + "\r\n" + fields();
  }

 private:
  const std::string& pick(const std::vector<std::string>& from) { return from[below(from.size())]; }

  std::string fields() {
    static const std::vector<std::string> names{
        "Connection",      "TE",        "Via",     "X-A",  "x-b",     "Keep-Alive",          "Authorization",
        "X-Forwarded-For", "Forwarded", "Upgrade", "Date", "Trailer", "Proxy-Authorization", "x-forwarded-proto",
        "Content-Type"};
    static const std::vector<std::string> values{
        "x-a", "close, X-B", "keep-alive", "authorization,via",     "1.1 other",
        "",    "a b\tc",     "websocket",  "x-forwarded-for, date", "h2c"};
    static const std::vector<std::string> framings{"", "", "Content-Length: 12\r\n", "Transfer-Encoding: chunked\r\n"};
    std::string text;
    for (std::size_t count = below(9); count > 0; --count) text += pick(names) + ": " + pick(values) + "\r\n";
    text += pick(framings) + "\r\n";
    if (below(4) == 0) text[below(text.size())] = "\r\n :,\t"[below(6)];
    return text;
  }

  std::mt19937 random_;
};

unsigned test_seed() {
  const char* given = std::getenv("GPUTACH_TEST_SEED");
  return given != nullptr ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
}

void expect_same_request(const http::RequestHead& before, const std::string& text) {
  http::RequestHead after;
  const http::HeadOutcome outcome = http::parse_request_head(text, 0, bytes_max, after);
  ASSERT_EQ(outcome.state, HeadState::complete) << outcome.error.sentence;
  EXPECT_EQ(after.size, text.size());
  EXPECT_EQ(after.request.method, before.request.method);
  EXPECT_EQ(after.request.host, before.request.host);
  if (after.request.target != "*") {
    EXPECT_EQ(after.request.path, before.request.path);
  }
  EXPECT_EQ(after.request.query, before.request.query);
  EXPECT_EQ(after.framing, before.framing);
  EXPECT_EQ(after.content_length, before.content_length);
  EXPECT_TRUE(after.keep_alive);
  const std::vector<std::string> kept = survivors(before.request.fields, true);
  const std::vector<std::string> all = listed(after.request.fields);
  ASSERT_GE(all.size(), 1 + kept.size());
  EXPECT_EQ(std::vector(all.begin() + 1, all.begin() + 1 + static_cast<std::ptrdiff_t>(kept.size())), kept);
  std::map<std::string, int> times;
  for (const auto& field : after.request.fields) ++times[lower(field.name)];
  for (const char* once : {"host", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded"}) {
    EXPECT_EQ(times[once], 1) << once;
  }
  for (const char* never : {"te", "trailer", "keep-alive", "proxy-authorization"}) EXPECT_EQ(times[never], 0) << never;
  EXPECT_EQ(after.request.field("X-Forwarded-For"), "192.0.2.7");
}

TEST(ForwardRoundTrip, AnEngineReadsTheSameRequestThatTheClientSent) {
  const unsigned seed = test_seed();
  SCOPED_TRACE("GPUTACH_TEST_SEED=" + std::to_string(seed));
  RandomHeads heads(seed);
  int round_trips = 0;
  for (int round = 0; round < 10'000; ++round) {
    const std::string bytes = heads.request();
    http::RequestHead head;
    if (http::parse_request_head(bytes, 0, bytes_max, head).state != HeadState::complete) continue;
    std::string text;
    ASSERT_EQ(append_forwarded_request(text, head.request, {head.framing, head.content_length}, request_context()),
              RequestOutcome::appended);
    expect_same_request(head, text);
    if (testing::Test::HasFailure()) FAIL() << testing::PrintToString(bytes) << "\n" << text;
    ++round_trips;
  }
  EXPECT_GT(round_trips, 1000);
}

void expect_same_response(const UpstreamHead& before, const std::string& text, Answering answering, int client_minor) {
  UpstreamHead after;
  const UpstreamHeadOutcome outcome = parse_upstream_head(text, 0, bytes_max, answering, after);
  ASSERT_EQ(outcome.state, HeadState::complete) << outcome.sentence;
  EXPECT_EQ(after.size, text.size());
  EXPECT_EQ(after.status, before.status);
  EXPECT_EQ(after.reason, before.reason);
  EXPECT_EQ(after.framing, framing_for_client(before, client_minor));
  if (after.framing == BodyFraming::length) {
    EXPECT_EQ(after.content_length, before.content_length);
  }
  const std::vector<std::string> kept = survivors(before.fields, false);
  const std::vector<std::string> all = listed(after.fields);
  ASSERT_GE(all.size(), kept.size());
  EXPECT_EQ(std::vector(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(kept.size())), kept);
  const auto dates = std::ranges::count_if(after.fields, [](const auto& f) { return lower(f.name) == "date"; });
  EXPECT_TRUE(before.is_interim() || dates >= 1);
  if (!before.is_interim()) {
    EXPECT_EQ(after.keep_alive, client_minor == 1);
  }
}

TEST(ForwardRoundTrip, AClientReadsTheSameResponseThatTheEngineSent) {
  const unsigned seed = test_seed();
  SCOPED_TRACE("GPUTACH_TEST_SEED=" + std::to_string(seed));
  RandomHeads heads(seed);
  int round_trips = 0;
  for (int round = 0; round < 10'000; ++round) {
    const std::string bytes = heads.response();
    const Answering answering = heads.below(4) == 0 ? Answering::head : Answering::other;
    const int client_minor = heads.below(3) == 0 ? 0 : 1;
    UpstreamHead head;
    if (parse_upstream_head(bytes, 0, bytes_max, answering, head).state != HeadState::complete) continue;
    std::string text;
    const ResponseOutcome outcome = append_forwarded_response(text, head, response_context(client_minor));
    ASSERT_EQ(outcome == ResponseOutcome::withheld, head.is_interim() && client_minor == 0);
    if (outcome != ResponseOutcome::appended) continue;
    expect_same_response(head, text, answering, client_minor);
    if (testing::Test::HasFailure()) FAIL() << testing::PrintToString(bytes) << "\n" << text;
    ++round_trips;
  }
  EXPECT_GT(round_trips, 1000);
}

}  // namespace
}  // namespace gputach::relay
