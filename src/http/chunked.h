// Purpose: finds the end of a chunked body, so that the next request on the connection is framed right. The data itself
//          is dropped: no handler here takes a body.
// Units: bytes.
// Owns: nothing; a decoder is a few words and is made anew for each body.
// Threads: one; pure, no allocation.
// Fails: with ChunkedState::bad, for good. The connection cannot be framed any more and must close.
// Source: RFC 9112 section 7.1. Stricter than it: CRLF only, and extensions and trailers are bounded together.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace gputach::http {

inline constexpr std::size_t chunked_extra_bytes_max = 4096;  // extensions and trailers of one body

enum class ChunkedState : unsigned char { need_more, done, bad };

class ChunkedDecoder {
 public:
  struct Step {
    ChunkedState state;
    std::size_t consumed;  // all of `bytes` with need_more; up to and including the last byte of the body with done
  };

  // Takes the next bytes. Cutting them anywhere does not change the outcome.
  [[nodiscard]] Step feed(std::string_view bytes);

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

  Expect expect_ = Expect::size_first;
  std::uint64_t chunk_left_ = 0;
  std::uint64_t body_bytes_ = 0;
  std::size_t extra_bytes_ = 0;
};

}  // namespace gputach::http
