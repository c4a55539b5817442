#include "http/chunked.h"

#include <algorithm>

#include "http/request_head.h"

namespace gputach::http {
namespace {

constexpr std::uint64_t chunk_bytes_max = (std::uint64_t{1} << 60) - 1;  // one more hexadecimal digit fits 64 bits

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

ChunkedDecoder::Step ChunkedDecoder::feed(std::string_view bytes) {
  std::size_t at = 0;
  for (;;) {
    const Piece piece = next_piece(bytes.substr(at));
    at += piece.consumed;
    if (piece.state != ChunkedState::need_more || at == bytes.size()) return {piece.state, at};
  }
}

ChunkedDecoder::Piece ChunkedDecoder::next_piece(std::string_view bytes) {
  std::size_t at = 0;
  while (at < bytes.size() && expect_ != Expect::never && expect_ != Expect::nothing) {
    if (expect_ == Expect::data) {
      const auto size = static_cast<std::size_t>(std::min<std::uint64_t>(chunk_left_, bytes.size() - at));
      chunk_left_ -= size;
      body_bytes_ += size;
      pay_off(size);
      if (chunk_left_ == 0) expect_ = Expect::data_cr;
      return {ChunkedState::need_more, at + size, bytes.substr(at, size)};
    }
    expect_ = next(bytes[at]);
    if (expect_ != Expect::never) ++at;
  }
  if (expect_ == Expect::never) return {ChunkedState::bad, at, {}};
  return {expect_ == Expect::nothing ? ChunkedState::done : ChunkedState::need_more, at, {}};
}

ChunkedDecoder::Expect ChunkedDecoder::next(char c) {
  switch (expect_) {
    case Expect::size_first:
    case Expect::size_more:
    case Expect::space:
    case Expect::extension:
    case Expect::size_lf: return next_in_size_line(c);
    case Expect::data_cr: return c == '\r' ? Expect::data_lf : Expect::never;
    case Expect::data_lf: pay_off(chunked_extra_bytes_per_chunk); return c == '\n' ? Expect::size_first : Expect::never;
    case Expect::line_first:
    case Expect::name:
    case Expect::value:
    case Expect::value_lf:
    case Expect::final_lf: return next_in_trailer(c);
    case Expect::data:
    case Expect::nothing:
    case Expect::never: break;
  }
  return Expect::never;
}

ChunkedDecoder::Expect ChunkedDecoder::next_in_size_line(char c) {
  switch (expect_) {
    case Expect::size_first: chunk_left_ = 0; return size_digit(c);
    case Expect::size_more:
      if (c == '\r') return Expect::size_lf;
      if (c == ';') return extra(Expect::extension);
      if (c == ' ' || c == '\t') return extra(Expect::space);
      return size_digit(c);
    case Expect::space:  // allowed only before an extension (RFC 9112 section 7.1.1)
      if (c == ';') return extra(Expect::extension);
      return c == ' ' || c == '\t' ? extra(Expect::space) : Expect::never;
    case Expect::extension:
      if (c == '\r') return Expect::size_lf;
      return is_value_char(c) ? extra(Expect::extension) : Expect::never;
    default:
      if (c != '\n') return Expect::never;
      return chunk_left_ == 0 ? Expect::line_first : Expect::data;
  }
}

ChunkedDecoder::Expect ChunkedDecoder::next_in_trailer(char c) {
  switch (expect_) {
    case Expect::line_first:
      if (c == '\r') return Expect::final_lf;
      return is_token_char(c) ? extra(Expect::name) : Expect::never;
    case Expect::name:
      if (c == ':') return extra(Expect::value);
      return is_token_char(c) ? extra(Expect::name) : Expect::never;
    case Expect::value:
      if (c == '\r') return Expect::value_lf;
      return is_value_char(c) ? extra(Expect::value) : Expect::never;
    case Expect::value_lf: return c == '\n' ? Expect::line_first : Expect::never;
    default: return c == '\n' ? Expect::nothing : Expect::never;
  }
}

ChunkedDecoder::Expect ChunkedDecoder::size_digit(char c) {
  const int digit = hex_digit(c);
  // A leading zero counts as an extra byte, so that a size of endless zeros ends as well.
  if (digit < 0 || chunk_left_ > chunk_bytes_max) return Expect::never;
  chunk_left_ = chunk_left_ * 16 + static_cast<std::uint64_t>(digit);
  return chunk_left_ == 0 ? extra(Expect::size_more) : Expect::size_more;
}

ChunkedDecoder::Expect ChunkedDecoder::extra(Expect then) {
  return ++extra_bytes_ > chunked_extra_bytes_max ? Expect::never : then;
}

void ChunkedDecoder::pay_off(std::size_t bytes) {
  extra_bytes_ -= std::min(extra_bytes_, bytes);
}

}  // namespace gputach::http
