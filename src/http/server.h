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
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "http/counters.h"
#include "http/message.h"

namespace gputach::http {

// What connections may cost. All of it may be changed while the server runs.
struct Limits {
  std::size_t connections_max = 4096;               // one more is told 503
  std::size_t head_bytes_max = 16384;               // request line and fields
  std::size_t body_drain_bytes_max = 65536;         // a request body nobody wants is read up to here, beyond it 413
  std::uint64_t requests_per_connection_max = 0;    // the last of them is answered with Connection: close; 0: no limit
  unsigned pipelined_before_yield = 64;             // answers of one connection before others get a turn
  std::chrono::milliseconds head_timeout{10'000};   // first byte of a request head until its last; also for a body
  std::chrono::milliseconds idle_timeout{75'000};   // between requests
  std::chrono::milliseconds write_timeout{30'000};  // a client that takes no byte
  std::chrono::milliseconds linger_timeout{2'000};  // after the last answer, for the client to close
  std::chrono::milliseconds sweep_period{1'000};    // how late a timeout may be noticed
};

struct ListenOn {
  std::string address;  // as parse_listen_address takes it
  Entrance entrance = Entrance::common;
};

// PEM files, as the server needs them for tls: addresses. Read again when they have changed.
struct TlsFiles {
  std::string certificate;  // with the chain above it
  std::string key;
};

// One request and how it was answered, for the access log. Valid during the call.
struct Exchange {
  std::string_view id;  // the client's X-Request-Id where it is sane, else made here; sent back with the answer
  std::string_view method;
  std::string_view target;
  std::string_view peer;  // address and port; "unix" for a Unix socket
  Entrance entrance = Entrance::common;
  int status = 0;  // 0: the client left before there was one
  std::uint64_t body_bytes = 0;
  bool cut = false;  // the answer broke off, or its client left
  Duration took{};   // from the whole head until the answer is made; whether the client takes it is not known yet
};
using Observe = std::function<void(const Exchange&)>;

class Carrier;

struct Settings {
  std::vector<ListenOn> listen = {{"[::]:8080"}};
  Limits limits{};
  TlsFiles tls{};
  Carrier* carrier = nullptr;  // carries what it takes; the handler answers the rest. Must outlive the server.
  Observe observe{};           // on the io thread, must not block; requests have no id without it
};

class Server {
 public:
  [[nodiscard]] static Result<std::unique_ptr<Server>> open(Settings settings, Handler handler, const Clock& clock);
  virtual ~Server() = default;

  // With the ports really bound, e.g. "127.0.0.1:43211".
  [[nodiscard]] virtual const std::vector<ListenOn>& addresses() const = 0;

  // Serves until stop(); returns when every connection has ended, or `stop`'s grace is over.
  virtual void run() = 0;

  // Runs `work` on the io thread, in order. Work left when run() returns is destroyed unrun.
  virtual void post(std::move_only_function<void()> work) = 0;

  // Runs `work` on the io thread once `delay` has passed. Each costs a timer: the caller bounds how many there are.
  virtual void after(std::chrono::milliseconds delay, std::move_only_function<void()> work) = 0;

  // Takes effect for what happens next; connections that are over a new limit are not closed for it. On the io thread.
  virtual void set_limits(const Limits& limits) = 0;

  // Stops accepting, closes idle connections, lets running answers finish within `grace`, then closes the rest. Only
  // the first call counts.
  virtual void stop(std::chrono::milliseconds grace) = 0;

  [[nodiscard]] virtual const Counters& counters() const = 0;
};

}  // namespace gputach::http
