// Fail-at-N: the same conversation again and again, and each time the next of the server's system calls fails, or moves
// one byte only. Whatever fails, a client gets right bytes or the end of its connection, the next client is served, and
// no connection is left. The calls are caught by functions of their names in this program, which stand before libc's.
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <mutex>

#include "http/conversation_test_kit.h"
#include "http/tls_test_kit.h"

namespace gputach::http {
namespace {

using namespace test;

enum class Call : unsigned char { receive, send, accept, watch };

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

Faults faults;

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

}  // namespace
}  // namespace gputach::http

// NOLINTBEGIN: these have the names and types of libc.
#pragma GCC visibility push(default)
extern "C" {

using gputach::http::Call;
using gputach::http::Faults;
using gputach::http::faults;
using gputach::http::move;
using gputach::http::next_of;
using gputach::http::OneByte;

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

namespace gputach::http {
namespace {

constexpr int calls_max = 2000;  // a conversation takes about a hundred

const std::vector<Fault>& all_faults() {
  using enum Call;
  using enum Effect;
  static const std::vector<Fault> all = {
      {"one byte", 0, {receive, Call::send}, none},
      {"EAGAIN", EAGAIN, {receive, Call::send, Call::accept}, none},
      {"EINTR", EINTR, {receive, Call::accept}, none},
      {"EINTR of a send", EINTR, {Call::send}, costs_the_connection},  // not seen with a socket that never waits
      {"ECONNRESET", ECONNRESET, {receive, Call::send}, costs_the_connection},
      {"EPIPE", EPIPE, {Call::send}, costs_the_connection},
      {"ENOBUFS", ENOBUFS, {receive, Call::send, Call::accept}, may_refuse},
      {"ENOMEM", ENOMEM, {receive, Call::send, Call::accept, watch}, may_refuse},
      {"ENOSPC", ENOSPC, {watch}, costs_the_connection},
      {"EMFILE", EMFILE, {Call::accept}, may_refuse},
      {"ECONNABORTED", ECONNABORTED, {Call::accept}, none},
  };
  return all;
}

class FaultyServer {
 public:
  explicit FaultyServer(Settings settings) : server_(std::move(settings), conversation_handler()) {
    ::signal(SIGPIPE, SIG_IGN);  // as the daemon does: OpenSSL writes without MSG_NOSIGNAL
    server_.on_io_thread([] { faults.watch_this_thread(); });
  }
  std::uint16_t port() { return server_.port(); }

  // True when the fault struck. `talk` opens a connection, has the conversation and gives what came back.
  bool holds_against(const Fault& fault, int nth, const std::string& expected,
                     const std::function<std::string()>& talk) {
    SCOPED_TRACE(std::string(fault.name) + " at call " + std::to_string(nth));
    const auto begin = std::chrono::steady_clock::now();
    faults.arm(fault, nth);
    const std::string received = talk();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, patience) << "the client was left waiting";
    EXPECT_TRUE(settled()) << "a connection or a descriptor is left";
    const bool struck = faults.disarm();
    const bool refused = fault.effect == Effect::may_refuse && received.starts_with("HTTP/1.1 503 ");
    const bool complete = received == expected;
    EXPECT_TRUE(complete || refused || expected.starts_with(received)) << "wrong bytes: " << received.substr(0, 300);
    EXPECT_TRUE(complete || (struck && fault.effect != Effect::none)) << "got " << received.size() << " bytes";
    const std::string again = talk();
    EXPECT_TRUE(again == expected) << "the next client got " << again.size() << " bytes";
    EXPECT_TRUE(settled()) << "a connection of the next client is left";
    return struck;
  }

 private:
  bool settled() {
    return eventually([&] { return server_->counters().active == 0 && open_descriptors() == descriptors_; });
  }

  RunningServer server_;
  long descriptors_ = open_descriptors();
};

void hold_against_all(const Settings& settings, const std::function<std::string(std::uint16_t port)>& talk_to) {
  for (const Fault& fault : all_faults()) {
    FaultyServer server(settings);
    const auto talk = [&] { return talk_to(server.port()); };
    const std::string expected = talk();
    EXPECT_GT(expected.size(), large_bytes);
    int nth = 1;
    while (nth < calls_max && server.holds_against(fault, nth, expected, talk)) {
      if (testing::Test::HasFailure()) return;  // the rest would say the same
      ++nth;
    }
    EXPECT_GT(nth, 1) << fault.name << " never struck";
    EXPECT_LT(nth, calls_max);
  }
}

TEST(ServerFaults, EveryCallOfAConversationMayFail) {
  hold_against_all(local_settings(), [](std::uint16_t port) {
    Client client(port);
    return converse(client, client.descriptor());
  });
}

TEST(ServerFaults, EveryCallOfATlsConversationMayFail) {
  const TemporaryFiles files;
  Settings settings = local_settings();
  settings.listen = {{"tls:127.0.0.1:0"}};
  settings.tls = {files.path("certificate"), files.path("key")};
  write_certificate(settings.tls, 1);
  hold_against_all(settings, [](std::uint16_t port) {
    TlsClient client(port);
    return client.connected() ? converse(client, SSL_get_fd(client.ssl())) : "";
  });
}

}  // namespace
}  // namespace gputach::http
