// Purpose: measures how long each turn keeps the io thread: a connection between two of its waits, or posted work.
// Units: Instants of the server's clock; the histogram in microseconds.
// Owns: nothing; the clock and the histogram must outlive it.
// Threads: the io thread. The histogram is read from any.
// Fails: never.
#pragma once

#include <algorithm>

#include "base/clock.h"
#include "http/counters.h"

namespace gputach::http {

class LoopWatch {
 public:
  LoopWatch(const Clock& clock, Stalls& stalls) : clock_(clock), stalls_(stalls) {}

  // A turn inside another one, as when a new connection starts while others are accepted, is a part of it.
  void begin() {
    now_ = clock_.now();
    if (depth_++ == 0) began_ = now_;
  }

  // The time of the end, so that who waits now needs no clock of its own.
  Instant end() {
    now_ = clock_.now();
    if (--depth_ == 0) record(now_ - began_);
    return now_;
  }

  // When the current turn, or a part of it, began or ended last: a clock for those who need it no finer.
  [[nodiscard]] Instant now() const { return now_; }

 private:
  void record(Duration held) {
    const auto ns = static_cast<std::uint64_t>(std::max<Duration::rep>(0, held.count()));
    std::size_t bucket = 0;
    while (bucket < Stalls::bounds_us.size() && ns > Stalls::bounds_us[bucket] * std::uint64_t{1000}) ++bucket;
    add(stalls_.turns[bucket], 1);
    add(stalls_.total_ns, ns);
    if (ns > stalls_.longest_ns.load(std::memory_order_relaxed))
      stalls_.longest_ns.store(ns, std::memory_order_relaxed);
  }

  // There is one writer: a load and a store do without the locked instruction of fetch_add.
  static void add(Counters::Count& count, std::uint64_t more) {
    count.store(count.load(std::memory_order_relaxed) + more, std::memory_order_relaxed);
  }

  const Clock& clock_;
  Stalls& stalls_;
  Instant began_{};
  Instant now_{};
  int depth_ = 0;
};

// A turn that ends where it began.
class WatchedTurn {
 public:
  explicit WatchedTurn(LoopWatch& watch) : watch_(watch) { watch_.begin(); }
  ~WatchedTurn() { watch_.end(); }
  WatchedTurn(const WatchedTurn&) = delete;
  WatchedTurn& operator=(const WatchedTurn&) = delete;

 private:
  LoopWatch& watch_;
};

// The turn of a coroutine: it ends while the coroutine waits, and with it.
class CoroutineTurn {
 public:
  explicit CoroutineTurn(LoopWatch& watch) : watch_(watch) { wake(); }
  ~CoroutineTurn() {
    if (awake_) rest();
  }
  CoroutineTurn(const CoroutineTurn&) = delete;
  CoroutineTurn& operator=(const CoroutineTurn&) = delete;

  void wake() {
    watch_.begin();
    awake_ = true;
  }
  void rest() {
    watch_.end();
    awake_ = false;
  }

 private:
  LoopWatch& watch_;
  bool awake_ = false;
};

}  // namespace gputach::http
