// Purpose: turns the bytes of a request head into a RequestHead, or says why not. One strict parser, so that no second
//          reading of the same bytes can disagree about where a request ends (RFC 9112 section 11.2, smuggling).
// Units: sizes in bytes.
// Owns: a RequestHead holds its table of fields (3 KiB: reuse it); all text is a view into the parsed bytes.
// Threads: any; pure, no allocation.
// Fails: with a status and a sentence for the client. After a rejection the rest of the connection cannot be framed.
// Source: RFC 9112 sections 2 to 6, RFC 9110 sections 4, 5, 7.2, 10.1.1; RFC 3986 section 3.2.2 for Host.
//
// Stricter than the RFC asks, on purpose: lines end in CRLF only; one empty line at most before the request line; no
// Content-Length twice, not even the same; no transfer coding but chunked; no user information in an absolute target.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "http/message.h"

namespace gputach::http {

inline constexpr std::size_t head_fields_max = 100;
inline constexpr std::size_t method_bytes_max = 32;
inline constexpr std::size_t target_bytes_max = 8192;
inline constexpr std::size_t request_line_bytes_max = method_bytes_max + target_bytes_max + sizeof "  HTTP/1.1\r" - 1;

enum class Framing : unsigned char { none, length, chunked };  // of the body that follows the head

struct RequestHead {
  RequestHead() = default;
  RequestHead(const RequestHead&) = delete;  // request.fields points into `fields`
  RequestHead& operator=(const RequestHead&) = delete;

  Request request;
  Framing framing = Framing::none;
  std::uint64_t content_length = 0;  // with Framing::length
  bool keep_alive = false;           // the client allows another request on this connection
  bool expect_continue = false;      // the client waits for 100 before it sends the body
  std::size_t size = 0;              // of the head, including the empty line at its end

  std::array<Field, head_fields_max> fields;
};

struct HeadError {
  int status = 400;
  std::string_view sentence;  // a literal without characters that JSON escapes
};

enum class HeadState : unsigned char { need_more, complete, rejected };

struct HeadOutcome {
  HeadState state = HeadState::need_more;
  HeadError error;  // when rejected
};

// `bytes` begins where the previous request ended. `judged` is how many of them an earlier call has already answered
// with need_more (0 at first): it makes feeding byte by byte cheap and never changes the outcome. Every prefix of
// `bytes` yields need_more or the very outcome of `bytes`. On anything but complete the content of `head` is
// unspecified.
[[nodiscard]] HeadOutcome parse_request_head(std::string_view bytes, std::size_t judged, std::size_t bytes_max,
                                             RequestHead& head);

// token characters of RFC 9110 section 5.6.2, and the octets that may stand in a field value (section 5.5).
[[nodiscard]] bool is_token_char(char c);
[[nodiscard]] bool is_value_char(char c);

}  // namespace gputach::http
