// Purpose: what the observer of a server is told of each request, and the ids that requests are told apart by.
// Units: Instants of the server's clock.
// Owns: copies of all it tells: a body may move the connection's input before the answer is known.
// Threads: the io thread.
// Fails: never.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "http/message.h"
#include "http/server.h"

namespace gputach::http {

// Sixteen hexadecimal digits that no other request of this process has, and hardly one of another process.
class RequestIds {
 public:
  RequestIds();
  [[nodiscard]] std::string next();

 private:
  std::uint64_t state_;
};

class ExchangeLog {
 public:
  ExchangeLog(const Observe& observe, RequestIds& ids, std::string peer, Entrance entrance)
      : observe_(observe), ids_(ids), peer_(std::move(peer)), entrance_(entrance) {}

  void begin(const Request& request, Instant now);
  // A request that could not be read: it has neither method nor target.
  void begin_rejected(Instant now);
  // "X-Request-Id: ...\r\n", for the answer.
  [[nodiscard]] std::string id_field() const { return "X-Request-Id: " + id_ + "\r\n"; }
  [[nodiscard]] const std::string& id() const { return id_; }
  enum class Ending : unsigned char { whole, cut };
  void end(int status, std::uint64_t body_bytes, Instant now, Ending ending = Ending::whole) const;

 private:
  const Observe& observe_;
  RequestIds& ids_;
  std::string peer_;
  std::string id_;
  std::string method_;
  std::string target_;
  Instant began_{};
  Entrance entrance_;
};

// What may be taken over from a client: 1 to 128 letters, digits and any of -._~:/+=
[[nodiscard]] bool is_sane_request_id(std::string_view id);

}  // namespace gputach::http
