#include "relay/upstream_head.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace gputach::relay {
namespace {

using http::HeadState;

constexpr std::size_t bytes_max = 16384;

UpstreamHeadOutcome parse(std::string_view bytes, UpstreamHead& head, Answering answering = Answering::other) {
  return parse_upstream_head(bytes, 0, bytes_max, answering, head);
}

// What a whole parse says about `bytes`, as one comparable text.
std::string describe(const UpstreamHeadOutcome& outcome, const UpstreamHead& head) {
  if (outcome.state == HeadState::need_more) return "more";
  if (outcome.state == HeadState::rejected) {
    return std::string(describe(outcome.fault).error) + " " + std::string(outcome.sentence);
  }
  std::string text = "1." + std::to_string(head.minor_version) + "|" + std::to_string(head.status) + "|" +
                     std::string(head.reason) + "|" + std::to_string(static_cast<int>(head.framing)) + "|" +
                     (head.content_length ? std::to_string(*head.content_length) : "-") +
                     (head.keep_alive ? "|keep|" : "|close|") + std::to_string(head.size);
  for (const http::Field& field : head.fields) {
    text += "|" + std::string(field.name) + "=" + std::string(field.value);
  }
  return text;
}

// A copy of exactly the right size on the heap, so that the address sanitizer sees a read past the end.
std::string outcome_of(std::string_view bytes, std::size_t judged, Answering answering, UpstreamHead& head) {
  const auto exact = std::make_unique<char[]>(bytes.size());
  if (!bytes.empty()) std::memcpy(exact.get(), bytes.data(), bytes.size());
  return describe(parse_upstream_head({exact.get(), bytes.size()}, judged, bytes_max, answering, head), head);
}

// The outcome of feeding `bytes` in pieces that end where `next_end` says.
template <class NextEnd>
std::string outcome_in_pieces(std::string_view bytes, Answering answering, NextEnd next_end) {
  UpstreamHead head;
  std::size_t judged = 0;
  while (judged < bytes.size()) {
    const std::size_t end = next_end(judged);
    const std::string outcome = outcome_of(bytes.substr(0, end), judged, answering, head);
    if (outcome != "more") return outcome;
    judged = end;
  }
  return "more";
}

std::string with_line(std::string_view line) {
  return std::string(line) + "\r\nContent-Length: 0\r\n\r\n";
}
std::string with_fields(std::string_view fields) {
  return "HTTP/1.1 200 OK\r\n" + std::string(fields) + "\r\n";
}

struct Bad {
  const char* name;
  std::string head;
  GatewayFault fault = GatewayFault::response_malformed;
};

std::vector<Bad> bad_lines() {
  return {
      {"an empty line first", "\r\nHTTP/1.1 200 OK\r\n\r\n"},
      {"a space first", " HTTP/1.1 200 OK\r\n\r\n"},
      {"TLS", std::string("\x15\x03\x01\x00\x02", 5)},
      {"HTTP/0.9, as a page", "<html>"},
      {"lower case", with_line("http/1.1 200 OK")},
      {"HTTP/2", with_line("HTTP/2 200")},
      {"HTTP/1.2", with_line("HTTP/1.2 200 OK")},
      {"HTTP/1.10", with_line("HTTP/1.10 200 OK")},
      {"no status", with_line("HTTP/1.1")},
      {"no status but a space", with_line("HTTP/1.1 ")},
      {"two spaces", with_line("HTTP/1.1  200 OK")},
      {"a tab", with_line("HTTP/1.1\t200 OK")},
      {"two digits", with_line("HTTP/1.1 20 OK")},
      {"four digits", with_line("HTTP/1.1 2000 OK")},
      {"a status below 100", with_line("HTTP/1.1 099 OK")},
      {"a status with a sign", with_line("HTTP/1.1 +20 OK")},
      {"a status with a letter", with_line("HTTP/1.1 2O0 OK")},
      {"a reason after a tab", with_line("HTTP/1.1 200\tOK")},
      {"a control character in the reason", with_line("HTTP/1.1 200 O\x01K")},
      {"a bare CR in the reason", with_line("HTTP/1.1 200 O\rK")},
      {"NUL in the reason", with_line(std::string("HTTP/1.1 200 O\0K", 16))},
      {"bare LF after the status line", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"},
      {"bare LF after a field", "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n"},
      {"bare LF at the end", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n"},
  };
}

std::vector<Bad> bad_fields() {
  return {
      {"space before the colon", with_fields("Content-Length : 5\r\n")},
      {"tab before the colon", with_fields("A\t: b\r\n")},
      {"no colon", with_fields("A b\r\n")},
      {"an empty name", with_fields(": b\r\n")},
      {"a name that is not a token", with_fields("A(b): c\r\n")},
      {"obs-fold by space", with_fields("A: b\r\n c\r\n")},
      {"obs-fold by tab", with_fields("A: b\r\n\tc\r\n")},
      {"a first field that begins with a space", with_fields(" A: b\r\n")},
      {"bare CR in a value", with_fields("A: b\rc\r\n")},
      {"CR CR LF", with_fields("A: b\r\r\n")},
      {"NUL in a value", with_fields(std::string("A: b\0c\r\n", 8))},
      {"DEL in a value", with_fields("A: \x7f\r\n")},
      {"Content-Length empty", with_fields("Content-Length:\r\n")},
      {"Content-Length with a sign", with_fields("Content-Length: +1\r\n")},
      {"Content-Length negative", with_fields("Content-Length: -1\r\n")},
      {"Content-Length in hexadecimal", with_fields("Content-Length: 0x10\r\n")},
      {"Content-Length as a list", with_fields("Content-Length: 42, 42\r\n")},
      {"Content-Length beyond 64 bits", with_fields("Content-Length: 18446744073709551616\r\n")},
      {"Content-Length twice, different", with_fields("Content-Length: 1\r\nContent-Length: 2\r\n")},
      {"Content-Length twice, the same", with_fields("Content-Length: 1\r\ncontent-length: 1\r\n")},
      {"both framings", with_fields("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n")},
      {"both framings, other order", with_fields("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n")},
      {"both framings without a body", "HTTP/1.1 304 A\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n"},
      {"a coding in 1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"an empty coding", with_fields("Transfer-Encoding:\r\n")},
      {"an empty list element", with_fields("Transfer-Encoding: , chunked\r\n")},
      {"an unknown coding", with_fields("Transfer-Encoding: gzip\r\n")},
      {"an unknown coding before chunked", with_fields("Transfer-Encoding: gzip, chunked\r\n")},
      {"identity", with_fields("Transfer-Encoding: identity\r\n")},
      {"chunked not last", with_fields("Transfer-Encoding: chunked, gzip\r\n")},
      {"chunked twice", with_fields("Transfer-Encoding: chunked, chunked\r\n")},
      {"chunked twice in two fields", with_fields("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n")},
      {"chunked with a parameter", with_fields("Transfer-Encoding: chunked;a=b\r\n")},
      {"chunked in quotes", with_fields("Transfer-Encoding: \"chunked\"\r\n")},
      {"chunked with a vertical tab", with_fields("Transfer-Encoding: \x0b"
                                                  "chunked\r\n")},
      {"an interim response with a length", "HTTP/1.1 100 Continue\r\nContent-Length: 1\r\n\r\n"},
      {"an interim response with chunks", "HTTP/1.1 103 Hints\r\nTransfer-Encoding: chunked\r\n\r\n"},
      {"101 without having been asked",
       "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"},
  };
}

std::vector<Bad> bad_heads() {
  std::vector<Bad> heads = bad_lines();
  for (Bad& row : bad_fields()) heads.push_back(std::move(row));
  std::string many;
  for (std::size_t i = 0; i <= upstream_fields_max; ++i) many += "A: b\r\n";
  constexpr auto too_large = GatewayFault::response_head_too_large;
  heads.push_back({"too many fields", with_fields(many), too_large});
  heads.push_back({"a head too large", with_fields("A: " + std::string(bytes_max, 'a') + "\r\n"), too_large});
  heads.push_back({"a head too large without an end", "HTTP/1.1 200 " + std::string(bytes_max, 'a'), too_large});
  return heads;
}

// As these servers send them: status line, case of names, order of fields.
struct Good {
  const char* name;
  std::string head;
  BodyFraming framing;
  bool keep_alive;
};

std::vector<Good> good_heads() {
  std::string many;
  for (std::size_t i = 0; i < upstream_fields_max; ++i) many += "A: b\r\n";
  return {
      {"uvicorn, JSON",
       "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: uvicorn\r\ncontent-length: 15\r\n"
       "content-type: application/json\r\n\r\n{\"a\":\"response\"}",
       BodyFraming::length, true},
      {"uvicorn, events",
       "HTTP/1.1 200 OK\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: uvicorn\r\n"
       "content-type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n",
       BodyFraming::chunked, true},
      {"uvicorn, 204 about to close",
       "HTTP/1.1 204 No Content\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: uvicorn\r\nconnection: close\r\n\r\n",
       BodyFraming::none, false},
      {"Node",
       "HTTP/1.1 200 OK\r\nX-Powered-By: Express\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: keep-alive\r\n"
       "Keep-Alive: timeout=5\r\nTransfer-Encoding: chunked\r\n\r\n",
       BodyFraming::chunked, true},
      {"Node, to HTTP/1.0", "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nConnection: close\r\n\r\nabc",
       BodyFraming::until_close, false},
      {"llama.cpp",
       "HTTP/1.1 200 OK\r\nKeep-Alive: timeout=5, max=100\r\nServer: llama.cpp\r\n"
       "Access-Control-Allow-Origin: \r\nContent-Length: 4\r\nContent-Type: application/json; charset=utf-8\r\n\r\n",
       BodyFraming::length, true},
      {"nginx", "HTTP/1.1 304 Not Modified\r\nServer: nginx/1.22.1\r\nConnection: keep-alive\r\nETag: \"5f-1\"\r\n\r\n",
       BodyFraming::none, true},
      {"nginx, last request", "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
       BodyFraming::length, false},
      {"Python's http.server", "HTTP/1.0 200 OK\r\nServer: SimpleHTTP/0.6 Python/3.11.2\r\nContent-Length: 3\r\n\r\n",
       BodyFraming::length, false},
      {"HTTP/1.0 with keep-alive", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: Keep-Alive\r\n\r\n",
       BodyFraming::length, true},
      {"HTTP/1.0 with both", "HTTP/1.0 200 OK\r\nContent-Length: 3\r\nConnection: keep-alive, close\r\n\r\n",
       BodyFraming::length, false},
      {"HTTP/1.0 with keep-alive and no length", "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n",
       BodyFraming::until_close, false},
      {"an empty reason", with_line("HTTP/1.1 200 "), BodyFraming::length, true},
      {"neither reason nor space", with_line("HTTP/1.1 200"), BodyFraming::length, true},
      {"a reason of several words", with_line("HTTP/1.1 404 No such \t thing \xc3\xa4"), BodyFraming::length, true},
      {"an unknown status", with_line("HTTP/1.1 999 Beyond"), BodyFraming::length, true},
      {"no fields", "HTTP/1.1 200 OK\r\n\r\n", BodyFraming::until_close, false},
      {"100 Continue", "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n", BodyFraming::none, true},
      {"103 Early Hints", "HTTP/1.1 103 Early Hints\r\nLink: </a>; rel=preload\r\n\r\n", BodyFraming::none, true},
      {"204 with a length", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", BodyFraming::none, false},
      {"204 with length zero", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", BodyFraming::none, true},
      {"304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", BodyFraming::none, true},
      {"a refused upgrade", "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nUpgrade: websocket\r\n\r\n",
       BodyFraming::length, true},
      {"as many fields as allowed", with_fields(many), BodyFraming::until_close, false},
      {"a value beyond ASCII", with_fields("A: \t b\tc \x80\xff \t\r\nTransfer-Encoding: CHUNKED\r\n"),
       BodyFraming::chunked, true},
      {"leading zeros", with_fields("Content-Length: 0018\r\n"), BodyFraming::length, true},
  };
}

TEST(UpstreamHead, ReadsAPlainResponse) {
  UpstreamHead head;
  const std::string bytes = "HTTP/1.1 404 Not Found\r\ncontent-type:  text/plain \r\nContent-Length: 4\r\n\r\nrest";
  ASSERT_EQ(parse(bytes, head).state, HeadState::complete);
  EXPECT_EQ(head.minor_version, 1);
  EXPECT_EQ(head.status, 404);
  EXPECT_EQ(head.reason, "Not Found");
  ASSERT_EQ(head.fields.size(), 2U);
  EXPECT_EQ(head.fields[0].name, "content-type");
  EXPECT_EQ(head.fields[0].value, "text/plain");
  EXPECT_EQ(head.framing, BodyFraming::length);
  EXPECT_EQ(head.content_length, 4U);
  EXPECT_TRUE(head.keep_alive);
  EXPECT_FALSE(head.is_interim());
  EXPECT_EQ(head.size, bytes.size() - 4);
}

TEST(UpstreamHead, AcceptsWhatServersReallySendAndFramesIt) {
  UpstreamHead head;
  const std::vector<Good> heads = good_heads();
  for (const Good& row : heads) {
    const UpstreamHeadOutcome outcome = parse(row.head, head);
    ASSERT_EQ(outcome.state, HeadState::complete) << row.name << ": " << outcome.sentence;
    EXPECT_EQ(head.framing, row.framing) << row.name;
    EXPECT_EQ(head.keep_alive, row.keep_alive) << row.name;
  }
}

TEST(UpstreamHead, RejectsEachOfTheseForms) {
  UpstreamHead head;
  for (const Bad& row : bad_heads()) {
    const UpstreamHeadOutcome outcome = parse(row.head, head);
    EXPECT_EQ(outcome.state, HeadState::rejected) << row.name;
    EXPECT_EQ(outcome.fault, row.fault) << row.name << ": " << outcome.sentence;
  }
}

TEST(UpstreamHead, ForgetsTheHeadBefore) {
  UpstreamHead head;
  ASSERT_EQ(parse(with_fields("Content-Length: 7\r\n"), head).state, HeadState::complete);
  ASSERT_EQ(parse("HTTP/1.1 200\r\n\r\n", head).state, HeadState::complete);
  EXPECT_FALSE(head.content_length.has_value());
  EXPECT_EQ(head.reason, "");
  EXPECT_TRUE(head.fields.empty());
}

TEST(UpstreamHead, HasNoBodyAfterHeadWhateverItAnnounces) {
  UpstreamHead head;
  for (const std::string_view fields : {"Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n", "A: b\r\n"}) {
    ASSERT_EQ(parse(with_fields(fields), head, Answering::head).state, HeadState::complete);
    EXPECT_EQ(head.framing, BodyFraming::none) << fields;
    EXPECT_TRUE(head.keep_alive) << fields;
  }
  ASSERT_EQ(parse(with_fields("Content-Length: 5\r\n"), head, Answering::head).state, HeadState::complete);
  EXPECT_EQ(head.content_length, 5U);
}

TEST(UpstreamHead, BecomesATunnelOnlyForAWebsocketThatWasAskedFor) {
  const std::string line = "HTTP/1.1 101 Switching Protocols\r\n";
  const std::string good = line + "upgrade: WebSocket\r\nconnection: Upgrade\r\nSec-WebSocket-Accept: x=\r\n\r\n\x81";
  UpstreamHead head;
  ASSERT_EQ(parse(good, head, Answering::upgrade).state, HeadState::complete);
  EXPECT_EQ(head.framing, BodyFraming::tunnel);
  EXPECT_FALSE(head.is_interim());
  EXPECT_FALSE(head.keep_alive);
  EXPECT_EQ(head.size, good.size() - 1);
  for (const Answering other : {Answering::other, Answering::head}) {
    EXPECT_EQ(parse(good, head, other).state, HeadState::rejected);
  }
  for (const std::string_view bad : {"Upgrade: h2c\r\nConnection: upgrade\r\n\r\n", "Connection: upgrade\r\n\r\n",
                                     "Upgrade: websocket\r\n\r\n", "\r\n"}) {
    EXPECT_EQ(parse(line + std::string(bad), head, Answering::upgrade).state, HeadState::rejected) << bad;
  }
  EXPECT_EQ(
      parse("HTTP/1.0 101 A\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n", head, Answering::upgrade).state,
      HeadState::rejected);
  ASSERT_EQ(parse("HTTP/1.1 426 A\r\nContent-Length: 2\r\n\r\n", head, Answering::upgrade).state, HeadState::complete);
  EXPECT_EQ(head.framing, BodyFraming::length);
}

TEST(UpstreamHead, TellsInterimResponsesFromFinalOnes) {
  UpstreamHead head;
  ASSERT_EQ(parse("HTTP/1.1 100 Continue\r\n\r\n", head).state, HeadState::complete);
  EXPECT_TRUE(head.is_interim());
  ASSERT_EQ(parse("HTTP/1.1 199 Odd\r\nContent-Length: 0\r\n\r\n", head).state, HeadState::complete);
  EXPECT_TRUE(head.is_interim());
  ASSERT_EQ(parse("HTTP/1.1 200 OK\r\n\r\n", head).state, HeadState::complete);
  EXPECT_FALSE(head.is_interim());
}

TEST(UpstreamHead, GivesTheSameOutcomeWhereverTheBytesAreCut) {
  std::vector<std::string> heads;
  for (const Good& row : good_heads()) heads.push_back(row.head);
  for (const Bad& row : bad_heads()) heads.push_back(row.head);
  UpstreamHead head;
  for (const std::string& bytes : heads) {
    const std::string whole = outcome_of(bytes, 0, Answering::other, head);
    const auto one = [](std::size_t at) { return at + 1; };
    EXPECT_EQ(outcome_in_pieces(bytes, Answering::other, one), whole) << bytes.substr(0, 200);
    const std::size_t stride = bytes.size() > 1000 ? 97 : 1;
    for (std::size_t cut = 1; cut < bytes.size(); cut += stride) {
      const auto next_end = [&](std::size_t at) { return at < cut ? cut : bytes.size(); };
      ASSERT_EQ(outcome_in_pieces(bytes, Answering::other, next_end), whole)
          << "cut at " << cut << " of " << bytes.substr(0, 200);
    }
  }
}

TEST(UpstreamHead, EveryProperPrefixOfAGoodHeadNeedsMore) {
  UpstreamHead head;
  const std::vector<Good> heads = good_heads();
  for (const Good& row : heads) {
    ASSERT_EQ(parse(row.head, head).state, HeadState::complete);
    const std::size_t size = head.size;
    for (std::size_t end = 0; end < size; end += size > 1000 ? 61 : 1) {
      EXPECT_EQ(parse(row.head.substr(0, end), head).state, HeadState::need_more) << end << " of " << row.name;
    }
  }
}

// A seed that once failed can be given again by GPUTACH_TEST_SEED.
TEST(UpstreamHead, SurvivesRandomMutationsAndStaysIndependentOfTheCut) {
  const char* given = std::getenv("GPUTACH_TEST_SEED");
  const unsigned seed = given != nullptr ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
  SCOPED_TRACE("GPUTACH_TEST_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  std::vector<std::string> corpus;
  for (const Good& row : good_heads()) corpus.push_back(row.head);
  for (const Bad& row : bad_heads()) corpus.push_back(row.head);
  constexpr std::string_view spice(
      "\r\n\t :,;/*?#\0\x7f\xff"
      "01aG",
      18);
  const auto below = [&random](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  UpstreamHead head;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = corpus[below(corpus.size())].substr(0, 400);
    for (std::size_t change = below(4); change > 0 && !bytes.empty(); --change) {
      const std::size_t at = below(bytes.size());
      switch (below(4)) {
        case 0: bytes[at] = spice[below(spice.size())]; break;
        case 1: bytes.insert(at, 1, spice[below(spice.size())]); break;
        case 2: bytes.erase(at, 1 + below(3)); break;
        default: bytes.insert(at, bytes.substr(below(bytes.size()), 1 + below(20))); break;
      }
    }
    const auto answering = static_cast<Answering>(below(3));
    const std::string whole = outcome_of(bytes, 0, answering, head);
    const auto random_end = [&](std::size_t at) { return at + 1 + below(bytes.size() - at); };
    ASSERT_EQ(outcome_in_pieces(bytes, answering, random_end), whole) << testing::PrintToString(bytes);
  }
}

}  // namespace
}  // namespace gputach::relay
