// Purpose: an HTTP/1.1 server for small answers: accepts, frames, enforces limits, calls one handler.
// Units: in the names and types of Settings.
// Owns: its sockets and its io thread's loop. The handler, everything it captures and the clock must outlive the
// server.
//       Destroy it on the thread that called run(), or after that thread has left run().
// Threads: open() and run() on one thread each (run() is the io thread, once); post(), after() and stop() from any, but
//          not from a signal handler. counters() from any.
// Fails: open() with a sentence for the user (bad address, port in use). Later failures close one connection and count.
// Source: RFC 9112; sections 9.3 to 9.6 for how connections persist and end.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/counters.h"
#include "http/message.h"

namespace gputach::http {

struct Settings {
  std::vector<std::string> listen = {"[::]:8080"};  // address:port, [v6]:port, localhost:port; port 0 picks a free one
  std::size_t connections_max = 4096;               // one more is told 503
  std::size_t head_bytes_max = 16384;               // request line and fields
  std::size_t body_drain_bytes_max = 65536;         // a request body nobody wants is read up to here, beyond it 413
  unsigned pipelined_before_yield = 64;             // answers of one connection before others get a turn
  std::chrono::milliseconds head_timeout{10'000};   // first byte of a request head until its last; also for a body
  std::chrono::milliseconds idle_timeout{75'000};   // between requests
  std::chrono::milliseconds write_timeout{30'000};  // a client that takes no byte
  std::chrono::milliseconds linger_timeout{2'000};  // after the last answer, for the client to close
  std::chrono::milliseconds sweep_period{1'000};    // how late a timeout may be noticed
};

class Server {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Server>> open(Settings settings, Handler handler, const Clock& clock);
  virtual ~Server() = default;

  // Addresses with the ports really bound, e.g. "127.0.0.1:43211".
  [[nodiscard]] virtual const std::vector<std::string>& addresses() const = 0;

  // Serves until stop(); returns when every connection has ended, or `stop`'s grace is over.
  virtual void run() = 0;

  // Runs `work` on the io thread, in order. Work left when run() returns is destroyed unrun.
  virtual void post(std::move_only_function<void()> work) = 0;

  // Runs `work` on the io thread once `delay` has passed. Each costs a timer: the caller bounds how many there are.
  virtual void after(std::chrono::milliseconds delay, std::move_only_function<void()> work) = 0;

  // Stops accepting, closes idle connections, lets running answers finish within `grace`, then closes the rest. Only
  // the first call counts.
  virtual void stop(std::chrono::milliseconds grace) = 0;

  [[nodiscard]] virtual const Counters& counters() const = 0;
};

}  // namespace gputach::http
