// Purpose: what the server has done, for its own statistics.
// Units: events since start; `active` is connections now.
// Owns: plain numbers.
// Threads: written by the io thread, read by any; each number is right by itself, not in step with the others.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

namespace gputach::http {

struct Counters {
  using Count = std::atomic<std::uint64_t>;

  Count accepted{0};
  Count active{0};
  Count refused{0};          // over connections_max, answered with 503
  Count accept_failures{0};  // out of descriptors or memory
  Count requests{0};         // heads understood
  Count rejected{0};         // heads or bodies that broke the protocol or a limit
  Count head_timeouts{0};
  Count idle_timeouts{0};
  Count body_timeouts{0};
  Count write_timeouts{0};
  Count handler_failures{0};         // exceptions, and requests dropped without an answer
  Count session_failures{0};         // connections ended by an exception of our own, as when memory runs out
  Count work_failures{0};            // exceptions from post() and after()
  std::array<Count, 6> responses{};  // by the first digit of the status; those of `rejected` and `refused` included
};

inline void bump(Counters::Count& count) {
  count.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace gputach::http
