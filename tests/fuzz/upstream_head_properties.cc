// What must hold for every sequence of bytes that claims to be an answer's head: how it arrives does not matter, and
// its framing is that of a naive reading of RFC 9112 section 6.3. The first byte says what was asked.
#include <array>
#include <cctype>
#include <vector>

#include "fuzz/target.h"
#include "relay/upstream_head.h"

namespace gputach::fuzz {
namespace {

using namespace relay;
using http::HeadState;

constexpr std::size_t head_bytes_max = 16 * 1024;
constexpr std::size_t every_cut_bytes_max = 300;

bool same_text(std::string_view left, std::string_view right) {
  return std::ranges::equal(left, right,
                            [](unsigned char l, unsigned char r) { return std::tolower(l) == std::tolower(r); });
}

std::string describe(const UpstreamHeadOutcome& outcome, const UpstreamHead& head) {
  if (outcome.state == HeadState::need_more) return "need_more";
  if (outcome.state == HeadState::rejected) {
    return std::to_string(static_cast<int>(outcome.fault)) + " " + std::string(outcome.sentence);
  }
  std::string text =
      std::to_string(head.minor_version) + " " + std::to_string(head.status) + " " + std::string(head.reason) + "\n";
  for (const http::Field& field : head.fields) text += std::string(field.name) + "\n" + std::string(field.value) + "\n";
  text += std::to_string(static_cast<int>(head.framing)) + (head.keep_alive ? " keep " : " close ");
  text += head.content_length ? std::to_string(*head.content_length) : "-";
  return text + " " + std::to_string(head.size);
}

std::string outcome_of(std::string_view bytes, Answering answering) {
  const ExactCopy exact(bytes);
  UpstreamHead head;
  const UpstreamHeadOutcome outcome = parse_upstream_head(exact.view(), 0, head_bytes_max, answering, head);
  return describe(outcome, head);
}

// In a head that another answer has left traces in.
std::string piece_by_piece(std::string_view bytes, Answering answering, std::size_t piece) {
  UpstreamHead head;
  static_cast<void>(
      parse_upstream_head("HTTP/1.0 304 N\r\nContent-Length: 7\r\n\r\n", 0, head_bytes_max, answering, head));
  std::size_t judged = 0;
  for (std::size_t end = piece;; end += piece) {
    const std::size_t here = std::min(end, bytes.size());
    const UpstreamHeadOutcome outcome =
        parse_upstream_head(bytes.substr(0, here), judged, head_bytes_max, answering, head);
    if (outcome.state != HeadState::need_more || here == bytes.size()) return describe(outcome, head);
    judged = here;
  }
}

std::vector<std::string_view> values_of(const UpstreamHead& head, std::string_view name) {
  std::vector<std::string_view> values;
  for (const http::Field& field : head.fields) {
    if (same_text(field.name, name)) values.push_back(field.value);
  }
  return values;
}

BodyFraming framing_naively(const UpstreamHead& head, Answering answering) {
  if (head.status == 101) return BodyFraming::tunnel;
  if (answering == Answering::head || head.status < 200 || head.status == 204 || head.status == 304) {
    return BodyFraming::none;
  }
  if (!values_of(head, "transfer-encoding").empty()) return BodyFraming::chunked;
  return values_of(head, "content-length").empty() ? BodyFraming::until_close : BodyFraming::length;
}

std::string check_complete(std::string_view bytes, Answering answering, const UpstreamHead& head) {
  if (head.size > bytes.size() || !bytes.substr(0, head.size).ends_with("\r\n\r\n")) return "the size is wrong";
  const auto lengths = values_of(head, "content-length");
  const auto codings = values_of(head, "transfer-encoding");
  if (lengths.size() + codings.size() > 1) return "more than one field frames the body";
  if (!codings.empty() && (!same_text(codings[0], "chunked") || head.minor_version == 0))
    return "a wrong coding passes";
  if (!lengths.empty()) {
    const std::size_t first = std::min(lengths[0].find_first_not_of('0'), lengths[0].size() - 1);
    if (lengths[0].empty() || std::to_string(head.content_length.value_or(0)) != lengths[0].substr(first)) {
      return "the length is misread";
    }
  }
  if (head.framing != framing_naively(head, answering)) return "the naive reading frames the body otherwise";
  if (head.status == 101 && answering != Answering::upgrade) return "101 that nobody asked for passes";
  const bool needs_end = head.framing == BodyFraming::until_close || head.framing == BodyFraming::tunnel;
  if (head.keep_alive && needs_end) return "a connection whose end is needed is kept";
  for (const http::Field& field : head.fields) {
    for (const std::string_view text : {field.name, field.value}) {
      if (text.find_first_of(std::string_view("\r\n\0", 3)) != std::string_view::npos)
        return "CR, LF or NUL in a field";
    }
  }
  if (outcome_of(std::string(bytes) + "HTTP", answering) != outcome_of(bytes, answering))
    return "what follows changes it";
  return {};
}

}  // namespace

std::string check_upstream_head(std::string_view input) {
  if (input.empty()) return {};
  const auto answering = static_cast<Answering>(static_cast<unsigned char>(input[0]) % 3);
  const std::string_view bytes = input.substr(1);
  const ExactCopy exact(bytes);
  UpstreamHead head;
  const UpstreamHeadOutcome outcome = parse_upstream_head(exact.view(), 0, head_bytes_max, answering, head);
  const std::string whole = describe(outcome, head);
  for (const std::size_t piece : std::to_array<std::size_t>({1, 7, 100})) {
    if (piece_by_piece(bytes, answering, piece) != whole) return "in pieces it has another outcome";
  }
  for (std::size_t end = 0; end < std::min(bytes.size(), every_cut_bytes_max); ++end) {
    const std::string prefix = outcome_of(bytes.substr(0, end), answering);
    if (prefix != "need_more" && prefix != whole) return "a prefix has another outcome than the whole";
  }
  return outcome.state == HeadState::complete ? check_complete(bytes, answering, head) : "";
}

}  // namespace gputach::fuzz
