// Purpose: turns the bytes of an engine's response head into an UpstreamHead, or says why not. It decides where the
//          response ends, so it reads to the letter: what two readers could frame differently is refused.
// Units: sizes in bytes.
// Owns: an UpstreamHead holds its table of fields (6.4 KiB: reuse it); all text is a view into the parsed bytes.
// Threads: any; pure, no allocation.
// Fails: with the fault to answer and a sentence for its detail. After a rejection the connection cannot be used.
// Source: RFC 9112 sections 4 to 6 and 9.3, RFC 9110 sections 6.4.1, 7.8, 8.6, 15.2.
//
// Stricter than the RFC asks, on purpose: lines end in CRLF only; no folded lines; no Content-Length twice, not even
// the same; no transfer coding but chunked, since no other was asked for. The reason phrase and the space before it may
// be missing, as some servers send it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "http/message.h"
#include "http/request_head.h"
#include "relay/gateway_error.h"

namespace gputach::relay {

inline constexpr std::size_t upstream_fields_max = 200;

enum class BodyFraming : unsigned char {
  none,         // nothing follows the head
  length,       // content_length bytes
  chunked,      // chunks
  until_close,  // whatever comes until the connection ends
  tunnel,       // after 101: bytes in both directions, HTTP no more
};

// What was asked, as far as the framing of the answer depends on it.
enum class Answering : unsigned char {
  other,
  head,     // the HEAD method: never a body
  upgrade,  // to websocket; only then 101 is an answer
};

struct UpstreamHead {
  UpstreamHead() = default;
  UpstreamHead(const UpstreamHead&) = delete;  // `fields` points into `table`
  UpstreamHead& operator=(const UpstreamHead&) = delete;

  int minor_version = 1;    // HTTP/1.x
  int status = 0;           // 100 to 999
  std::string_view reason;  // may be empty
  std::span<const http::Field> fields;
  BodyFraming framing = BodyFraming::none;
  // As announced. With framing `none` (HEAD, 304) it is the size of a body that does not come.
  std::optional<std::uint64_t> content_length;
  bool keep_alive = false;  // the connection can be used again once the body has been read
  std::size_t size = 0;     // of the head, including the empty line at its end

  std::array<http::Field, upstream_fields_max> table;

  // Another head follows: 1xx, except that 101 is the last one.
  [[nodiscard]] bool is_interim() const { return status < 200 && framing != BodyFraming::tunnel; }
};

struct UpstreamHeadOutcome {
  http::HeadState state = http::HeadState::need_more;
  // When rejected: response_malformed or response_head_too_large, and a literal without characters that JSON escapes.
  GatewayFault fault = GatewayFault::response_malformed;
  std::string_view sentence;
};

// `bytes` begins where the previous response ended. `judged`, `bytes_max` and the promise are those of
// http::parse_request_head: every prefix of `bytes` yields need_more or the very outcome of `bytes`. On anything but
// complete the content of `head` is unspecified.
[[nodiscard]] UpstreamHeadOutcome parse_upstream_head(std::string_view bytes, std::size_t judged, std::size_t bytes_max,
                                                      Answering answering, UpstreamHead& head);

}  // namespace gputach::relay
