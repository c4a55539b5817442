// Purpose: what a client is told when the proxy itself fails a request: one table from what went wrong to status,
//          Proxy-Status, Retry-After and a body in the shape that clients of OpenAI's interface parse.
// Units: seconds for Retry-After.
// Owns: nothing; gateway_error returns a value.
// Threads: any; pure.
// Fails: never.
// Source: RFC 9209 sections 2.1.1 and 2.3 (Proxy-Status and its error types), RFC 9110 sections 10.2.3 and 15.6;
//         openai-python 1.x reads error.message, error.type and error.code.
//
// Proxy-Status tells the proxy's own 503 from the engine's. It names no address: what lies behind is nobody's business.
#pragma once

#include <cstddef>
#include <string_view>

#include "http/message.h"

namespace gputach::relay {

enum class GatewayFault : unsigned char {
  // Before the engine was asked.
  path_denied,        // the operator shut this path
  request_malformed,  // found while forwarding: a body that breaks its framing, a Connection field out of bounds
  request_timeout,    // the client stopped sending its body
  loop,               // the request has been here before
  draining,
  queue_full,  // no free connection to the engine, and too many requests wait for one
  // On the way to the engine.
  engine_starting,  // refused, and it has not answered since the start
  refused,
  connect_timeout,
  tls_failed,
  certificate_refused,
  // In its answer.
  closed_early,  // before the head was complete
  response_malformed,
  response_head_too_large,
  // In the middle of a body: no status can be sent any more, the connection is cut; the name is for logs and counters.
  response_incomplete,
  response_coding,  // broken chunks
  // In here.
  internal,
};

inline constexpr std::size_t gateway_fault_count = 17;

struct GatewayFaultRow {
  GatewayFault fault;
  int status;
  std::string_view error;    // error type of RFC 9209; also the code in the body, and the label of counters
  int retry_after_s;         // 0: no such field
  std::string_view message;  // a sentence for the caller, without its full stop
};

[[nodiscard]] const GatewayFaultRow& describe(GatewayFault fault);

// {"error":{"message":"…","type":"…","code":"…"}} with its fields. `detail` is added to the message and to
// Proxy-Status: a sentence such as a parser gives, with nothing in it that the client may not know.
[[nodiscard]] http::Content gateway_error(GatewayFault fault, std::string_view detail = {});

}  // namespace gputach::relay
