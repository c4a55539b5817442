// Purpose: takes a chunked body apart: shows its data piece by piece, and finds its end, so that what follows on the
//          connection is framed right. Extensions and trailers are read over.
// Units: bytes.
// Owns: nothing; a decoder is a few words and is made anew for each body. Data is a view into the bytes given.
// Threads: one; pure, no allocation.
// Fails: with ChunkedState::bad, for good. The connection cannot be framed any more and must close.
// Source: RFC 9112 section 7.1. Stricter than it: CRLF only, and extensions and trailers are bounded together.
//
// What is neither size nor data (extensions, leading zeros, trailers) may add up to chunked_extra_bytes_max and is paid
// off by data, so that a long body with a small extension on each chunk passes and one of extensions alone does not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gputach::http {

inline constexpr std::size_t chunked_extra_bytes_max = 4096;
inline constexpr std::size_t chunked_extra_bytes_per_chunk = 16;  // paid off by each chunk, beside its size

enum class ChunkedState : unsigned char { need_more, done, bad };

class ChunkedDecoder {
 public:
  struct Step {
    ChunkedState state;
    std::size_t consumed;  // all of `bytes` with need_more; up to and including the last byte of the body with done
  };

  struct Piece {
    ChunkedState state;
    std::size_t consumed;   // at least one of a non-empty `bytes`, unless the body is done or bad
    std::string_view data;  // the last of the consumed bytes; empty when they were framing alone
  };

  // Takes the next bytes. Cutting them anywhere does not change the outcome.
  [[nodiscard]] Step feed(std::string_view bytes);

  // The same up to the end of the first run of data. Framing is looked at byte by byte, data is not touched.
  [[nodiscard]] Piece next_piece(std::string_view bytes);

  [[nodiscard]] std::uint64_t body_bytes() const { return body_bytes_; }

 private:
  enum class Expect : unsigned char {
    size_first,
    size_more,
    space,
    extension,
    size_lf,  // the line of a chunk's size
    data,
    data_cr,
    data_lf,  // the chunk
    line_first,
    name,
    value,
    value_lf,
    final_lf,  // trailers and the empty line after them
    nothing,
    never,
  };

  [[nodiscard]] Expect next(char c);
  [[nodiscard]] Expect next_in_size_line(char c);
  [[nodiscard]] Expect next_in_trailer(char c);
  [[nodiscard]] Expect size_digit(char c);
  [[nodiscard]] Expect extra(Expect then);
  void pay_off(std::size_t bytes);

  Expect expect_ = Expect::size_first;
  std::uint64_t chunk_left_ = 0;
  std::uint64_t body_bytes_ = 0;
  std::size_t extra_bytes_ = 0;
};

}  // namespace gputach::http
