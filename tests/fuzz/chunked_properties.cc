// What must hold for every sequence of bytes that claims to be a chunked body: where it is cut does not matter, and the
// outcome is that of a naive decoder, which has the grammar of RFC 9112 section 7.1 for its structure.
#include <array>
#include <cctype>
#include <cstdint>

#include "fuzz/target.h"
#include "http/chunked.h"

namespace gputach::fuzz {
namespace {

using namespace http;

constexpr std::size_t every_cut_bytes_max = 200;

struct Outcome {
  ChunkedState state = ChunkedState::need_more;
  std::size_t consumed = 0;  // with done
  std::uint64_t body_bytes = 0;

  bool operator==(const Outcome&) const = default;
};

// Recursive descent that leaves by an exception at the first byte that is wrong or missing.
class NaiveDecoder {
 public:
  explicit NaiveDecoder(std::string_view bytes) : bytes_(bytes) {}

  Outcome run() {
    ChunkedState state = ChunkedState::done;
    try {
      while (chunk()) continue;
      while (peek() != '\r') trailer();
      crlf();
    } catch (const ChunkedState end) {
      state = end;
    }
    return {state, state == ChunkedState::done ? at_ : 0, body_bytes_};
  }

 private:
  char peek() const { return at_ < bytes_.size() ? bytes_[at_] : throw ChunkedState::need_more; }
  void take(bool right) {
    static_cast<void>(peek());
    if (!right) throw ChunkedState::bad;
    ++at_;
  }
  void crlf() {
    take(peek() == '\r');
    take(peek() == '\n');
  }
  void extra() {
    if (++extra_bytes_ > chunked_extra_bytes_max) throw ChunkedState::bad;
  }
  static bool is_space(char c) { return c == ' ' || c == '\t'; }
  static bool is_text(char c) { return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f); }
  static bool is_token(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x80 && (std::isalnum(byte) != 0 || std::string_view("!#$%&'*+-.^_`|~").contains(c));
  }

  // False after the last chunk.
  bool chunk() {
    const std::uint64_t size = size_line();
    if (size == 0) return false;
    const std::uint64_t here = std::min<std::uint64_t>(size, bytes_.size() - at_);
    body_bytes_ += here;
    at_ += static_cast<std::size_t>(here);
    const std::uint64_t paid = here + chunked_extra_bytes_per_chunk;
    extra_bytes_ -= static_cast<std::size_t>(std::min<std::uint64_t>(extra_bytes_, paid));
    crlf();
    return true;
  }
  std::uint64_t size_line() {
    std::string digits;
    do {
      take(std::isxdigit(static_cast<unsigned char>(peek())) != 0);
      if (digits != "" || bytes_[at_ - 1] != '0') digits += bytes_[at_ - 1];
      if (digits.empty()) extra();
      if (digits.size() > 16) throw ChunkedState::bad;
    } while (!is_space(peek()) && peek() != ';' && peek() != '\r');
    while (is_space(peek())) extended();
    if (bytes_[at_ - 1] == ' ' || bytes_[at_ - 1] == '\t') {
      if (peek() != ';') throw ChunkedState::bad;
    }
    while (peek() != '\r') extended();
    crlf();
    return digits.empty() ? 0 : std::stoull(digits, nullptr, 16);
  }
  void extended() {
    take(is_text(peek()));
    extra();
  }
  void trailer() {
    do {
      take(is_token(peek()));
      extra();
    } while (peek() != ':');
    while (peek() != '\r') extended();
    crlf();
  }

  std::string_view bytes_;
  std::size_t at_ = 0;
  std::uint64_t body_bytes_ = 0;
  std::size_t extra_bytes_ = 0;
};

// Feeds pieces of `piece` bytes, the first of `first`.
Outcome decode(std::string_view bytes, std::size_t first, std::size_t piece) {
  ChunkedDecoder decoder;
  std::size_t at = 0;
  ChunkedDecoder::Step step{ChunkedState::need_more, 0};
  for (std::size_t size = first; step.state == ChunkedState::need_more; size = piece) {
    const std::string_view next = bytes.substr(at, size);
    step = decoder.feed(next);
    at += step.consumed;
    if (step.state == ChunkedState::need_more && (at == bytes.size() || step.consumed != next.size())) break;
  }
  const bool all = step.state != ChunkedState::need_more || at == bytes.size();
  const Outcome outcome{step.state, step.state == ChunkedState::done ? at : 0, decoder.body_bytes()};
  return all ? outcome : Outcome{ChunkedState::bad, bytes.size() + 1, 0};  // bytes were left over: like nothing else
}

}  // namespace

std::string check_chunked(std::string_view input) {
  const ExactCopy exact(input);
  const std::string_view bytes = exact.view();
  const Outcome expected = NaiveDecoder(bytes).run();
  const Outcome whole = decode(bytes, bytes.size(), 1);
  if (whole.state != expected.state) return "the naive decoder ends in another state";
  if (whole.consumed != expected.consumed) return "the naive decoder finds another end";
  if (whole.body_bytes != expected.body_bytes) return "the naive decoder counts other bytes";
  for (const std::size_t piece : std::to_array<std::size_t>({1, 2, 3, 7, 1000})) {
    if (decode(bytes, piece, piece) != whole) return "in pieces of " + std::to_string(piece) + " it is another body";
  }
  for (std::size_t cut = 0; cut < std::min(bytes.size(), every_cut_bytes_max); ++cut) {
    if (decode(bytes, cut, bytes.size()) != whole) return "cut at " + std::to_string(cut) + " it is another body";
  }
  return {};
}

}  // namespace gputach::fuzz
