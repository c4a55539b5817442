#include "relay/gateway_error.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <string>

#include "base/text_buffer.h"

namespace gputach::relay {
namespace {

using enum GatewayFault;

constexpr std::array<GatewayFaultRow, gateway_fault_count> rows{{
    {path_denied, 403, "http_request_denied", 0, "this path is not open to clients"},
    {request_malformed, 400, "http_request_error", 0, "the request cannot be forwarded"},
    {request_timeout, 408, "http_request_error", 0, "the request body did not arrive in time"},
    {loop, 502, "proxy_loop_detected", 0, "the request came back to this proxy; --upstream points at itself"},
    {draining, 503, "destination_unavailable", 1, "this server is shutting down"},
    {queue_full, 503, "connection_limit_reached", 1, "too many requests wait for the engine"},
    {engine_starting, 503, "connection_refused", 5, "the engine is not ready yet"},
    {refused, 502, "connection_refused", 0, "the engine refused the connection"},
    {connect_timeout, 504, "connection_timeout", 0, "the engine did not accept the connection in time"},
    {tls_failed, 502, "tls_protocol_error", 0, "the TLS connection to the engine failed"},
    {certificate_refused, 502, "tls_certificate_error", 0, "the engine's certificate is not trusted"},
    {closed_early, 502, "connection_terminated", 0, "the engine closed the connection before it answered"},
    {response_malformed, 502, "http_protocol_error", 0, "the engine's answer is not valid HTTP"},
    {response_head_too_large, 502, "http_response_header_section_size", 0, "the engine's answer has too large a head"},
    {response_incomplete, 502, "http_response_incomplete", 0, "the engine's answer ended early"},
    {response_coding, 502, "http_response_transfer_coding", 0, "the engine's answer has a broken transfer coding"},
    {internal, 500, "proxy_internal_error", 0, "internal error"},
}};

constexpr bool in_order() {
  for (std::size_t i = 0; i < rows.size(); ++i) {
    if (static_cast<std::size_t>(rows[i].fault) != i) return false;
  }
  return true;
}
static_assert(in_order(), "describe() takes the fault for the number of its row");

// The types that OpenAI's interface itself uses for these classes.
std::string_view error_type(int status) {
  return status < 500 ? "invalid_request_error" : "server_error";
}

// A string of RFC 8941 section 3.3.3: printable ASCII. What is not becomes a question mark.
void append_structured_string(std::string& out, std::string_view text) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    out += c >= ' ' && c <= '~' ? c : '?';
  }
  out += '"';
}

}  // namespace

const GatewayFaultRow& describe(GatewayFault fault) {
  const auto index = static_cast<std::size_t>(fault);
  assert(index < rows.size());
  return rows[std::min(index, rows.size() - 1)];
}

http::Content gateway_error(GatewayFault fault, std::string_view detail) {
  const GatewayFaultRow& row = describe(fault);
  std::string message(row.message);
  if (!detail.empty()) message.append(": ").append(detail);

  http::Content content;
  content.status = row.status;
  // A 404 could be cached without being asked (RFC 9111 section 4.2.2), and none of these lasts.
  content.fields = "Content-Type: application/json\r\nCache-Control: no-store\r\nProxy-Status: gputach; error=";
  content.fields += row.error;
  if (!detail.empty()) {
    content.fields += "; details=";
    append_structured_string(content.fields, detail);
  }
  content.fields += "\r\n";
  if (row.retry_after_s > 0) content.fields += "Retry-After: " + std::to_string(row.retry_after_s) + "\r\n";

  TextBuffer body(256);
  body << R"({"error":{"message":)";
  body.json_string(message);
  body << R"(,"type":")" << error_type(row.status) << R"(","code":")" << row.error << R"("}})";
  content.body = body.take();
  return content;
}

}  // namespace gputach::relay
