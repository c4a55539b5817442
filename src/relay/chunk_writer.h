// Purpose: the bytes around the data of a chunked body that this side sends.
// Units: bytes.
// Owns: a ChunkHead holds its few characters, so that a gathering write needs no buffer of its own.
// Threads: any; pure.
// Fails: never.
// Source: RFC 9112 section 7.1. No extensions and no trailers are ever sent.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>

namespace gputach::relay {

inline constexpr std::string_view chunk_end = "\r\n";
inline constexpr std::string_view last_chunk = "0\r\n\r\n";
inline constexpr std::size_t chunk_overhead_max = 16 + 2 + 2;

// "1f4\r\n" for 500 bytes of data, which follow together with chunk_end. Not for 0: that would end the body.
class ChunkHead {
 public:
  explicit ChunkHead(std::size_t data_bytes);
  [[nodiscard]] std::string_view text() const { return {text_.data(), size_}; }

 private:
  std::array<char, 18> text_;
  std::size_t size_ = 0;
};

void append_chunk_head(std::string& out, std::size_t data_bytes);

// A whole chunk; nothing for empty data.
void append_chunk(std::string& out, std::string_view data);

}  // namespace gputach::relay
