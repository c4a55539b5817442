#include "http/chunked.h"

#include <gtest/gtest.h>

#include <array>
#include <charconv>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

namespace gputach::http {
namespace {

struct Row {
  std::string bytes;
  ChunkedState state;
  std::size_t consumed;  // with done
};

std::vector<Row> rows() {
  const auto done = [](std::string body, std::string after = "GET /") {
    return Row{body + after, ChunkedState::done, body.size()};
  };
  const auto bad = [](std::string body) { return Row{std::move(body), ChunkedState::bad, 0}; };
  const auto more = [](std::string body) { return Row{std::move(body), ChunkedState::need_more, 0}; };
  return {
      done("0\r\n\r\n"),
      done("5\r\nhello\r\n0\r\n\r\n"),
      done("5\r\nhe\r\no\r\n00\r\n\r\n"),
      done("a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n"),
      done("1;a\r\nx\r\n0;b=\"c d\"\r\n\r\n"),
      done("1 \t;a\r\nx\r\n0\r\n\r\n"),
      done("0\r\nTrailer: yes\r\nOther:\r\n\r\n"),
      more(""),
      more("5\r\nhel"),
      more("0\r\n"),
      more("0\r\nA: b\r\n"),
      more("fffffffffffffff\r\nx"),
      more("0fffffffffffffff\r\nx"),
      bad("\r\n"),
      bad("g\r\n"),
      bad("-1\r\n"),
      bad("+1\r\n"),
      bad("0x1\r\nx\r\n"),
      bad(" 1\r\nx\r\n"),
      bad("1 \r\nx\r\n"),
      bad("1 2\r\nx\r\n"),
      bad("1\nx\r\n"),
      bad("1\r\rx\r\n"),
      bad("1\r\nxx\r\n"),
      bad("1\r\nx\n0\r\n\r\n"),
      bad("1\r\nx\rx0\r\n\r\n"),
      bad("1;a\nx\r\n"),
      bad(std::string("1;a\0\r\nx\r\n", 9)),
      bad("10000000000000000\r\n"),
      bad("fffffffffffffffff\r\n"),
      bad("0\r\n A: b\r\n\r\n"),
      bad("0\r\nA : b\r\n\r\n"),
      bad("0\r\nA\r\n\r\n"),
      bad("0\r\nA: b\n\r\n"),
      bad("0\r\n\n"),
      bad("0\r\n\rx"),
      bad("1;" + std::string(5000, 'a')),
      bad(std::string(5000, '0')),
      bad("0\r\nA: " + std::string(5000, 'a')),
  };
}

TEST(Chunked, FindsTheEndAndRejectsWhatIsNotToTheLetter) {
  for (const Row& row : rows()) {
    ChunkedDecoder decoder;
    const ChunkedDecoder::Step step = decoder.feed(row.bytes);
    EXPECT_EQ(step.state, row.state) << testing::PrintToString(row.bytes.substr(0, 60));
    if (row.state == ChunkedState::bad) continue;
    EXPECT_EQ(step.consumed, row.state == ChunkedState::done ? row.consumed : row.bytes.size()) << row.bytes;
  }
}

TEST(Chunked, GivesTheSameOutcomeWhereverTheBytesAreCut) {
  for (const Row& row : rows()) {
    ChunkedDecoder whole;
    const ChunkedDecoder::Step expected = whole.feed(row.bytes);
    for (std::size_t cut = 0; cut <= row.bytes.size(); ++cut) {
      ChunkedDecoder decoder;
      const ChunkedDecoder::Step first = decoder.feed(std::string_view(row.bytes).substr(0, cut));
      ChunkedDecoder::Step last = first;
      if (first.state == ChunkedState::need_more) {
        last = decoder.feed(std::string_view(row.bytes).substr(cut));
        last.consumed += cut;
      }
      ASSERT_EQ(last.state, expected.state) << "cut at " << cut;
      ASSERT_EQ(last.consumed, expected.consumed) << "cut at " << cut;
      ASSERT_EQ(decoder.body_bytes(), whole.body_bytes()) << "cut at " << cut;
    }
  }
}

TEST(Chunked, CountsTheBodyAndStaysAtItsEnd) {
  ChunkedDecoder decoder;
  EXPECT_EQ(decoder.feed("3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n").state, ChunkedState::done);
  EXPECT_EQ(decoder.body_bytes(), 5U);
  EXPECT_EQ(decoder.feed("more").consumed, 0U);
  EXPECT_EQ(decoder.feed("more").state, ChunkedState::done);
}

// The data of `bytes`, fed in pieces whose sizes `next_size` tells; each view must lie inside the bytes it came from.
template <class NextSize>
std::string data_in_pieces(std::string_view bytes, NextSize next_size, ChunkedState& state) {
  ChunkedDecoder decoder;
  std::string data;
  state = ChunkedState::need_more;
  while (!bytes.empty() && state == ChunkedState::need_more) {
    const std::string_view part = bytes.substr(0, next_size());
    const ChunkedDecoder::Piece piece = decoder.next_piece(part);
    state = piece.state;
    data += piece.data;
    if (piece.state == ChunkedState::need_more) {
      EXPECT_GT(piece.consumed, 0U) << "no progress";
    }
    if (!piece.data.empty()) {
      EXPECT_EQ(piece.data.data() + piece.data.size(), part.data() + piece.consumed);
    }
    bytes.remove_prefix(piece.consumed);
  }
  EXPECT_EQ(decoder.body_bytes(), data.size());
  return data;
}

std::string hexadecimal(std::size_t number) {
  std::array<char, 16> digits;
  return {digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number, 16).ptr};
}

TEST(Chunked, ShowsTheDataOfEachChunkAsItPasses) {
  ChunkedDecoder decoder;
  const std::string_view bytes = "3\r\nabc\r\n2;x\r\nde\r\n0\r\nT: v\r\n\r\nnext";
  const ChunkedDecoder::Piece first = decoder.next_piece(bytes);
  EXPECT_EQ(first.data, "abc");
  EXPECT_EQ(first.consumed, 6U);
  const ChunkedDecoder::Piece second = decoder.next_piece(bytes.substr(6));
  EXPECT_EQ(second.data, "de");
  const ChunkedDecoder::Piece last = decoder.next_piece(bytes.substr(6 + second.consumed));
  EXPECT_EQ(last.state, ChunkedState::done);
  EXPECT_EQ(last.data, "");
  EXPECT_EQ(bytes.substr(6 + second.consumed + last.consumed), "next");
  EXPECT_EQ(decoder.next_piece("more").consumed, 0U);
}

// A seed that once failed can be given again by GPUTACH_TEST_SEED.
TEST(Chunked, GivesBackRandomBodiesUnderRandomChunkingsAndCuts) {
  const char* given = std::getenv("GPUTACH_TEST_SEED");
  const unsigned seed = given != nullptr ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
  SCOPED_TRACE("GPUTACH_TEST_SEED=" + std::to_string(seed));
  std::mt19937 random(seed);
  const auto below = [&random](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  for (int round = 0; round < 2000; ++round) {
    std::string body;
    std::string bytes;
    for (std::size_t chunk = below(12); chunk > 0; --chunk) {
      std::string data(1 + below(below(4) == 0 ? 600 : 20), '\0');
      for (char& c : data) c = "\r\n0;a\xff"[below(6)];
      body += data;
      bytes += std::string(below(3), '0') + hexadecimal(data.size()) + (below(3) == 0 ? ";e=1" : "") + "\r\n";
      bytes += data + "\r\n";
    }
    bytes += "0\r\n\r\n";
    ChunkedState state{};
    ASSERT_EQ(data_in_pieces(bytes, [&] { return 1 + below(40); }, state), body);
    ASSERT_EQ(state, ChunkedState::done);
    // One byte lost: whatever that breaks, the decoder goes on by whole steps and shows views into its input.
    bytes.erase(below(bytes.size()), 1);
    data_in_pieces(bytes, [&] { return 1 + below(40); }, state);
  }
}

TEST(Chunked, LetsDataPayForExtensionsAndNothingElse) {
  std::string paid;
  for (int chunk = 0; chunk < 5000; ++chunk) paid += "0004;a=b\r\ndata\r\n";  // by their number
  for (int chunk = 0; chunk < 500; ++chunk) {                                 // by their size
    paid += "64;" + std::string(60, 'a') + "\r\n" + std::string(100, 'd') + "\r\n";
  }
  ChunkedDecoder decoder;
  EXPECT_EQ(decoder.feed(paid + "0\r\n\r\n").state, ChunkedState::done);
  std::string unpaid;
  for (int chunk = 0; chunk < 500; ++chunk) unpaid += "1;" + std::string(60, 'a') + "\r\nd\r\n";
  ChunkedDecoder strict;
  EXPECT_EQ(strict.feed(unpaid).state, ChunkedState::bad);
}

}  // namespace
}  // namespace gputach::http
