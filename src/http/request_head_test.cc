#include "http/request_head.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace gputach::http {
namespace {

constexpr std::size_t bytes_max = 16384;

HeadOutcome parse(std::string_view bytes, RequestHead& head) {
  return parse_request_head(bytes, 0, bytes_max, head);
}

// What a whole parse says about `bytes`, as one comparable text.
std::string describe(const HeadOutcome& outcome, const RequestHead& head) {
  if (outcome.state == HeadState::need_more) return "more";
  if (outcome.state == HeadState::rejected) {
    return std::to_string(outcome.error.status) + " " + std::string(outcome.error.sentence);
  }
  const Request& request = head.request;
  std::string text = std::string(request.method) + "|" + std::string(request.target) + "|" + std::string(request.path) +
                     "|" + std::string(request.query) + "|" + std::string(request.host) + "|1." +
                     std::to_string(request.minor_version) + "|" + std::to_string(static_cast<int>(head.framing)) +
                     "|" + std::to_string(head.content_length) + (head.keep_alive ? "|keep" : "|close") +
                     (head.expect_continue ? "|expect" : "") + "|" + std::to_string(head.size);
  for (const Field& field : request.fields) {
    text += "|" + std::string(field.name) + "=" + std::string(field.value);
  }
  return text;
}

// A copy of exactly the right size on the heap, so that the address sanitizer sees a read past the end.
std::string outcome_of(std::string_view bytes, std::size_t judged, RequestHead& head) {
  const auto exact = std::make_unique<char[]>(bytes.size());
  if (!bytes.empty()) std::memcpy(exact.get(), bytes.data(), bytes.size());
  return describe(parse_request_head({exact.get(), bytes.size()}, judged, bytes_max, head), head);
}

// The outcome of feeding `bytes` in pieces that end where `ends` says.
template <class NextEnd>
std::string outcome_in_pieces(std::string_view bytes, NextEnd next_end) {
  RequestHead head;
  std::size_t judged = 0;
  while (judged < bytes.size()) {
    const std::size_t end = next_end(judged);
    const std::string outcome = outcome_of(bytes.substr(0, end), judged, head);
    if (outcome != "more") return outcome;
    judged = end;
  }
  return "more";
}

struct Bad {
  const char* name;
  std::string head;
  int status;
};

std::string with_fields(std::string_view fields) {
  return "GET / HTTP/1.1\r\n" + std::string(fields) + "\r\n";
}
std::string with_host(std::string_view fields) {
  return with_fields("Host: a\r\n" + std::string(fields));
}
std::string with_line(std::string_view line) {
  return std::string(line) + "\r\nHost: a\r\n\r\n";
}

std::vector<Bad> bad_lines_and_targets() {
  return {
      {"bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", 400},
      {"bare LF after a field", "GET / HTTP/1.1\r\nHost: a\n\r\n", 400},
      {"bare LF at the end", "GET / HTTP/1.1\r\nHost: a\r\n\n", 400},
      {"bare CR in the request line", with_line("GET /\r HTTP/1.1"), 400},
      {"bare CR in a value", with_host("A: b\rc\r\n"), 400},
      {"CR CR LF", with_host("A: b\r\r\n"), 400},
      {"NUL in a value", with_host(std::string("A: b\0c\r\n", 8)), 400},
      {"NUL in the target", with_line(std::string("GET /a\0b HTTP/1.1", 17)), 400},
      {"control character in a value", with_host("A: \x01\r\n"), 400},
      {"DEL in a value", with_host("A: \x7f\r\n"), 400},
      {"two empty lines first", "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"a CR first", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"an LF first", "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400},
      {"a space first", with_line(" GET / HTTP/1.1"), 400},
      {"a TLS client hello", std::string("\x16\x03\x01\x02\x00\x01", 6), 400},
      {"two spaces before the target", with_line("GET  / HTTP/1.1"), 400},
      {"two spaces before the version", with_line("GET /  HTTP/1.1"), 400},
      {"a space after the version", with_line("GET / HTTP/1.1 "), 400},
      {"a tab as separator", with_line("GET\t/\tHTTP/1.1"), 400},
      {"no target", with_line("GET HTTP/1.1"), 400},
      {"an empty target", with_line("GET  HTTP/1.1"), 400},
      {"HTTP/0.9", with_line("GET /"), 400},
      {"a method that is not a token", with_line("G(T / HTTP/1.1"), 400},
      {"a method beyond all methods", with_line(std::string(33, 'A') + " / HTTP/1.1"), 501},
      {"lower-case version", with_line("GET / http/1.1"), 400},
      {"version without a dot", with_line("GET / HTTP/11"), 400},
      {"version with two digits", with_line("GET / HTTP/1.10"), 400},
      {"HTTP/2.0", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
      {"HTTP/1.2", with_line("GET / HTTP/1.2"), 505},
      {"HTTP/0.9 spelt out", with_line("GET / HTTP/0.9"), 505},
      {"a fragment", with_line("GET /a#b HTTP/1.1"), 400},
      {"a target beyond ASCII", with_line("GET /\xc3\xa4 HTTP/1.1"), 400},
      {"a relative target", with_line("GET a/b HTTP/1.1"), 400},
      {"another scheme", with_line("GET ftp://a/ HTTP/1.1"), 400},
      {"an authority without CONNECT", with_line("GET a:80 HTTP/1.1"), 400},
      {"the asterisk without OPTIONS", with_line("GET * HTTP/1.1"), 400},
      {"CONNECT", with_line("CONNECT a:80 HTTP/1.1"), 501},
      {"user information", with_line("GET http://user@a/ HTTP/1.1"), 400},
      {"an absolute target without host", with_line("GET http:///a HTTP/1.1"), 400},
      {"an absolute target with a port only", with_line("GET http://:80/a HTTP/1.1"), 400},
  };
}

std::vector<Bad> bad_fields() {
  return {
      {"no Host", with_fields(""), 400},
      {"no Host beside an absolute target", "GET http://a/ HTTP/1.1\r\n\r\n", 400},
      {"two Hosts", with_fields("Host: a\r\nHost: a\r\n"), 400},
      {"two Hosts in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n", 400},
      {"a Host with a path", with_fields("Host: a/b\r\n"), 400},
      {"a Host with user information", with_fields("Host: u@a\r\n"), 400},
      {"a Host with a space", with_fields("Host: a b\r\n"), 400},
      {"a Host list", with_fields("Host: a, b\r\n"), 400},
      {"a Host with a bad port", with_fields("Host: a:8x\r\n"), 400},
      {"a Host with a long port", with_fields("Host: a:123456\r\n"), 400},
      {"a Host with an open bracket", with_fields("Host: [::1\r\n"), 400},
      {"a Host with text after the bracket", with_fields("Host: [::1]80\r\n"), 400},
      {"space before the colon", with_host("A : b\r\n"), 400},
      {"tab before the colon", with_host("A\t: b\r\n"), 400},
      {"no colon", with_host("A b\r\n"), 400},
      {"an empty name", with_host(": b\r\n"), 400},
      {"a name that is not a token", with_host("A(b): c\r\n"), 400},
      {"obs-fold by space", with_host("A: b\r\n c\r\n"), 400},
      {"obs-fold by tab", with_host("A: b\r\n\tc\r\n"), 400},
      {"a first field that begins with a space", with_fields(" A: b\r\nHost: a\r\n"), 400},
  };
}

std::vector<Bad> bad_framing_and_sizes() {
  std::vector<Bad> heads{
      {"Content-Length empty", with_host("Content-Length:\r\n"), 400},
      {"Content-Length with a sign", with_host("Content-Length: +1\r\n"), 400},
      {"Content-Length negative", with_host("Content-Length: -1\r\n"), 400},
      {"Content-Length in hexadecimal", with_host("Content-Length: 0x10\r\n"), 400},
      {"Content-Length with a fraction", with_host("Content-Length: 1.0\r\n"), 400},
      {"Content-Length as a list", with_host("Content-Length: 42, 42\r\n"), 400},
      {"Content-Length with a space inside", with_host("Content-Length: 4 2\r\n"), 400},
      {"Content-Length beyond 64 bits", with_host("Content-Length: 18446744073709551616\r\n"), 400},
      {"Content-Length twice, different", with_host("Content-Length: 1\r\nContent-Length: 2\r\n"), 400},
      {"Content-Length twice, the same", with_host("Content-Length: 1\r\nContent-Length: 1\r\n"), 400},
      {"both framings", with_host("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), 400},
      {"both framings, other order", with_host("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), 400},
      {"both framings in 1.0", "GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", 400},
      {"a coding in 1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
      {"an empty coding", with_host("Transfer-Encoding:\r\n"), 400},
      {"an empty list element", with_host("Transfer-Encoding: , chunked\r\n"), 400},
      {"a list that ends in a comma", with_host("Transfer-Encoding: chunked,\r\n"), 400},
      {"an unknown coding", with_host("Transfer-Encoding: gzip\r\n"), 501},
      {"an unknown coding before chunked", with_host("Transfer-Encoding: gzip, chunked\r\n"), 501},
      {"identity", with_host("Transfer-Encoding: identity\r\n"), 501},
      {"chunked not last", with_host("Transfer-Encoding: chunked, gzip\r\n"), 400},
      {"chunked twice", with_host("Transfer-Encoding: chunked, chunked\r\n"), 400},
      {"chunked twice in two fields", with_host("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), 400},
      {"chunked and then identity", with_host("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), 400},
      {"chunked with a parameter", with_host("Transfer-Encoding: chunked;a=b\r\n"), 400},
      {"chunked in quotes", with_host("Transfer-Encoding: \"chunked\"\r\n"), 400},
      {"chunked with a vertical tab",
       with_host("Transfer-Encoding: \x0b"
                 "chunked\r\n"),
       400},
      {"another expectation", with_host("Expect: tea\r\n"), 417},
      {"a target too long", with_line("GET /" + std::string(8192, 'a') + " HTTP/1.1"), 414},
      {"a request line too long", "GET /" + std::string(9000, 'a'), 414},
      {"a head too large", with_host("A: " + std::string(bytes_max, 'a') + "\r\n"), 431},
      {"a head too large without an end", "GET / HTTP/1.1\r\nA: " + std::string(bytes_max, 'a'), 431},
  };
  std::string many;
  for (int i = 0; i < 100; ++i) many += "A: b\r\n";
  heads.push_back({"too many fields", with_host(many), 431});
  return heads;
}

std::vector<Bad> bad_heads() {
  std::vector<Bad> heads;
  for (const auto& part : {bad_lines_and_targets(), bad_fields(), bad_framing_and_sizes()}) {
    heads.insert(heads.end(), part.begin(), part.end());
  }
  return heads;
}

std::vector<std::string> good_heads() {
  std::string many = "Host: a\r\n";
  for (int i = 0; i < 99; ++i) many += "A: b\r\n";
  return {
      with_host(""),
      with_fields("Host:\r\n"),
      with_fields("host:a:8080\r\n"),
      with_fields("Host: [2001:db8::1]:80\r\nA:\r\n"),
      with_host("A: \t b\tc \x80\xff \t\r\nConnection: foo, Close\r\n"),
      "\r\nPOST /p?q?r HTTP/1.1\r\nHost: a\r\nContent-Length: 0018\r\n\r\nGET /",
      "GET http://b:1/x?y HTTP/1.1\r\nHost: a\r\n\r\n",
      "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
      "GET / HTTP/1.0\r\n\r\n",
      "GET / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n",
      with_host("Transfer-Encoding: Chunked\r\nExpect: 100-Continue\r\n"),
      with_fields(many),
      with_line("GET /" + std::string(8191, 'a') + " HTTP/1.1"),
  };
}

TEST(RequestHead, ReadsAPlainRequest) {
  RequestHead head;
  const std::string bytes = "GET /proxy/stats?missing=list HTTP/1.1\r\nHost: gpu:8080\r\nAccept:  */* \r\n\r\nrest";
  ASSERT_EQ(parse(bytes, head).state, HeadState::complete);
  EXPECT_EQ(head.request.method, "GET");
  EXPECT_EQ(head.request.target, "/proxy/stats?missing=list");
  EXPECT_EQ(head.request.path, "/proxy/stats");
  EXPECT_EQ(head.request.query, "missing=list");
  EXPECT_EQ(head.request.host, "gpu:8080");
  EXPECT_EQ(head.request.minor_version, 1);
  EXPECT_EQ(head.request.field("ACCEPT"), "*/*");
  EXPECT_EQ(head.request.field("Absent"), "");
  EXPECT_EQ(head.framing, Framing::none);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_FALSE(head.expect_continue);
  EXPECT_EQ(head.size, bytes.size() - 4);
}

TEST(RequestHead, AcceptsTheseForms) {
  RequestHead head;
  const std::vector<std::string> heads = good_heads();
  for (const std::string& bytes : heads) {
    EXPECT_EQ(parse(bytes, head).state, HeadState::complete) << bytes << describe(parse(bytes, head), head);
  }
}

TEST(RequestHead, RejectsEachOfTheseForms) {
  RequestHead head;
  for (const Bad& row : bad_heads()) {
    const HeadOutcome outcome = parse(row.head, head);
    EXPECT_EQ(outcome.state, HeadState::rejected) << row.name;
    EXPECT_EQ(outcome.error.status, row.status) << row.name << ": " << outcome.error.sentence;
  }
}

TEST(RequestHead, DerivesFramingAndPersistence) {
  RequestHead head;
  ASSERT_EQ(parse(with_host("Content-Length: 18446744073709551615\r\n"), head).state, HeadState::complete);
  EXPECT_EQ(head.framing, Framing::length);
  EXPECT_EQ(head.content_length, 18446744073709551615U);
  ASSERT_EQ(parse(with_host("Transfer-Encoding: CHUNKED\r\nExpect: 100-continue\r\n"), head).state,
            HeadState::complete);
  EXPECT_EQ(head.framing, Framing::chunked);
  EXPECT_TRUE(head.expect_continue);
  ASSERT_EQ(parse(with_host("Connection: a , CLOSE\r\n"), head).state, HeadState::complete);
  EXPECT_FALSE(head.keep_alive);
  EXPECT_FALSE(head.expect_continue) << "left over from the head before";
  ASSERT_EQ(parse("GET / HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n", head).state,
            HeadState::complete);
  EXPECT_FALSE(head.keep_alive);
  EXPECT_FALSE(head.expect_continue);
}

TEST(RequestHead, TakesTheHostFromAnAbsoluteTarget) {
  RequestHead head;
  ASSERT_EQ(parse("GET HTTP://real:81?q HTTP/1.1\r\nHost: pretended\r\n\r\n", head).state, HeadState::complete);
  EXPECT_EQ(head.request.host, "real:81");
  EXPECT_EQ(head.request.field("Host"), "real:81");
  EXPECT_EQ(head.request.path, "/");
  EXPECT_EQ(head.request.query, "q");
}

TEST(RequestHead, GivesTheSameOutcomeWhereverTheBytesAreCut) {
  std::vector<std::string> heads = good_heads();
  for (const Bad& row : bad_heads()) heads.push_back(row.head);
  RequestHead head;
  for (const std::string& bytes : heads) {
    const std::string whole = outcome_of(bytes, 0, head);
    EXPECT_EQ(outcome_in_pieces(bytes, [](std::size_t at) { return at + 1; }), whole) << bytes.substr(0, 200);
    const std::size_t stride = bytes.size() > 1000 ? 97 : 1;
    for (std::size_t cut = 1; cut < bytes.size(); cut += stride) {
      const auto next_end = [&](std::size_t at) { return at < cut ? cut : bytes.size(); };
      ASSERT_EQ(outcome_in_pieces(bytes, next_end), whole) << "cut at " << cut << " of " << bytes.substr(0, 200);
    }
  }
}

TEST(RequestHead, EveryProperPrefixOfAGoodHeadNeedsMore) {
  RequestHead head;
  for (const std::string& bytes : good_heads()) {
    ASSERT_EQ(parse(bytes, head).state, HeadState::complete);
    const std::size_t size = head.size;
    for (std::size_t end = 0; end < size; end += size > 1000 ? 61 : 1) {
      EXPECT_EQ(parse(bytes.substr(0, end), head).state, HeadState::need_more) << end << " of " << bytes.substr(0, 99);
    }
  }
}

// Seeds that once failed can be given again by GPUTACH_TEST_SEED.
TEST(RequestHead, SurvivesRandomMutationsAndStaysIndependentOfTheCut) {
  const char* given = std::getenv("GPUTACH_TEST_SEED");
  const unsigned seed = given != nullptr ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
  SCOPED_TRACE("GPUTACH_TEST_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  std::vector<std::string> corpus = good_heads();
  for (const Bad& row : bad_heads()) {
    if (row.head.size() < 1000) corpus.push_back(row.head);
  }
  constexpr std::string_view spice(
      "\r\n\t :,;/*?#\0\x7f\xff"
      "0aG",
      17);
  const auto below = [&random](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  RequestHead head;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = corpus[below(corpus.size())].substr(0, 400);
    for (std::size_t change = 1 + below(3); change > 0 && !bytes.empty(); --change) {
      const std::size_t at = below(bytes.size());
      switch (below(4)) {
        case 0: bytes[at] = spice[below(spice.size())]; break;
        case 1: bytes.insert(at, 1, spice[below(spice.size())]); break;
        case 2: bytes.erase(at, 1 + below(3)); break;
        default: bytes.insert(at, bytes.substr(below(bytes.size()), 1 + below(20))); break;
      }
    }
    const std::string whole = outcome_of(bytes, 0, head);
    const auto random_end = [&](std::size_t at) { return at + 1 + below(bytes.size() - at); };
    ASSERT_EQ(outcome_in_pieces(bytes, random_end), whole) << testing::PrintToString(bytes);
  }
}

}  // namespace
}  // namespace gputach::http
