// Purpose: for fail-at-N tests: the n-th system call of a thread on a socket fails, or moves one byte only. The calls
//          are caught by functions of their names, which stand before libc's: one file of a program includes this.
// Owns: `faults`, which knows what has been registered with epoll.
// Threads: arm() and disarm() any; only threads that called watch_this_thread() are struck.
// Fails: never; a call that is not struck is libc's.
#pragma once

#include <dlfcn.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <mutex>
#include <vector>

namespace gputach::http::test {

enum class Call : unsigned char { receive, send, accept, watch, connect };

// What the caller has to live through.
enum class Effect : unsigned char { none, costs_the_connection, may_refuse };

struct Fault {
  const char* name;
  int error;  // 0: the call moves one byte
  std::vector<Call> calls;
  Effect effect;
};

class Faults {
 public:
  // The `nth` call from now on that `fault` fits fails.
  void arm(const Fault& fault, int nth) {
    fault_ = &fault;
    left_ = nth;
  }
  // True when the fault has struck.
  bool disarm() { return left_.exchange(0) <= 0; }
  void watch_this_thread() { watched_ = true; }

  enum class Strike : unsigned char { no, fail, one_byte };

  Strike next(Call call, int descriptor) {
    if (!watched_ || left_.load() <= 0 || !is_socket(descriptor)) return Strike::no;
    if (std::ranges::find(fault_->calls, call) == fault_->calls.end() || --left_ != 0) return Strike::no;
    left_ = -1;  // until disarmed
    if (fault_->error == 0) return Strike::one_byte;
    if (fault_->error == EAGAIN) announce_again(descriptor);
    errno = fault_->error;
    return Strike::fail;
  }

  using EpollCtl = int(int, int, int, epoll_event*);
  void registered(EpollCtl* real, int epoll, int descriptor, const epoll_event* event) {
    if (descriptor < 0 || static_cast<std::size_t>(descriptor) >= registrations_.size() || event == nullptr) return;
    const std::lock_guard lock(registrations_mutex_);  // other tests have servers on other threads
    registrations_[static_cast<std::size_t>(descriptor)] = {real, epoll, *event};
  }

 private:
  struct Registration {
    EpollCtl* real = nullptr;
    int epoll = -1;
    epoll_event event{};
  };

  static bool is_socket(int descriptor) {
    struct stat status{};
    return ::fstat(descriptor, &status) == 0 && S_ISSOCK(status.st_mode);
  }
  // A kernel that says EAGAIN will tell when to try again, even with edge-triggered events.
  void announce_again(int descriptor) {
    if (static_cast<std::size_t>(descriptor) >= registrations_.size()) return;
    const std::lock_guard lock(registrations_mutex_);
    Registration& known = registrations_[static_cast<std::size_t>(descriptor)];
    if (known.real != nullptr) known.real(known.epoll, EPOLL_CTL_MOD, descriptor, &known.event);
  }

  static inline thread_local bool watched_ = false;
  std::atomic<int> left_{0};
  const Fault* fault_ = nullptr;
  std::mutex registrations_mutex_;
  std::array<Registration, 256> registrations_{};
};

inline Faults faults;

template <class Function>
Function* next_of(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

// `real` does it, with at most this many bytes.
template <class Real>
ssize_t move(Call call, int descriptor, std::size_t size, Real real) {
  switch (faults.next(call, descriptor)) {
    case Faults::Strike::fail: return -1;
    case Faults::Strike::one_byte: return real(std::min<std::size_t>(size, 1));
    case Faults::Strike::no: break;
  }
  return real(size);
}

// The first byte of a message alone.
struct OneByte {
  explicit OneByte(const msghdr& whole) : message(whole) {
    for (std::size_t i = 0; i < whole.msg_iovlen && bytes.iov_len == 0; ++i) {
      bytes = {whole.msg_iov[i].iov_base, std::min<std::size_t>(whole.msg_iov[i].iov_len, 1)};
    }
    message.msg_iov = &bytes;
    message.msg_iovlen = 1;
  }
  iovec bytes{};
  msghdr message;
};

}  // namespace gputach::http::test

// NOLINTBEGIN: these have the names and types of libc.
#pragma GCC visibility push(default)
extern "C" {

using gputach::http::test::Call;
using gputach::http::test::Faults;
using gputach::http::test::faults;
using gputach::http::test::move;
using gputach::http::test::next_of;
using gputach::http::test::OneByte;

ssize_t recv(int descriptor, void* buffer, size_t size, int flags) {
  static const auto real = next_of<decltype(recv)>("recv");
  return move(Call::receive, descriptor, size, [&](size_t most) { return real(descriptor, buffer, most, flags); });
}
ssize_t read(int descriptor, void* buffer, size_t size) {
  static const auto real = next_of<decltype(read)>("read");
  return move(Call::receive, descriptor, size, [&](size_t most) { return real(descriptor, buffer, most); });
}
ssize_t send(int descriptor, const void* buffer, size_t size, int flags) {
  static const auto real = next_of<decltype(send)>("send");
  return move(Call::send, descriptor, size, [&](size_t most) { return real(descriptor, buffer, most, flags); });
}
ssize_t write(int descriptor, const void* buffer, size_t size) {
  static const auto real = next_of<decltype(write)>("write");
  return move(Call::send, descriptor, size, [&](size_t most) { return real(descriptor, buffer, most); });
}
ssize_t recvmsg(int descriptor, msghdr* message, int flags) {
  static const auto real = next_of<decltype(recvmsg)>("recvmsg");
  return move(Call::receive, descriptor, 2, [&](size_t most) {
    OneByte one(*message);
    return real(descriptor, most == 1 ? &one.message : message, flags);
  });
}
ssize_t sendmsg(int descriptor, const msghdr* message, int flags) {
  static const auto real = next_of<decltype(sendmsg)>("sendmsg");
  return move(Call::send, descriptor, 2, [&](size_t most) {
    const OneByte one(*message);
    return real(descriptor, most == 1 ? &one.message : message, flags);
  });
}
int connect(int descriptor, const sockaddr* address, socklen_t size) {
  static const auto real = next_of<decltype(connect)>("connect");
  return faults.next(Call::connect, descriptor) == Faults::Strike::no ? real(descriptor, address, size) : -1;
}
int accept4(int descriptor, sockaddr* address, socklen_t* size, int flags) {
  static const auto real = next_of<decltype(accept4)>("accept4");
  if (faults.next(Call::accept, descriptor) != Faults::Strike::no) return -1;
  const int accepted = real(descriptor, address, size, flags);
  const int small = 65536;  // so that a large answer is more than the kernel takes at once
  if (accepted >= 0) ::setsockopt(accepted, SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
  return accepted;
}
int epoll_ctl(int epoll, int operation, int descriptor, epoll_event* event) noexcept {
  static const auto real = next_of<Faults::EpollCtl>("epoll_ctl");
  // A change of what is known already takes no memory and does not fail.
  if (operation == EPOLL_CTL_ADD && faults.next(Call::watch, descriptor) != Faults::Strike::no) return -1;
  faults.registered(real, epoll, descriptor, event);
  return real(epoll, operation, descriptor, event);
}

}  // extern "C"
#pragma GCC visibility pop
// NOLINTEND
