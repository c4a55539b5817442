#include "http/chunked.h"

#include <gtest/gtest.h>

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

}  // namespace
}  // namespace gputach::http
