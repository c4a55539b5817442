#include "relay/chunk_writer.h"

#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "http/chunked.h"

namespace gputach::relay {
namespace {

TEST(ChunkWriter, WritesSizesInHexadecimal) {
  EXPECT_EQ(ChunkHead(1).text(), "1\r\n");
  EXPECT_EQ(ChunkHead(500).text(), "1f4\r\n");
  EXPECT_EQ(ChunkHead(std::numeric_limits<std::size_t>::max()).text(), "ffffffffffffffff\r\n");
  EXPECT_LE(ChunkHead(std::numeric_limits<std::size_t>::max()).text().size() + chunk_end.size(), chunk_overhead_max);
}

TEST(ChunkWriter, NeverEndsABodyByAnEmptyChunk) {
  std::string out = "before";
  append_chunk(out, "");
  EXPECT_EQ(out, "before");
}

TEST(ChunkWriter, WritesWhatTheDecoderReads) {
  std::string out;
  std::string body;
  for (std::size_t size = 0; size < 300; ++size) {
    const std::string data(size, static_cast<char>(size));
    append_chunk(out, data);
    body += data;
  }
  out += last_chunk;
  http::ChunkedDecoder decoder;
  std::string read;
  std::string_view left = out;
  auto state = http::ChunkedState::need_more;
  while (state == http::ChunkedState::need_more && !left.empty()) {
    const auto piece = decoder.next_piece(left);
    state = piece.state;
    read += piece.data;
    left.remove_prefix(piece.consumed);
  }
  EXPECT_EQ(state, http::ChunkedState::done);
  EXPECT_EQ(read, body);
  EXPECT_TRUE(left.empty());
}

}  // namespace
}  // namespace gputach::relay
