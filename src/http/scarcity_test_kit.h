// Purpose: for fail-at-N tests of memory: the n-th allocation of a thread fails. Boost.Asio takes the frames of
//          coroutines and its operations from aligned_alloc, so both ways are caught, by functions that stand before
//          the library's: one file of a program includes this.
// Owns: `scarcity`.
// Threads: arm() and disarm() any; only threads that called watch_this_thread() are struck.
// Fails: never; what is not struck is the library's.
#pragma once

#include <dlfcn.h>

#include <atomic>
#include <cstdlib>
#include <new>

namespace gputach::http::test {

class Scarcity {
 public:
  void watch_this_thread() { watched_ = true; }
  void arm(int nth) { left_ = nth; }
  bool disarm() { return left_.exchange(0) < 0; }  // true when it has struck

  bool strikes() {
    if (!watched_ || left_.load() <= 0 || --left_ != 0) return false;
    left_ = -1;
    return true;
  }

 private:
  static inline thread_local bool watched_ = false;
  std::atomic<int> left_{0};
};

inline Scarcity scarcity;

inline void* allocate(std::size_t size) {
  void* const memory = scarcity.strikes() ? nullptr : std::malloc(size);
  return memory != nullptr ? memory : throw std::bad_alloc();
}

// Out of line: g++ 12 would see free() of what operator new gave, and does not know that it is malloc's.
[[gnu::noinline]] inline void release(void* memory) noexcept {
  std::free(memory);
}

}  // namespace gputach::http::test

// NOLINTBEGIN: these replace the library's.
void* operator new(std::size_t size) {
  return gputach::http::test::allocate(size);
}
void* operator new[](std::size_t size) {
  return gputach::http::test::allocate(size);
}
void operator delete(void* memory) noexcept {
  gputach::http::test::release(memory);
}
void operator delete[](void* memory) noexcept {
  gputach::http::test::release(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  gputach::http::test::release(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  gputach::http::test::release(memory);
}
#pragma GCC visibility push(default)
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  static const auto real = reinterpret_cast<void* (*)(std::size_t, std::size_t)>(::dlsym(RTLD_NEXT, "aligned_alloc"));
  return gputach::http::test::scarcity.strikes() ? nullptr : real(alignment, size);
}
#pragma GCC visibility pop
// NOLINTEND
