#include "relay/forward.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

#include "http/field_text.h"

namespace gputach::relay {
namespace {

using namespace std::string_view_literals;
using http::equal_without_case;
using http::Framing;
using http::next_element;
using http::trim;

// What belongs to one connection, whether Connection names it or not.
constexpr std::array hop_by_hop{
    "connection"sv,
    "keep-alive"sv,
    "proxy-connection"sv,
    "te"sv,
    "trailer"sv,
    "transfer-encoding"sv,
    "upgrade"sv,
    "http2-settings"sv,
    "proxy-authorization"sv,
    "proxy-authenticate"sv,
    "content-length"sv,  // framing, as Transfer-Encoding: written anew
};

// What a request gets from us and from nobody else.
constexpr std::array ours{"host"sv, "expect"sv, "forwarded"sv, "x-real-ip"sv};
constexpr std::string_view ours_prefix = "x-forwarded-";

// What a Connection field cannot take away.
constexpr std::array kept{
    "authorization"sv,
    "cache-control"sv,
    "content-encoding"sv,
    "content-range"sv,
    "content-type"sv,
    "cookie"sv,
    "date"sv,
    "etag"sv,
    "location"sv,
    "max-forwards"sv,
    "origin"sv,
    "range"sv,
    "set-cookie"sv,
    "vary"sv,
    "via"sv,
    "www-authenticate"sv,
    "x-request-id"sv,
};
constexpr std::string_view kept_prefix = "sec-websocket-";

constexpr char folded(char c) {
  if (c >= 'A' && c <= 'Z') return static_cast<char>(c - 'A' + 'a');
  return c == '_' ? '-' : c;
}

// Whether `name` is `known`, in any case and with underscores for dashes.
bool is_twin(std::string_view name, std::string_view known) {
  return name.size() == known.size() && std::ranges::equal(name, known, {}, folded);
}
bool begins_as_twin(std::string_view name, std::string_view prefix) {
  return name.size() >= prefix.size() && is_twin(name.substr(0, prefix.size()), prefix);
}

bool has_twin(std::span<const std::string_view> table, std::string_view name) {
  return std::ranges::any_of(table, [name](std::string_view known) { return is_twin(name, known); });
}

bool is_ours(std::string_view name) {
  return has_twin(ours, name) || begins_as_twin(name, ours_prefix);
}

// The fields that the Connection fields of one head name.
class Nominations {
 public:
  // False when there are more than a head may have.
  bool add(std::string_view list) {
    for (std::string_view option; next_element(list, option);) {
      if (option.empty() || has_twin(kept, option) || begins_as_twin(option, kept_prefix)) continue;
      if (count_ == names_.size()) return false;
      names_[count_++] = option;
    }
    return true;
  }

  [[nodiscard]] bool contains(std::string_view name) const {
    return std::ranges::any_of(std::span(names_).first(count_), [name](std::string_view nominated) {
      return nominated.size() == name.size() && equal_without_case(nominated, name);
    });
  }

 private:
  std::array<std::string_view, nominations_max> names_;
  std::size_t count_ = 0;
};

bool lists(std::string_view list, std::string_view wanted) {
  for (std::string_view element; next_element(list, element);) {
    if (equal_without_case(element, wanted)) return true;
  }
  return false;
}

// Via = #( received-protocol RWS received-by [ RWS comment ] )
bool via_names(std::string_view value, std::string_view pseudonym) {
  for (std::string_view hop; next_element(value, hop);) {
    hop.remove_prefix(std::min(hop.find_first_of(" \t"), hop.size()));
    hop = trim(hop);
    if (equal_without_case(hop.substr(0, hop.find_first_of(" \t(")), pseudonym)) return true;
  }
  return false;
}

void append_number(std::string& out, std::uint64_t value) {
  std::array<char, 20> digits;
  out.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr);
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

void append_length(std::string& out, std::uint64_t length) {
  out += "Content-Length: ";
  append_number(out, length);
  out += "\r\n";
}

// Max-Forwards binds TRACE and OPTIONS alone (RFC 9110 section 7.6.2); no value where it is not a number.
struct MaxForwards {
  bool binds = false;
  std::uint64_t value = 0;
};

MaxForwards max_forwards(const http::Request& request, std::string_view value) {
  if (request.method != "OPTIONS" && request.method != "TRACE") return {};
  MaxForwards result;
  const char* const end = value.data() + value.size();
  const auto [stop, error] = std::from_chars(value.data(), end, result.value);
  result.binds = stop == end && error != std::errc::invalid_argument;
  if (error == std::errc::result_out_of_range) result.value = max_forwards_max + 1;
  result.value = std::min(result.value, max_forwards_max + 1);
  return result;
}

// What must be known of a request before the first byte of it is written.
struct Survey {
  Nominations nominations;
  RequestOutcome outcome = RequestOutcome::appended;
  bool has_request_id = false;
};

Survey survey(const http::Request& request, const RequestContext& context) {
  Survey found;
  for (const auto& [name, value] : request.fields) {
    if (equal_without_case(name, "Connection")) {
      if (!found.nominations.add(value)) found.outcome = RequestOutcome::too_many_nominations;
    } else if (equal_without_case(name, "Via")) {
      if (via_names(value, context.pseudonym)) found.outcome = RequestOutcome::loop;
    } else if (equal_without_case(name, "Max-Forwards")) {
      const MaxForwards limit = max_forwards(request, value);
      if (limit.binds && limit.value == 0) found.outcome = RequestOutcome::final_recipient;
    } else if (equal_without_case(name, "X-Request-Id")) {
      found.has_request_id = true;
    }
  }
  return found;
}

// The target in origin form, byte for byte, except that an empty path becomes "/" (RFC 9110 section 7.7) or, for
// OPTIONS, "*" (RFC 9112 section 3.2.4).
void append_target(std::string& out, const http::Request& request) {
  const std::string_view target = request.target;
  if (target.starts_with('/') || target == "*") {
    out += target;
    return;
  }
  const std::size_t authority = target.find("://") + 3;
  const std::string_view rest = target.substr(std::min(target.find_first_of("/?", authority), target.size()));
  if (rest.empty() && request.method == "OPTIONS") {
    out += '*';
    return;
  }
  if (!rest.starts_with('/')) out += '/';
  out += rest;
}

// Who sent it, by which way: none of it is taken from the request but the Host, which is the client's to choose.
void append_provenance(std::string& out, const http::Request& request, const RequestContext& context) {
  const std::string_view peer = context.peer.substr(0, context.peer.find('%'));  // without the zone of a link
  if (!peer.empty()) append_field(out, "X-Forwarded-For", peer);
  append_field(out, "X-Forwarded-Proto", context.scheme);
  if (!request.host.empty()) append_field(out, "X-Forwarded-Host", request.host);

  out += "Forwarded: for=";
  if (peer.empty()) {
    out += "unknown";
  } else if (peer.contains(':')) {
    out.append("\"[").append(peer).append("]\"");
  } else {
    out += peer;
  }
  if (!request.host.empty()) out.append(";host=\"").append(request.host).append("\"");
  out.append(";proto=").append(context.scheme).append(";by=_").append(context.pseudonym).append("\r\n");
}

void append_via(std::string& out, int minor_version, std::string_view pseudonym) {
  out += minor_version == 0 ? "Via: 1.0 " : "Via: 1.1 ";
  out.append(pseudonym).append("\r\n");
}

void append_response_framing(std::string& out, const UpstreamHead& head, const ResponseContext& context) {
  switch (framing_for_client(head, context.client_minor_version)) {
    case BodyFraming::none:  // the length of a body that HEAD or 304 leave out, and none with 204 (RFC 9110, 8.6)
      if (head.content_length && head.status != 204) append_length(out, *head.content_length);
      break;
    case BodyFraming::length: append_length(out, head.content_length.value_or(0)); break;
    case BodyFraming::chunked: out += "Transfer-Encoding: chunked\r\n"; break;
    case BodyFraming::until_close: break;
    case BodyFraming::tunnel: out += "Connection: Upgrade\r\nUpgrade: websocket\r\n"; return;
  }
  if (after_forwarding(head, context) == http::AfterResponse::close) out += "Connection: close\r\n";
}

}  // namespace

bool asks_websocket(const http::Request& request, RequestBody body) {
  if (request.method != "GET" || request.minor_version == 0 || body.framing != Framing::none) return false;
  bool connection = false;
  bool websocket = false;
  for (const auto& [name, value] : request.fields) {
    if (equal_without_case(name, "Connection")) connection = connection || lists(value, "upgrade");
    if (equal_without_case(name, "Upgrade")) websocket = websocket || lists(value, "websocket");
  }
  return connection && websocket;
}

RequestOutcome append_forwarded_request(std::string& out, const http::Request& request, RequestBody body,
                                        const RequestContext& context) {
  const Survey found = survey(request, context);
  if (found.outcome != RequestOutcome::appended) return found.outcome;

  out.append(request.method).append(" ");
  append_target(out, request);
  out += " HTTP/1.1\r\n";
  append_field(out, "Host", request.host.empty() ? context.upstream_host : request.host);
  for (const auto& [name, value] : request.fields) {
    if (has_twin(hop_by_hop, name) || is_ours(name) || found.nominations.contains(name)) continue;
    // The client's own, or the one of the log where the client's is fit for none.
    if (!context.request_id.empty() && equal_without_case(name, "X-Request-Id")) {
      append_field(out, name, context.request_id);
      continue;
    }
    if (equal_without_case(name, "Max-Forwards")) {
      if (const MaxForwards limit = max_forwards(request, value); limit.binds) {
        out.append(name).append(": ");
        append_number(out, limit.value - 1);
        out += "\r\n";
        continue;
      }
    }
    append_field(out, name, value);
  }
  append_provenance(out, request, context);
  append_via(out, request.minor_version, context.pseudonym);
  if (!found.has_request_id && !context.request_id.empty()) append_field(out, "X-Request-Id", context.request_id);

  const bool expects = request.minor_version == 1 && !request.field("Expect").empty();
  if (expects && context.expect == ExpectPolicy::pass) out += "Expect: 100-continue\r\n";
  if (context.upgrade == UpgradePolicy::websocket && asks_websocket(request, body)) {
    out += "Connection: Upgrade\r\nUpgrade: websocket\r\n";
  }
  if (body.framing == Framing::length) append_length(out, body.content_length);
  if (body.framing == Framing::chunked) out += "Transfer-Encoding: chunked\r\n";
  out += "\r\n";
  return RequestOutcome::appended;
}

BodyFraming framing_for_client(const UpstreamHead& head, int client_minor_version) {
  if (head.framing != BodyFraming::chunked && head.framing != BodyFraming::until_close) return head.framing;
  return client_minor_version == 0 ? BodyFraming::until_close : BodyFraming::chunked;
}

http::AfterResponse after_forwarding(const UpstreamHead& head, const ResponseContext& context) {
  const int minor_version = context.client_minor_version;
  const BodyFraming framing = framing_for_client(head, minor_version);
  const bool closes = minor_version == 0 || framing == BodyFraming::until_close || framing == BodyFraming::tunnel;
  return closes ? http::AfterResponse::close : context.after;
}

ResponseOutcome append_forwarded_response(std::string& out, const UpstreamHead& head, const ResponseContext& context) {
  const bool interim = head.is_interim();
  if (interim && context.client_minor_version == 0) return ResponseOutcome::withheld;
  Nominations nominations;
  bool has_date = false;
  bool has_request_id = false;
  for (const auto& [name, value] : head.fields) {
    if (equal_without_case(name, "Connection") && !nominations.add(value)) {
      return ResponseOutcome::too_many_nominations;
    }
    has_date = has_date || equal_without_case(name, "Date");
    has_request_id = has_request_id || equal_without_case(name, "X-Request-Id");
  }

  out += "HTTP/1.1 ";
  append_number(out, static_cast<std::uint64_t>(head.status));
  out.append(" ").append(head.reason).append("\r\n");
  for (const auto& [name, value] : head.fields) {
    if (!has_twin(hop_by_hop, name) && !nominations.contains(name)) append_field(out, name, value);
  }
  if (!interim) {
    if (!has_date) out += context.date_line;
    if (!has_request_id && !context.request_id.empty()) append_field(out, "X-Request-Id", context.request_id);
    if (!context.pseudonym.empty()) append_via(out, head.minor_version, context.pseudonym);
    append_response_framing(out, head, context);
  }
  out += "\r\n";
  return ResponseOutcome::appended;
}

}  // namespace gputach::relay
