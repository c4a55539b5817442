// What must hold for every body that is looked at in passing: where it is cut does not matter, and what was read is no
// more than the body can have said. The first byte says which form it has.
#include <array>

#include "fuzz/target.h"
#include "relay/usage_peek.h"

namespace gputach::fuzz {
namespace {

using namespace relay;

std::string number(const std::optional<std::uint64_t>& value) {
  return value ? std::to_string(*value) : "-";
}

// Pieces of `piece` bytes, the first of `first`.
template <class Feed>
void in_pieces(std::string_view bytes, std::size_t first, std::size_t piece, Feed feed) {
  for (std::size_t size = std::max<std::size_t>(first, 1); !bytes.empty(); size = piece) {
    const ExactCopy exact(bytes.substr(0, size));
    feed(exact.view());
    bytes.remove_prefix(exact.view().size());
  }
}

std::string read_response(BodyForm form, std::string_view bytes, std::size_t first, std::size_t piece) {
  ResponsePeek peek(form);
  std::size_t content = 0;
  in_pieces(bytes, first, piece, [&](std::string_view part) { content += peek.feed(part); });
  if (content != peek.content_events() && form == BodyForm::event_stream) return "broken: the sum is another";
  if (peek.content_events() > bytes.size() || peek.events() > bytes.size()) return "broken: more events than bytes";
  return std::to_string(content) + " " + std::to_string(peek.events()) + " " + number(peek.usage().prompt_tokens) +
         " " + number(peek.usage().completion_tokens) + " " + std::string(peek.model()) +
         (peek.has_error() ? " error" : "") + (peek.is_complete() ? " complete" : "");
}

std::string read_request(BodyForm form, std::string_view bytes, std::size_t first, std::size_t piece) {
  RequestPeek peek(form);
  in_pieces(bytes, first, piece, [&](std::string_view part) { peek.feed(part); });
  if (peek.model().size() > model_name_bytes_max) return "broken: a longer model than there may be";
  return "model " + std::string(peek.model()) + " " + (peek.stream() ? std::to_string(*peek.stream()) : "-") +
         (peek.is_finished() ? " finished" : "");
}

}  // namespace

std::string check_usage_peek(std::string_view input) {
  if (input.empty()) return {};
  const auto form = static_cast<BodyForm>(static_cast<unsigned char>(input[0]) % 3);
  const std::string_view bytes = input.substr(1);
  for (const auto read : {read_response, read_request}) {
    const std::string whole = read(form, bytes, bytes.size(), bytes.size());
    if (whole.starts_with("broken")) return whole;
    for (const std::size_t piece : std::to_array<std::size_t>({1, 2, 3, 7, 100})) {
      if (read(form, bytes, piece, piece) != whole)
        return "in pieces of " + std::to_string(piece) + " it says otherwise";
    }
    for (std::size_t cut = 1; cut < std::min<std::size_t>(bytes.size(), 200); ++cut) {
      if (read(form, bytes, cut, bytes.size()) != whole) return "cut at " + std::to_string(cut) + " it says otherwise";
    }
  }
  return {};
}

}  // namespace gputach::fuzz
