// Purpose: work that is done when a scope is left, in whatever way: coroutines are also left by exceptions.
// Owns: the work, a callable that does not throw.
// Threads: one.
// Fails: never.
#pragma once

#include <utility>

namespace gputach {

template <class Work>
class [[nodiscard]] AtExit {
 public:
  explicit AtExit(Work work) : work_(std::move(work)) {}
  ~AtExit() {
    if (armed_) work_();
  }
  AtExit(const AtExit&) = delete;
  AtExit& operator=(const AtExit&) = delete;

  void disarm() { armed_ = false; }

 private:
  Work work_;
  bool armed_ = true;
};

}  // namespace gputach
