// Purpose: the bytes before a response's body, and the few responses that the server makes by itself.
// Units: bytes; Date in whole seconds UTC.
// Owns: nothing; DateLine owns the line it made last.
// Threads: one; append_response_head and error_content are pure.
// Fails: never.
// Source: RFC 9112 section 4, RFC 9110 sections 5.6.7 (dates), 6.4.1 (no body with 204, 304, HEAD), 8.6.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "http/message.h"

namespace gputach::http {

// "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n", made once per second.
class DateLine {
 public:
  [[nodiscard]] std::string_view line(WallTime now);
  // The same, with a look at the wall clock only when a second of `now` has ended.
  [[nodiscard]] std::string_view line(Instant now, const Clock& clock);

 private:
  Instant due_{};
  std::chrono::sys_seconds second_{std::chrono::seconds(-1)};
  std::string line_;
};

enum class AfterResponse : unsigned char { keep_alive, close };

[[nodiscard]] bool may_have_body(int status);

// Status line, fields, Date, Content-Length, Connection and the empty line, appended to `out`.
void append_response_head(std::string& out, const Content& content, std::string_view extra_fields,
                          std::string_view date_line, AfterResponse after);

// {"error":"sentence"} as application/json. `sentence` holds nothing that JSON would escape.
[[nodiscard]] Content error_content(int status, std::string_view sentence);

}  // namespace gputach::http
