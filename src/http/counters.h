// Purpose: what the server has done, for its own statistics.
// Units: events since start; `active` is connections now.
// Owns: plain numbers.
// Threads: written by the io thread, read by any; each number is right by itself, not in step with the others.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace gputach::http {

// How long the io thread was kept by one turn of a connection or of posted work: while it lasts nobody else is served.
struct Stalls {
  static constexpr auto bounds_us = std::to_array<std::uint32_t>(
      {5, 10, 20, 50, 100, 200, 500, 1'000, 2'000, 5'000, 10'000, 50'000, 200'000, 1'000'000});

  std::array<std::atomic<std::uint64_t>, bounds_us.size() + 1> turns{};  // by upper bound, the last without one
  std::atomic<std::uint64_t> total_ns{0};
  std::atomic<std::uint64_t> longest_ns{0};
};

struct Counters {
  using Count = std::atomic<std::uint64_t>;

  Count accepted{0};
  Count active{0};
  Count refused{0};           // over connections_max, answered with 503
  Count accept_failures{0};   // out of descriptors or memory
  Count requests{0};          // heads understood
  Count rejected{0};          // heads or bodies that broke the protocol or a limit
  Count heads_too_large{0};   // of them: over head_bytes_max, or a longer target than is read
  Count bodies_too_large{0};  // of them: over body_drain_bytes_max
  Count used_up{0};           // connections closed after requests_per_connection_max
  Count yields{0};            // turns given to others after pipelined_before_yield
  Count tls_handshakes{0};
  Count tls_failures{0};         // handshakes that failed or took too long
  Count tls_reload_failures{0};  // changed certificate files that could not be used: the old ones stay
  Count head_timeouts{0};
  Count idle_timeouts{0};
  Count body_timeouts{0};
  Count write_timeouts{0};
  Count handler_failures{0};  // exceptions, and requests dropped without an answer
  Count session_failures{0};  // connections ended by an exception of our own, as when memory runs out
  Count work_failures{0};     // exceptions from post() and after()
  Stalls stalls;
  std::array<Count, 6> responses{};  // by the first digit of the status; those of `rejected` and `refused` included
};

inline void bump(Counters::Count& count) {
  count.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace gputach::http
