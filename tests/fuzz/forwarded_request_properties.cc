// What must hold for every request that is forwarded: read again by the strict parser it is one request, framed as the
// client's was, for the same target, without a field that belonged to the other connection or that only we may set.
#include <cctype>
#include <vector>

#include "fuzz/target.h"
#include "relay/forward.h"

namespace gputach::fuzz {
namespace {

using namespace relay;

constexpr std::size_t head_bytes_max = 16 * 1024;
constexpr RequestContext context{.peer = "192.0.2.1",
                                 .scheme = "http",
                                 .upstream_host = "127.0.0.1:8000",
                                 .pseudonym = "gputach-fuzz",
                                 .request_id = "made-here",
                                 .upgrade = UpgradePolicy::websocket,
                                 .expect = ExpectPolicy::pass};

std::string folded(std::string_view name) {
  std::string text(name);
  for (char& c : text) c = c == '_' ? '-' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::vector<std::string_view> values_of(const http::Request& request, std::string_view twin) {
  std::vector<std::string_view> values;
  for (const http::Field& field : request.fields) {
    if (folded(field.name) == twin) values.push_back(field.value);
  }
  return values;
}

std::string check_fields(const http::RequestHead& sent, const http::RequestHead& got) {
  const bool upgrade = asks_websocket(sent.request, {sent.framing, sent.content_length});
  for (const std::string_view gone : {"keep-alive", "proxy-connection", "te", "trailer", "http2-settings",
                                      "proxy-authorization", "proxy-authenticate", "x-real-ip"}) {
    if (!values_of(got.request, gone).empty()) return std::string(gone) + " is passed on";
  }
  for (const std::string_view once : {"host", "forwarded", "x-forwarded-for", "x-forwarded-proto"}) {
    if (values_of(got.request, once).size() != 1) return std::string(once) + " is not exactly ours";
  }
  if (values_of(got.request, "x-forwarded-for")[0] != context.peer) return "X-Forwarded-For is not ours";
  if (values_of(got.request, "connection").size() != (upgrade ? 1U : 0U)) return "a Connection is passed on";
  if (values_of(got.request, "upgrade").size() != (upgrade ? 1U : 0U)) return "an Upgrade is passed on";
  const std::size_t lengths = values_of(got.request, "content-length").size();
  const std::size_t codings = values_of(got.request, "transfer-encoding").size();
  if (lengths != (got.framing == http::Framing::length ? 1U : 0U)) return "a twin of Content-Length is passed on";
  if (codings != (got.framing == http::Framing::chunked ? 1U : 0U)) return "a twin of Transfer-Encoding is passed on";
  for (const http::Field& field : got.request.fields) {
    const bool known =
        std::ranges::any_of(sent.request.fields, [&](const http::Field& f) { return f.name == field.name; });
    const std::string name = folded(field.name);
    const bool ours = name == "host" || name == "via" || name == "forwarded" || name.starts_with("x-forwarded-") ||
                      name == "x-request-id" || name == "expect" || name == "connection" || name == "upgrade" ||
                      name == "content-length" || name == "transfer-encoding";
    if (!known && !ours) return "a field appears that nobody sent";
  }
  return {};
}

}  // namespace

std::string check_forwarded_request(std::string_view bytes) {
  http::RequestHead sent;
  if (http::parse_request_head(bytes, 0, head_bytes_max, sent).state != http::HeadState::complete) return {};
  std::string out = "before";
  const auto outcome = append_forwarded_request(out, sent.request, {sent.framing, sent.content_length}, context);
  if (!out.starts_with("before")) return "what was there before is changed";
  if (outcome != RequestOutcome::appended) return out == "before" ? "" : "something is left of a request not forwarded";
  const std::string text = out.substr(sizeof "before" - 1);
  http::RequestHead got;
  const auto again = http::parse_request_head(text, 0, 4 * head_bytes_max, got);
  if (again.state == http::HeadState::need_more) return "what is forwarded does not end";
  if (again.state == http::HeadState::rejected) {
    // What we add may be more than a head may have; the engine decides.
    return again.error.status == 431 ? "" : "what is forwarded is refused: " + std::string(again.error.sentence);
  }
  if (got.size != text.size()) return "it is more than one request";
  if (got.framing != sent.framing) return "the body is framed otherwise";
  if (got.framing == http::Framing::length && got.content_length != sent.content_length) return "the length is another";
  if (got.request.method != sent.request.method) return "the method is another";
  const bool asterisk = got.request.target == "*" && sent.request.method == "OPTIONS";
  if (got.request.path != sent.request.path && !asterisk) return "the path is another";
  if (got.request.query != sent.request.query && !asterisk) return "the query is another";
  if (!got.request.target.starts_with('/') && !asterisk) return "it is not in origin form";
  return check_fields(sent, got);
}

}  // namespace gputach::fuzz
