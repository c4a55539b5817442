#include "http/request_head.h"

#include <algorithm>
#include <charconv>

#include "http/field_text.h"

namespace gputach::http {
namespace {

enum : unsigned char { token_class = 1, value_class = 2, visible_class = 4, host_class = 8 };

constexpr std::array<unsigned char, 256> make_classes() {
  std::array<unsigned char, 256> classes{};
  const auto mark = [&](std::string_view characters, unsigned char bits) {
    for (const char c : characters) classes[static_cast<unsigned char>(c)] |= bits;
  };
  constexpr std::string_view alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  for (unsigned c = 0x21; c <= 0x7e; ++c) classes[c] |= value_class | visible_class;
  for (unsigned c = 0x80; c <= 0xff; ++c) classes[c] |= value_class;  // obs-text
  mark("\t ", value_class);
  mark(alphanumeric, token_class | host_class);
  mark("!#$%&'*+-.^_`|~", token_class);
  mark("-._~%!$&'()*+,;=", host_class);  // unreserved, pct-encoded and sub-delims of a reg-name
  return classes;
}

constexpr auto classes = make_classes();

bool has_class(char c, unsigned char bits) {
  return (classes[static_cast<unsigned char>(c)] & bits) != 0;
}

bool all_of_class(std::string_view text, unsigned char bits) {
  return std::ranges::all_of(text, [bits](char c) { return has_class(c, bits); });
}

bool is_token(std::string_view text) {
  return !text.empty() && all_of_class(text, token_class);
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_digits(std::string_view text) {
  return !text.empty() && std::ranges::all_of(text, is_digit);
}

constexpr HeadOutcome need_more{HeadState::need_more, {}};
constexpr HeadOutcome complete{HeadState::complete, {}};

HeadOutcome reject(int status, std::string_view sentence) {
  return {HeadState::rejected, {status, sentence}};
}
HeadOutcome bad(std::string_view sentence) {
  return reject(400, sentence);
}

bool failed(const HeadOutcome& outcome) {
  return outcome.state == HeadState::rejected;
}

// uri-host [ ":" port ]; an empty host is allowed by the grammar (RFC 9110 section 7.2).
bool valid_authority(std::string_view text) {
  std::string_view port;
  if (text.starts_with('[')) {
    const std::size_t end = text.find(']');
    if (end == std::string_view::npos || end < 3) return false;
    const auto literal_char = [](char c) { return has_class(c, host_class) || c == ':'; };
    if (!std::ranges::all_of(text.substr(1, end - 1), literal_char)) return false;
    port = text.substr(end + 1);
  } else {
    const std::size_t colon = std::min(text.find(':'), text.size());
    if (!all_of_class(text.substr(0, colon), host_class)) return false;
    port = text.substr(colon);
  }
  if (port.empty()) return true;
  port.remove_prefix(1);
  return text[text.size() - port.size() - 1] == ':' && port.size() <= 5 && std::ranges::all_of(port, is_digit);
}

// One pass over one head, line by line: what a line breaks is known when its LF is there and not before, so that the
// outcome does not depend on how the bytes arrive.
class Pass {
 public:
  Pass(std::string_view bytes, RequestHead& head) : bytes_(bytes), head_(head) {}

  HeadOutcome run();

 private:
  HeadOutcome request_line();
  HeadOutcome target(std::string_view target);
  HeadOutcome absolute_target(std::string_view after_scheme);
  HeadOutcome field_line(std::string_view line);
  HeadOutcome known_field(const Field& field);
  HeadOutcome host(std::string_view value);
  HeadOutcome content_length(std::string_view value);
  HeadOutcome transfer_encoding(std::string_view value);
  HeadOutcome expect(std::string_view value);
  HeadOutcome whole_head();

  std::string_view bytes_;
  RequestHead& head_;
  std::size_t at_ = 0;
  std::size_t field_count_ = 0;
  std::size_t host_index_ = head_fields_max;
  std::string_view target_authority_;
  bool has_length_ = false;
  bool has_coding_ = false;
  bool has_chunked_ = false;
  bool has_unknown_coding_ = false;
  bool has_close_ = false;
};

HeadOutcome Pass::run() {
  if (const HeadOutcome outcome = request_line(); outcome.state != HeadState::complete) return outcome;
  for (;;) {
    const std::size_t lf = bytes_.find('\n', at_);
    if (lf == std::string_view::npos) return need_more;
    std::string_view line = bytes_.substr(at_, lf - at_);
    at_ = lf + 1;
    if (!line.ends_with('\r')) return bad("a line does not end in CRLF");
    line.remove_suffix(1);
    if (line.empty()) return whole_head();
    if (const HeadOutcome outcome = field_line(line); failed(outcome)) return outcome;
  }
}

HeadOutcome Pass::request_line() {
  if (bytes_.starts_with("\r\n")) at_ = 2;  // RFC 9112 section 2.2: one empty line is forgiven
  if (bytes_.size() == at_ || bytes_ == "\r") return need_more;
  if (!has_class(bytes_[at_], token_class)) return bad("the request does not begin with a method");

  const std::size_t lf = bytes_.find('\n', at_);
  if (std::min(lf, bytes_.size()) - at_ > request_line_bytes_max) return reject(414, "the request line is too long");
  if (lf == std::string_view::npos) return need_more;
  std::string_view line = bytes_.substr(at_, lf - at_);
  at_ = lf + 1;
  if (!line.ends_with('\r')) return bad("a line does not end in CRLF");
  line.remove_suffix(1);

  const std::size_t first = line.find(' ');
  const std::size_t last = line.rfind(' ');
  if (first == last) return bad("the request line is not method, target, version");
  const std::string_view method = line.substr(0, first);
  const std::string_view version = line.substr(last + 1);
  if (!is_token(method)) return bad("the method is not a token");
  if (version == "HTTP/1.1") {
    head_.request.minor_version = 1;
  } else if (version == "HTTP/1.0") {
    head_.request.minor_version = 0;
  } else if (version.size() == 8 && version.starts_with("HTTP/") && is_digit(version[5]) && version[6] == '.' &&
             is_digit(version[7])) {
    return reject(505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
  } else {
    return bad("the request line does not end in an HTTP version");
  }
  if (method.size() > method_bytes_max) return reject(501, "no such method");
  head_.request.method = method;
  return target(line.substr(first + 1, last - first - 1));
}

HeadOutcome Pass::target(std::string_view target) {
  if (target.size() > target_bytes_max) return reject(414, "the request target is too long");
  if (target.empty() || !all_of_class(target, visible_class)) return bad("the request target has forbidden characters");
  if (target.contains('#')) return bad("a request target has no fragment");
  Request& request = head_.request;
  if (request.method == "CONNECT") return reject(501, "this server is not a tunnel");
  request.target = target;
  request.query = {};
  if (target == "*") {
    if (request.method != "OPTIONS") return bad("the target * belongs to OPTIONS");
    request.path = target;
    return complete;
  }
  if (!target.starts_with('/')) {
    for (const std::string_view scheme : {"http://", "https://"}) {
      if (equal_without_case(target.substr(0, scheme.size()), scheme)) {
        return absolute_target(target.substr(scheme.size()));
      }
    }
    return bad("the request target is neither a path nor an http URI");
  }
  const std::size_t question = target.find('?');
  request.path = target.substr(0, question);
  if (question != std::string_view::npos) request.query = target.substr(question + 1);
  return complete;
}

HeadOutcome Pass::absolute_target(std::string_view after_scheme) {
  const std::size_t end = std::min(after_scheme.find_first_of("/?"), after_scheme.size());
  target_authority_ = after_scheme.substr(0, end);
  // RFC 9110 section 4.2.1: an empty host is an error; section 4.2.4: so is user information.
  if (target_authority_.empty() || target_authority_.starts_with(':') || !valid_authority(target_authority_)) {
    return bad("the request target names no valid host");
  }
  const std::string_view rest = after_scheme.substr(end);
  const std::size_t question = rest.find('?');
  head_.request.path = rest.substr(0, question);
  if (head_.request.path.empty()) head_.request.path = "/";
  if (question != std::string_view::npos) head_.request.query = rest.substr(question + 1);
  return complete;
}

HeadOutcome Pass::field_line(std::string_view line) {
  if (line.front() == ' ' || line.front() == '\t') return bad("a header line is folded or begins with a space");
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos) return bad("a header line has no colon");
  const Field field{line.substr(0, colon), trim(line.substr(colon + 1))};
  if (!is_token(field.name)) return bad("a header name is not a token");
  if (!all_of_class(field.value, value_class)) return bad("a header value has control characters");
  if (field_count_ == head_fields_max) return reject(431, "there are too many header lines");
  head_.fields[field_count_++] = field;
  return known_field(field);
}

HeadOutcome Pass::known_field(const Field& field) {
  const auto is = [&field](std::string_view name) { return equal_without_case(field.name, name); };
  switch (field.name.size()) {
    case 4: return is("Host") ? host(field.value) : complete;
    case 6: return is("Expect") ? expect(field.value) : complete;
    case 10:
      if (is("Connection")) {
        std::string_view list = field.value;
        for (std::string_view option; next_element(list, option);) {
          if (equal_without_case(option, "close")) has_close_ = true;
        }
      }
      return complete;
    case 14: return is("Content-Length") ? content_length(field.value) : complete;
    case 17: return is("Transfer-Encoding") ? transfer_encoding(field.value) : complete;
    default: return complete;
  }
}

HeadOutcome Pass::host(std::string_view value) {
  if (host_index_ != head_fields_max) return bad("there is more than one Host");
  if (!valid_authority(value)) return bad("the Host is not valid");
  host_index_ = field_count_ - 1;
  return complete;
}

HeadOutcome Pass::content_length(std::string_view value) {
  if (has_length_) return bad("there is more than one Content-Length");
  has_length_ = true;
  if (!is_digits(value)) return bad("the Content-Length is not a number");
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), head_.content_length);
  if (error != std::errc{} || end != value.data() + value.size()) return bad("the Content-Length is too large");
  return complete;
}

HeadOutcome Pass::transfer_encoding(std::string_view value) {
  has_coding_ = true;
  std::string_view list = value;
  if (list.empty()) return bad("the Transfer-Encoding is empty");
  for (std::string_view coding; next_element(list, coding);) {
    if (!is_token(coding)) return bad("the Transfer-Encoding is not a list of codings");
    if (has_chunked_) return bad("chunked is not the last transfer coding");
    if (equal_without_case(coding, "chunked")) {
      has_chunked_ = true;
    } else {
      has_unknown_coding_ = true;
    }
  }
  return complete;
}

HeadOutcome Pass::expect(std::string_view value) {
  if (!equal_without_case(value, "100-continue")) return reject(417, "this expectation cannot be met");
  head_.expect_continue = head_.request.minor_version == 1;  // RFC 9110 section 10.1.1: ignored in HTTP/1.0
  return complete;
}

HeadOutcome Pass::whole_head() {
  Request& request = head_.request;
  const bool is_1_0 = request.minor_version == 0;
  if (host_index_ == head_fields_max && !is_1_0) return bad("there is no Host");
  if (has_coding_ && is_1_0) return bad("HTTP/1.0 has no Transfer-Encoding");
  if (has_coding_ && has_length_) return bad("Transfer-Encoding and Content-Length exclude each other");
  if (has_unknown_coding_) return reject(501, "chunked is the only transfer coding known here");
  head_.framing = has_chunked_ ? Framing::chunked : has_length_ ? Framing::length : Framing::none;
  head_.keep_alive = !is_1_0 && !has_close_;
  head_.size = at_;

  const bool has_host = host_index_ != head_fields_max;
  request.host = has_host ? head_.fields[host_index_].value : std::string_view{};
  if (!target_authority_.empty()) {  // RFC 9112 section 3.2.2: replaces what the Host field says
    request.host = target_authority_;
    if (has_host) head_.fields[host_index_].value = target_authority_;
  }
  request.fields = std::span(head_.fields).first(field_count_);
  return complete;
}

// Nothing can have changed since `judged` bytes: lines are judged when they end, and the two limits are not reached.
bool nothing_new(std::string_view bytes, std::size_t judged, std::size_t bytes_max) {
  if (judged < 4 || bytes.size() >= bytes_max) return false;
  if (bytes.substr(judged).contains('\n')) return false;
  return bytes.size() <= request_line_bytes_max || judged > request_line_bytes_max + 2;
}

}  // namespace

bool is_token_char(char c) {
  return has_class(c, token_class);
}
bool is_value_char(char c) {
  return has_class(c, value_class);
}

HeadOutcome parse_request_head(std::string_view bytes, std::size_t judged, std::size_t bytes_max, RequestHead& head) {
  if (nothing_new(bytes, std::min(judged, bytes.size()), bytes_max)) return need_more;
  head.content_length = 0;
  head.expect_continue = false;
  const HeadOutcome outcome = Pass(bytes.substr(0, bytes_max), head).run();
  if (outcome.state == HeadState::need_more && bytes.size() >= bytes_max) {
    return reject(431, "the request head is too large");
  }
  return outcome;
}

}  // namespace gputach::http
