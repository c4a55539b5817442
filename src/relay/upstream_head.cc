#include "relay/upstream_head.h"

#include <algorithm>
#include <charconv>

#include "http/field_text.h"

namespace gputach::relay {
namespace {

using http::equal_without_case;
using http::HeadState;
using http::next_element;
using http::trim;

constexpr std::string_view version_start = "HTTP/1.";
constexpr std::size_t status_line_bytes_min = sizeof "HTTP/1.1 200" - 1;

constexpr UpstreamHeadOutcome need_more{};
constexpr UpstreamHeadOutcome complete{HeadState::complete, {}, {}};

UpstreamHeadOutcome bad(std::string_view sentence) {
  return {HeadState::rejected, GatewayFault::response_malformed, sentence};
}
UpstreamHeadOutcome too_large(std::string_view sentence) {
  return {HeadState::rejected, GatewayFault::response_head_too_large, sentence};
}

bool failed(const UpstreamHeadOutcome& outcome) {
  return outcome.state == HeadState::rejected;
}

bool is_token(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, http::is_token_char);
}
bool is_value(std::string_view text) {
  return std::ranges::all_of(text, http::is_value_char);
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

// One pass over one head, line by line: what a line breaks is known when its LF is there and not before, so that the
// outcome does not depend on how the bytes arrive.
class Pass {
 public:
  Pass(std::string_view bytes, Answering answering, UpstreamHead& head)
      : bytes_(bytes), answering_(answering), head_(head) {}

  UpstreamHeadOutcome run();

 private:
  UpstreamHeadOutcome status_line(std::string_view line);
  UpstreamHeadOutcome field_line(std::string_view line);
  UpstreamHeadOutcome known_field(const http::Field& field);
  UpstreamHeadOutcome connection(std::string_view value);
  UpstreamHeadOutcome upgrade(std::string_view value);
  UpstreamHeadOutcome content_length(std::string_view value);
  UpstreamHeadOutcome transfer_encoding(std::string_view value);
  UpstreamHeadOutcome whole_head();
  UpstreamHeadOutcome switched_protocols();

  std::string_view bytes_;
  Answering answering_;
  UpstreamHead& head_;
  std::size_t at_ = 0;
  std::size_t field_count_ = 0;
  bool has_chunked_ = false;
  bool has_close_ = false;
  bool has_keep_alive_ = false;
  bool has_upgrade_option_ = false;
  bool has_websocket_ = false;
};

UpstreamHeadOutcome Pass::run() {
  // Seen from the first bytes: something that is not HTTP, TLS for example, may never send the end of a line.
  const std::size_t begun = std::min(bytes_.size(), version_start.size());
  if (bytes_.substr(0, begun) != version_start.substr(0, begun)) return bad("it does not begin with HTTP/1");
  for (bool first = true;; first = false) {
    const std::size_t lf = bytes_.find('\n', at_);
    if (lf == std::string_view::npos) return need_more;
    std::string_view line = bytes_.substr(at_, lf - at_);
    at_ = lf + 1;
    if (!line.ends_with('\r')) return bad("a line does not end in CRLF");
    line.remove_suffix(1);
    if (line.empty()) return whole_head();
    if (const auto outcome = first ? status_line(line) : field_line(line); failed(outcome)) return outcome;
  }
}

UpstreamHeadOutcome Pass::status_line(std::string_view line) {
  if (line.size() < status_line_bytes_min || line[8] != ' ') return bad("the status line is not version and status");
  if (line[7] != '0' && line[7] != '1') return bad("the version is neither HTTP/1.0 nor HTTP/1.1");
  const std::string_view digits = line.substr(9, 3);
  if (!std::ranges::all_of(digits, is_digit) || digits[0] == '0') return bad("the status is not a number from 100");
  std::string_view reason = line.substr(status_line_bytes_min);
  if (!reason.empty()) {
    if (reason[0] != ' ') return bad("the status has more than three digits");
    reason.remove_prefix(1);
  }
  if (!is_value(reason)) return bad("the reason phrase has control characters");
  head_.minor_version = line[7] - '0';
  head_.status = (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
  head_.reason = reason;
  return complete;
}

UpstreamHeadOutcome Pass::field_line(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') return bad("a header line is folded or begins with a space");
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return bad("a header line has no colon");
  const http::Field field{line.substr(0, colon), trim(line.substr(colon + 1))};
  if (!is_token(field.name)) return bad("a header name is not a token");
  if (!is_value(field.value)) return bad("a header value has control characters");
  if (field_count_ == upstream_fields_max) return too_large("there are too many header lines");
  head_.table[field_count_++] = field;
  return known_field(field);
}

UpstreamHeadOutcome Pass::known_field(const http::Field& field) {
  const auto is = [&field](std::string_view name) { return equal_without_case(field.name, name); };
  switch (field.name.size()) {
    case 7: return is("Upgrade") ? upgrade(field.value) : complete;
    case 10: return is("Connection") ? connection(field.value) : complete;
    case 14: return is("Content-Length") ? content_length(field.value) : complete;
    case 17: return is("Transfer-Encoding") ? transfer_encoding(field.value) : complete;
    default: return complete;
  }
}

UpstreamHeadOutcome Pass::connection(std::string_view value) {
  for (std::string_view option; next_element(value, option);) {
    if (equal_without_case(option, "close")) has_close_ = true;
    if (equal_without_case(option, "keep-alive")) has_keep_alive_ = true;
    if (equal_without_case(option, "upgrade")) has_upgrade_option_ = true;
  }
  return complete;
}

UpstreamHeadOutcome Pass::upgrade(std::string_view value) {
  if (equal_without_case(value, "websocket")) has_websocket_ = true;
  return complete;
}

UpstreamHeadOutcome Pass::content_length(std::string_view value) {
  if (head_.content_length.has_value()) return bad("there is more than one Content-Length");
  if (value.empty() || !std::ranges::all_of(value, is_digit)) return bad("the Content-Length is not a number");
  std::uint64_t length = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), length);
  if (error != std::errc{} || end != value.data() + value.size()) return bad("the Content-Length is too large");
  head_.content_length = length;
  return complete;
}

UpstreamHeadOutcome Pass::transfer_encoding(std::string_view value) {
  if (has_chunked_) return bad("there is more than one transfer coding");
  if (!equal_without_case(value, "chunked")) return bad("a transfer coding other than chunked was not asked for");
  has_chunked_ = true;
  return complete;
}

UpstreamHeadOutcome Pass::whole_head() {
  const bool is_1_0 = head_.minor_version == 0;
  if (has_chunked_ && is_1_0) return bad("HTTP/1.0 has no Transfer-Encoding");
  if (has_chunked_ && head_.content_length) return bad("Transfer-Encoding and Content-Length exclude each other");
  const bool announces_body = has_chunked_ || head_.content_length.value_or(0) > 0;
  if (head_.status < 200 && announces_body) return bad("an interim response announces a body");

  head_.fields = std::span(head_.table).first(field_count_);
  head_.size = at_;
  head_.keep_alive = !has_close_ && (!is_1_0 || has_keep_alive_);
  if (head_.status == 101) return switched_protocols();

  if (head_.status < 200 || head_.status == 204 || head_.status == 304 || answering_ == Answering::head) {
    head_.framing = BodyFraming::none;
    // With 204 a body has no place. Whoever announces one may send it, where the next response should begin.
    if (head_.status == 204 && announces_body) head_.keep_alive = false;
  } else if (has_chunked_) {
    head_.framing = BodyFraming::chunked;
  } else if (head_.content_length) {
    head_.framing = BodyFraming::length;
  } else {
    head_.framing = BodyFraming::until_close;
    head_.keep_alive = false;
  }
  return complete;
}

UpstreamHeadOutcome Pass::switched_protocols() {
  if (answering_ != Answering::upgrade) return bad("101 though no upgrade was asked for");
  if (head_.minor_version == 0 || !has_websocket_ || !has_upgrade_option_) return bad("101 without its Upgrade");
  head_.framing = BodyFraming::tunnel;
  head_.keep_alive = false;
  return complete;
}

// Nothing can have changed since `judged` bytes: lines are judged when they end, and the limit is not reached.
bool nothing_new(std::string_view bytes, std::size_t judged, std::size_t bytes_max) {
  return judged >= version_start.size() && bytes.size() < bytes_max && !bytes.substr(judged).contains('\n');
}

}  // namespace

UpstreamHeadOutcome parse_upstream_head(std::string_view bytes, std::size_t judged, std::size_t bytes_max,
                                        Answering answering, UpstreamHead& head) {
  if (nothing_new(bytes, std::min(judged, bytes.size()), bytes_max)) return need_more;
  head.status = 0;
  head.content_length.reset();
  const UpstreamHeadOutcome outcome = Pass(bytes.substr(0, bytes_max), answering, head).run();
  if (outcome.state == HeadState::need_more && bytes.size() >= bytes_max) return too_large("it does not end");
  return outcome;
}

}  // namespace gputach::relay
