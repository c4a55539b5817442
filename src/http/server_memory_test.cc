// Fail-at-N for memory: the same conversation again and again, and each time the next allocation of the io thread
// fails. It may cost the client its connection and nobody else anything. Boost.Asio takes the frames of coroutines and
// its operations from aligned_alloc, so both ways are caught.
#include <dlfcn.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <new>

#include "http/conversation_test_kit.h"

namespace gputach::http {
namespace {

using namespace test;

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

Scarcity scarcity;

void* allocate(std::size_t size) {
  void* const memory = scarcity.strikes() ? nullptr : std::malloc(size);
  return memory != nullptr ? memory : throw std::bad_alloc();
}

// Out of line: g++ 12 would see free() of what operator new gave, and does not know that it is malloc's.
[[gnu::noinline]] void release(void* memory) noexcept {
  std::free(memory);
}

}  // namespace
}  // namespace gputach::http

// NOLINTBEGIN: these replace the library's.
void* operator new(std::size_t size) {
  return gputach::http::allocate(size);
}
void* operator new[](std::size_t size) {
  return gputach::http::allocate(size);
}
void operator delete(void* memory) noexcept {
  gputach::http::release(memory);
}
void operator delete[](void* memory) noexcept {
  gputach::http::release(memory);
}
void operator delete(void* memory, std::size_t) noexcept {
  gputach::http::release(memory);
}
void operator delete[](void* memory, std::size_t) noexcept {
  gputach::http::release(memory);
}
#pragma GCC visibility push(default)
extern "C" void* aligned_alloc(std::size_t alignment, std::size_t size) noexcept {
  static const auto real = reinterpret_cast<void* (*)(std::size_t, std::size_t)>(::dlsym(RTLD_NEXT, "aligned_alloc"));
  return gputach::http::scarcity.strikes() ? nullptr : real(alignment, size);
}
#pragma GCC visibility pop
// NOLINTEND

namespace gputach::http {
namespace {

constexpr int allocations_max = 2000;  // a conversation takes about a hundred

// With others beside it: what one connection gives back does not serve the next at once.
std::string talk(std::uint16_t port) {
  std::vector<Client> others;
  for (int i = 0; i < 3; ++i) {
    others.emplace_back(port);
    others.back().send(get("/other"));
    others.back().response();
  }
  Client client(port);
  return converse(client, client.descriptor());
}

TEST(ServerMemory, EveryAllocationOfAConversationMayFail) {
  RunningServer server(local_settings(), conversation_handler());
  server.on_io_thread([] { scarcity.watch_this_thread(); });
  const auto settled = [&, before = open_descriptors()] {
    return eventually([&] { return server->counters().active == 0 && open_descriptors() == before; });
  };
  const std::string expected = talk(server.port());
  ASSERT_TRUE(settled());
  ASSERT_GT(expected.size(), large_bytes);
  int nth = 1;
  for (bool struck = true; struck && nth < allocations_max && !HasFailure(); ++nth) {
    SCOPED_TRACE("allocation " + std::to_string(nth));
    const auto begin = std::chrono::steady_clock::now();
    scarcity.arm(nth);
    const std::string received = talk(server.port());
    EXPECT_LT(std::chrono::steady_clock::now() - begin, patience) << "the client was left waiting";
    EXPECT_TRUE(settled()) << "a connection or a descriptor is left";
    struck = scarcity.disarm();
    const bool refused = received.starts_with("HTTP/1.1 503 ") || received.contains("HTTP/1.1 500 ");
    EXPECT_TRUE(expected.starts_with(received) || refused) << "wrong bytes: " << received.substr(0, 300);
    EXPECT_TRUE(struck || received == expected) << "got " << received.size() << " bytes";
    // For a moment it may say 503, as it does when memory has run out for longer.
    EXPECT_TRUE(eventually([&] { return talk(server.port()) == expected; })) << "the next client is not served";
    EXPECT_TRUE(settled()) << "a connection or a descriptor of the next client is left";
  }
  EXPECT_GT(nth, 10);
  EXPECT_LT(nth, allocations_max);
  // What would stay away for good.
  server.on_io_thread([&] {
    Limits limits;
    limits.idle_timeout = 20ms;
    limits.sweep_period = 10ms;
    server->set_limits(limits);
  });
  Client idle(server.port());
  EXPECT_EQ(idle.until_closed(), "");
}

}  // namespace
}  // namespace gputach::http
