// What must hold for every sequence of bytes that claims to be a request head. The accepted ones are judged by naive
// code that shares nothing with the parser.
#include <cctype>
#include <vector>

#include "fuzz/target.h"
#include "http/request_head.h"

namespace gputach::fuzz {
namespace {

using namespace http;

constexpr std::size_t whole_bytes_max = 16384;  // the default of Limits::head_bytes_max
constexpr std::size_t small_bytes_max = 128;    // so that short inputs reach the limit
constexpr std::size_t every_cut_bytes_max = 256;

bool same_text(std::string_view left, std::string_view right) {
  return std::ranges::equal(left, right,
                            [](unsigned char l, unsigned char r) { return std::tolower(l) == std::tolower(r); });
}

// Everything an outcome says, as one comparable text; without the sizes when `what` is content only.
enum class What : unsigned char { everything, content };

std::string describe(const HeadOutcome& outcome, const RequestHead& head, What what = What::everything) {
  if (outcome.state == HeadState::need_more) return "need_more";
  if (outcome.state == HeadState::rejected) {
    return std::to_string(outcome.error.status) + " " + std::string(outcome.error.sentence);
  }
  const Request& request = head.request;
  std::string text;
  for (const std::string_view part : {request.method, request.target, request.path, request.query, request.host}) {
    text += std::string(part) + "\n";
  }
  for (const Field& field : request.fields) text += std::string(field.name) + "\n" + std::string(field.value) + "\n";
  text += std::to_string(request.minor_version) + " " + std::to_string(static_cast<int>(head.framing)) + " ";
  if (head.framing == Framing::length) text += std::to_string(head.content_length);
  text += head.keep_alive ? " keep" : " close";
  text += head.expect_continue ? " expect" : "";
  if (what == What::everything) text += " " + std::to_string(head.size);
  return text;
}

std::string outcome_of(std::string_view bytes, std::size_t judged, std::size_t bytes_max,
                       What what = What::everything) {
  const ExactCopy exact(bytes);
  RequestHead head;
  const HeadOutcome outcome = parse_request_head(exact.view(), judged, bytes_max, head);
  return describe(outcome, head, what);
}

// All cuts of a short input; of a long one those beside line ends and a few others.
std::vector<std::size_t> cuts(std::string_view bytes) {
  std::vector<std::size_t> ends;
  for (std::size_t end = 0; end < bytes.size(); ++end) {
    const bool at_line_end = bytes[end] == '\n' || (end > 0 && bytes[end - 1] == '\n');
    if (bytes.size() <= every_cut_bytes_max || end % 1021 == 0 || (at_line_end && end < 2000)) ends.push_back(end);
  }
  return ends;
}

std::string check_prefixes(std::string_view bytes, std::size_t bytes_max, const std::string& whole) {
  for (const std::size_t end : cuts(bytes)) {
    const std::string outcome = outcome_of(bytes.substr(0, end), 0, bytes_max);
    if (outcome != "need_more" && outcome != whole) return "a prefix has another outcome than the whole";
  }
  return {};
}

// In a head that another request has left traces in.
std::string check_byte_by_byte(std::string_view bytes, std::size_t bytes_max, const std::string& whole) {
  constexpr std::string_view other =
      "PUT http://b/c?d HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 7\r\n\r\n";
  RequestHead head;
  if (parse_request_head(other, 0, whole_bytes_max, head).state != HeadState::complete) return "a plain PUT is refused";
  for (std::size_t end = 1; end <= bytes.size(); ++end) {
    const HeadOutcome outcome = parse_request_head(bytes.substr(0, end), end - 1, bytes_max, head);
    if (outcome.state == HeadState::need_more) continue;
    return describe(outcome, head) == whole ? "" : "byte by byte the outcome is another";
  }
  return bytes.empty() || whole == "need_more" ? "" : "byte by byte the end is not found";
}

bool is_clean(std::string_view text) {
  return text.find_first_of(std::string_view("\r\n\0", 3)) == std::string_view::npos;
}

std::string check_views(const Request& request) {
  for (const std::string_view part : {request.method, request.target, request.path, request.query, request.host}) {
    if (!is_clean(part) || part.contains(' ')) return "CR, LF, NUL or space in the request line's parts";
  }
  for (const Field& field : request.fields) {
    if (!is_clean(field.name) || !is_clean(field.value)) return "CR, LF or NUL in a field";
    if (field.name.empty() || field.name.find_first_of(" \t:") != std::string_view::npos) return "a bad field name";
    if (field.value != field.value.substr(0, field.value.find_last_not_of(" \t") + 1)) return "an untrimmed value";
  }
  if (!request.target.contains(request.path) && request.path != "/") return "the path is not in the target";
  if (!request.target.ends_with(request.query)) return "the query does not end the target";
  return {};
}

std::vector<std::string_view> values_of(const Request& request, std::string_view name) {
  std::vector<std::string_view> values;
  for (const Field& field : request.fields) {
    if (same_text(field.name, name)) values.push_back(field.value);
  }
  return values;
}

// RFC 9112 section 6.3 without the cases that are rejected here: at most one length, or chunked and nothing else.
std::string check_framing(const RequestHead& head) {
  const std::vector<std::string_view> lengths = values_of(head.request, "content-length");
  const std::vector<std::string_view> codings = values_of(head.request, "transfer-encoding");
  if (lengths.size() + codings.size() > 1) return "more than one field frames the body";
  if (!codings.empty()) {
    if (!same_text(codings[0], "chunked")) return "a coding other than chunked";
    if (head.request.minor_version != 1) return "chunked in HTTP/1.0";
    return head.framing == Framing::chunked ? "" : "chunked, and not framed so";
  }
  if (lengths.empty()) return head.framing == Framing::none ? "" : "framed without a field that says so";
  if (head.framing != Framing::length) return "a length, and not framed so";
  if (lengths[0].empty() || lengths[0].find_first_not_of("0123456789") != std::string_view::npos) {
    return "a length that is no number";
  }
  const std::size_t first = std::min(lengths[0].find_first_not_of('0'), lengths[0].size() - 1);
  return std::to_string(head.content_length) == lengths[0].substr(first) ? "" : "the length is misread";
}

std::string check_connection(const RequestHead& head) {
  bool close = head.request.minor_version == 0;
  for (const std::string_view value : values_of(head.request, "connection")) {
    const std::string list = "," + std::string(value) + ",";
    std::string packed;
    for (std::size_t at = 0; at < list.size(); ++at) {
      const bool beside_comma = list.find_last_not_of(" \t", at) != std::string::npos &&
                                (list[list.find_last_not_of(" \t", at)] == ',' ||
                                 list[std::min(list.find_first_not_of(" \t", at), list.size() - 1)] == ',');
      if ((list[at] == ' ' || list[at] == '\t') && beside_comma) continue;
      packed += static_cast<char>(std::tolower(static_cast<unsigned char>(list[at])));
    }
    close = close || packed.contains(",close,");
  }
  if (head.keep_alive == close) return "the connection persists other than it was asked to";
  const std::size_t hosts = values_of(head.request, "host").size();
  if (hosts > 1 || (hosts == 0 && head.request.minor_version == 1)) return "not exactly one Host";
  const bool expects = !values_of(head.request, "expect").empty() && head.request.minor_version == 1;
  return head.expect_continue == expects ? "" : "the expectation is misread";
}

std::string render(const Request& request) {
  std::string text = std::string(request.method) + " " + std::string(request.target) + " HTTP/1." +
                     std::to_string(request.minor_version) + "\r\n";
  for (const Field& field : request.fields) {
    text += std::string(field.name) + ": " + std::string(field.value) + "\r\n";
  }
  return text + "\r\n";
}

std::string check_size(std::string_view bytes, std::size_t bytes_max, std::size_t size) {
  if (size > bytes.size() || size > bytes_max) return "the size is beyond the bytes";
  const std::string_view own = bytes.substr(0, size);
  if (!own.ends_with("\r\n\r\n")) return "the head does not end in an empty line";
  const std::size_t begin = own.starts_with("\r\n") ? 2 : 0;
  return own.find("\r\n\r\n", begin) == size - 4 ? "" : "an empty line before the end of the head";
}

std::string check_accepted(std::string_view bytes, std::size_t bytes_max, const RequestHead& head) {
  for (std::string broken : {check_size(bytes, bytes_max, head.size), check_views(head.request), check_framing(head),
                             check_connection(head)}) {
    if (!broken.empty()) return broken;
  }
  const std::string again = render(head.request);
  const std::string content = describe({HeadState::complete, {}}, head, What::content);
  // Rendering adds a space after each colon, so a head at its limit would not fit again.
  if (outcome_of(again, 0, 2 * bytes_max, What::content) != content) return "rendered again it reads otherwise";
  const std::string whole = describe({HeadState::complete, {}}, head);
  if (outcome_of(bytes.substr(0, head.size), 0, bytes_max) != whole) return "without what follows it reads otherwise";
  if (outcome_of(std::string(bytes) + "GET", 0, bytes_max) != whole) return "what follows the head changes it";
  return {};
}

std::string check_with(std::string_view bytes, std::size_t bytes_max) {
  const ExactCopy exact(bytes);
  RequestHead head;
  const HeadOutcome outcome = parse_request_head(exact.view(), 0, bytes_max, head);
  const std::string whole = describe(outcome, head);
  if (std::string broken = check_prefixes(bytes, bytes_max, whole); !broken.empty()) return broken;
  if (std::string broken = check_byte_by_byte(bytes, bytes_max, whole); !broken.empty()) return broken;
  switch (outcome.state) {
    case HeadState::need_more: return bytes.size() < bytes_max ? "" : "more is wanted than may come";
    case HeadState::complete: return check_accepted(bytes, bytes_max, head);
    case HeadState::rejected: break;
  }
  const int status = outcome.error.status;
  if (status != 400 && status != 414 && status != 417 && status != 431 && status != 501 && status != 505) {
    return "rejected with the status " + std::to_string(status);
  }
  return outcome.error.sentence.empty() ? "rejected without a reason" : "";
}

}  // namespace

std::string check_request_head(std::string_view bytes) {
  std::string broken = check_with(bytes, whole_bytes_max);
  return broken.empty() ? check_with(bytes, small_bytes_max) : broken;
}

}  // namespace gputach::fuzz
