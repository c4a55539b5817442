#include "relay/chunked_reader.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <random>
#include <string>

namespace gputach::relay {
namespace {

using State = ChunkedBatch::State;

TEST(ChunkedReader, PutsTheDataOfManyChunksIntoOne) {
  const std::string_view bytes = "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: yes\r\n\r\nGET /";
  std::string out = "head|";
  ChunkedReader reader;
  const ChunkedBatch batch = take_chunks(reader, bytes, true, out);
  EXPECT_EQ(batch.state, State::done);
  EXPECT_EQ(bytes.substr(batch.consumed), "GET /");
  EXPECT_EQ(batch.data_bytes, 5U);
  EXPECT_EQ(out, "head|5\r\nabcde\r\n0\r\n\r\n");

  std::string plain = "head|";
  ChunkedReader again;
  EXPECT_EQ(take_chunks(again, bytes, false, plain).data_bytes, 5U);
  EXPECT_EQ(plain, "head|abcde");
}

TEST(ChunkedReader, WritesNoChunkWithoutDataAndNoEndBeforeTheEnd) {
  ChunkedReader reader;
  std::string out;
  for (const std::string_view bytes : {"", "5", "\r", "\n"}) {
    EXPECT_EQ(take_chunks(reader, bytes, true, out).state, State::need_more);
    EXPECT_EQ(out, "");
  }
  EXPECT_EQ(take_chunks(reader, "ab", true, out).state, State::need_more);
  EXPECT_EQ(take_chunks(reader, "cde\r\n0\r\n\r", true, out).state, State::need_more);
  EXPECT_EQ(out, "2\r\nab\r\n3\r\ncde\r\n");
  EXPECT_EQ(take_chunks(reader, "\n", true, out).state, State::done);
  EXPECT_EQ(out, "2\r\nab\r\n3\r\ncde\r\n0\r\n\r\n");
}

TEST(ChunkedReader, AppendsNothingOfABatchThatBreaksTheFraming) {
  for (const bool in_chunks : {false, true}) {
    ChunkedReader reader;
    std::string out = "head|";
    EXPECT_EQ(take_chunks(reader, "3\r\nabc\r\nx\r\n", in_chunks, out).state, State::bad);
    EXPECT_EQ(out, "head|");
    EXPECT_EQ(take_chunks(reader, "0\r\n\r\n", in_chunks, out).state, State::bad) << "for good";
    EXPECT_EQ(out, "head|");
  }
}

// A seed that once failed can be given again by GPUTACH_TEST_SEED.
TEST(ChunkedReader, CarriesRandomBodiesUnchangedUnderRandomChunkingsAndCuts) {
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
      for (char& c : data) c = static_cast<char>(below(256));
      body += data;
      append_chunk(bytes, data);
    }
    bytes += last_chunk;

    ChunkedReader reader;
    ChunkedReader plain_reader;
    ChunkedReader next_hop;
    std::string sent;
    std::string plain;
    State state = State::need_more;
    for (std::string_view left = bytes; !left.empty();) {
      ASSERT_EQ(state, State::need_more);
      const std::string_view part = left.substr(0, 1 + below(60));
      state = take_chunks(reader, part, true, sent).state;
      ASSERT_EQ(take_chunks(plain_reader, part, false, plain).state, state);
      left.remove_prefix(part.size());
    }
    ASSERT_EQ(state, State::done);
    ASSERT_EQ(plain, body);
    std::string received;
    const ChunkedBatch batch = take_chunks(next_hop, sent, false, received);
    ASSERT_EQ(batch.state, State::done);
    ASSERT_EQ(batch.consumed, sent.size());
    ASSERT_EQ(received, body);
  }
}

}  // namespace
}  // namespace gputach::relay
