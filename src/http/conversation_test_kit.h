// Purpose: for the tests of what may fail: one conversation that takes a connection through most of what it can do, and
//          whose answers are the same each time.
// Threads: the test's.
// Fails: what is missing or wrong shows in the text that came back.
#pragma once

#include <netinet/tcp.h>

#include <algorithm>
#include <filesystem>
#include <iterator>

#include "http/server_test_kit.h"

namespace gputach::http::test {

// Every date is the same.
inline std::string without_dates(std::string answers) {
  constexpr std::string_view name = "\r\nDate: ";
  constexpr std::size_t size = sizeof "Thu, 01 Jan 1970 00:00:00 GMT" - 1;
  for (std::size_t at = 0; (at = answers.find(name, at)) != std::string::npos;) {
    at += name.size();
    answers.erase(at, size);
  }
  return answers;
}

inline constexpr std::size_t large_bytes = 500'000;

inline Handler conversation_handler() {
  std::string body(large_bytes, ' ');
  for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i % 23);
  return [large = text(std::move(body))](const Request& request, Respond respond) {
    if (request.path == "/large") return respond({large, {}, false});
    echo_path(request, std::move(respond));
  };
}

// Requests alone and pipelined, bodies in pieces, a large answer, and at last one that is rejected. What came back.
template <class Connection>
std::string converse(Connection& client, int descriptor) {
  const int on = 1;  // the pieces come one by one, and at once
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct Step {
    std::vector<std::string> pieces;
    int responses;
  };
  const std::string length = "POST /length HTTP/1.1\r\nHost: a\r\nContent-Length: 3000\r\n\r\n";
  const std::string chunked = "POST /chunked HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe";
  const std::vector<Step> steps = {
      {{get("/first")}, 1},
      {{get("/a") + get("/b") + get("/c")}, 3},
      {{length, std::string(2000, 'x'), std::string(1000, 'y')}, 1},
      {{chunked, "llo\r\n0\r", "\n\r\n"}, 1},
      {{get("/large") + get("/after")}, 2},
      {{"bad\r\n\r\n"}, 1},
  };
  std::string answers;
  for (const Step& step : steps) {
    for (const std::string& piece : step.pieces) client.send(piece);
    for (int i = 0; i < step.responses; ++i) {
      const std::string response = client.response();
      if (response.empty()) return without_dates(std::move(answers));
      answers += response;
    }
  }
  return without_dates(std::move(answers));
}

inline long open_descriptors() {
  return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator());
}

}  // namespace gputach::http::test
