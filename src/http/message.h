// Purpose: requests and responses as the rest of the program sees them: plain C++, no sockets, no Boost.
// Owns: a Request borrows its text from the connection and is valid until the handler returns; who answers later copies
//       what it needs. A Response shares immutable Content, so that a thousand clients share one set of bytes.
// Threads: a handler is called on the server's io thread and must not block. `respond` is called on that thread, at
//          once or later, at most once; destroyed without a call it answers 500.
// Fails: a handler never throws on purpose; if it does, the client gets a 500 and the connection closes.
// Source: RFC 9110 (semantics), RFC 9112 (HTTP/1.1).
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace gputach::http {

struct Field {
  std::string_view name;
  std::string_view value;
};

// Which kind of listener a request came through. What each may see is for the routes to say.
enum class Entrance : unsigned char { common, restricted };

struct Request {
  std::string_view method;  // as sent, case-sensitive (RFC 9110 section 9.1)
  std::string_view target;  // as sent
  std::string_view path;    // of the target, never decoded, without the query; "*" for OPTIONS *
  std::string_view query;   // without the question mark
  std::string_view host;    // host and port the client asked for: of an absolute target, else of the Host field
  int minor_version = 1;    // HTTP/1.x
  Entrance entrance = Entrance::common;
  std::span<const Field> fields;

  // First field of this name, compared without case; empty when absent.
  [[nodiscard]] std::string_view field(std::string_view name) const;
};

// What can be prepared once and sent many times. `fields` is a block of complete header lines, each ended by CRLF.
// The server adds Date, Content-Length and Connection by itself, and leaves the body out where HTTP wants none
// (HEAD, 204, 304).
struct Content {
  int status = 200;  // 200 to 599
  std::string fields;
  std::string body;
};

struct Response {
  std::shared_ptr<const Content> content;
  // Header lines of this one response, in addition to the content's; must outlive the response (string literals do).
  std::string_view extra_fields;
  bool close = false;  // end the connection after this response
};

using Respond = std::move_only_function<void(Response)>;
using Handler = std::function<void(const Request&, Respond)>;

[[nodiscard]] std::string_view reason_phrase(int status);

// ASCII only, as HTTP compares its names.
[[nodiscard]] bool equal_without_case(std::string_view left, std::string_view right);

}  // namespace gputach::http
