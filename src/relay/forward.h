// Purpose: rewrites a head as a gateway must when it passes a message on: what belongs to one connection is dropped,
//          framing is written anew, the traces of the way are ours and never the client's, and the rest stays as it is.
// Units: none.
// Owns: nothing; everything is appended to `out`, which stays untouched on any outcome but `appended`.
// Threads: any; pure; allocates only what `out` needs to grow.
// Fails: with an outcome that says what the caller answers instead.
// Source: RFC 9110 sections 7.6 (forwarding), 7.7, 7.8, 8.6, 10.1.1, 6.6.1; RFC 9112 sections 3.2, 6.1, 7.1.2;
//         RFC 7239 (Forwarded); RFC 6455 section 4 (websocket); X-Forwarded-* as in common use.
//
// A request loses: Connection and each field that it names (but see below), Keep-Alive, Proxy-Connection, TE, Trailer,
// Transfer-Encoding, Upgrade, HTTP2-Settings, Proxy-Authorization, Proxy-Authenticate; Host, Content-Length and Expect,
// which are written anew; Forwarded, X-Real-IP and X-Forwarded-*, which only we can know. The same names spelt with
// underscores go as well, since CGI and WSGI cannot tell them from ours. A response loses the first group and
// Content-Length.
//
// Connection cannot take away what every recipient needs (RFC 9110 section 7.6.1): Authorization, Cache-Control,
// Content-Encoding, Content-Range, Content-Type, Cookie, Date, ETag, Location, Max-Forwards, Origin, Range, Set-Cookie,
// Vary, Via, WWW-Authenticate, X-Request-Id and Sec-WebSocket-*. A client could otherwise make this proxy strip what a
// gateway before it has added.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "http/message.h"
#include "http/request_head.h"
#include "http/response_head.h"
#include "relay/upstream_head.h"

namespace gputach::relay {

inline constexpr std::size_t nominations_max = 32;       // names in all Connection fields of one head
inline constexpr std::uint64_t max_forwards_max = 1000;  // more than that is cut to it

// How the body is framed towards the engine, as RequestHead has it from the client.
struct RequestBody {
  http::Framing framing = http::Framing::none;
  std::uint64_t content_length = 0;  // with Framing::length
};

enum class UpgradePolicy : unsigned char { drop, websocket };
enum class ExpectPolicy : unsigned char { drop, pass };  // drop where the proxy has sent 100 by itself

struct RequestContext {
  std::string_view peer{};           // the client's IP address without port and brackets; empty on a Unix socket
  std::string_view scheme{};         // "http" or "https", as the client spoke to us
  std::string_view upstream_host{};  // the engine's host and port, for a client that names none
  std::string_view pseudonym{};      // this process in Via and Forwarded: unique, of letters, digits and . _ -
  std::string_view request_id{};     // for a request that brings none; empty: none
  UpgradePolicy upgrade = UpgradePolicy::drop;
  ExpectPolicy expect = ExpectPolicy::drop;
};

enum class RequestOutcome : unsigned char {
  appended,
  loop,                  // our own pseudonym stands in Via: answer GatewayFault::loop
  final_recipient,       // OPTIONS or TRACE with Max-Forwards: 0: answer it here
  too_many_nominations,  // answer GatewayFault::request_malformed
};

// Whether the request asks to become a websocket (RFC 6455 section 4.2.1), as far as a proxy must understand it. Such
// a request has no body: one that has is forwarded as the plain request that another reader could take it for. With
// UpgradePolicy::websocket exactly these are sent as an upgrade, and their answer is to be read as Answering::upgrade.
[[nodiscard]] bool asks_websocket(const http::Request& request, RequestBody body);

// Request line, Host, the client's fields in their order, and ours: as HTTP/1.1, in origin form.
[[nodiscard]] RequestOutcome append_forwarded_request(std::string& out, const http::Request& request, RequestBody body,
                                                      const RequestContext& context);

struct ResponseContext {
  int client_minor_version = 1;  // HTTP/1.x
  http::AfterResponse after = http::AfterResponse::close;
  std::string_view date_line{};   // with its CRLF, for a response without Date
  std::string_view request_id{};  // for a response that brings none; empty: none
  std::string_view pseudonym{};   // in Via; empty: no Via
};

enum class ResponseOutcome : unsigned char {
  appended,
  withheld,              // an interim response, which HTTP/1.0 does not know: go on to the next head
  too_many_nominations,  // answer GatewayFault::response_malformed
};

// How the body goes to the client: as it came, except that a body without a known length is sent in chunks, or to
// HTTP/1.0, which knows none, up to the end of the connection.
[[nodiscard]] BodyFraming framing_for_client(const UpstreamHead& head, int client_minor_version);

// What becomes of the connection to the client: an end that the framing or HTTP/1.0 needs outweighs the intention.
[[nodiscard]] http::AfterResponse after_forwarding(const UpstreamHead& head, const ResponseContext& context);

// Status line, the engine's fields in their order, and ours; the body is framed by framing_for_client.
[[nodiscard]] ResponseOutcome append_forwarded_response(std::string& out, const UpstreamHead& head,
                                                        const ResponseContext& context);

}  // namespace gputach::relay
