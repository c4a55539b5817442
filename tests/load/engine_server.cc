// load_engine [--port N]: the least that can stand for an inference engine: one thread, one epoll, no parsing beyond
// what it needs. A request whose target has "stream=1" is answered by a stream of events, each in a chunk and a send of
// its own, at "rate" events a second ("rate=0": as fast as they are read) until "events" of them have left; any other
// by a small JSON text. Every event has event_bytes bytes and says when it was due and when it left, so that whoever
// reads it knows how late it is. It checks nothing else and bounds nothing. Prints "port N" and serves until it is
// killed.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <functional>
#include <memory>
#include <queue>
#include <random>

#include "engine_event.h"
#include "load_kit.h"

namespace gputach::load {
namespace {

constexpr int backlog = 4096;
constexpr std::size_t fast_chunks_per_send = 64;  // of a stream without a rate: what one send can carry
constexpr std::string_view head_end = "\r\n\r\n";
constexpr std::string_view stream_head =
    "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nCache-Control: no-cache\r\n"
    "Transfer-Encoding: chunked\r\nDate: Mon, 05 Jan 2026 10:00:00 GMT\r\n\r\n";
constexpr std::string_view last_chunk = "0\r\n\r\n";

// 500 bytes or so, as a short completion comes.
std::string small_answer() {
  const std::string body =
      R"({"id":"cmpl-0123456789abcdef0123456789abcdef","object":"chat.completion","created":1767607200,)"
      R"("model":"stand-in","choices":[{"index":0,"message":{"role":"assistant","content":")" +
      std::string(220, 'x') +
      R"("},"finish_reason":"stop"}],"usage":{"prompt_tokens":64,"completion_tokens":48,"total_tokens":112}})";
  return "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nDate: Mon, 05 Jan 2026 10:00:00 "
         "GMT\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}

std::uint64_t number_in(std::string_view target, std::string_view name, std::uint64_t otherwise) {
  const std::size_t at = target.find(name);
  if (at == std::string_view::npos) return otherwise;
  const std::string_view digits = target.substr(at + name.size());
  std::from_chars(digits.data(), digits.data() + digits.size(), otherwise);
  return otherwise;
}

struct Client {
  explicit Client(int descriptor) : socket(descriptor) {}

  Fd socket;
  std::string input;  // of a request that has not come whole
  std::string owed;   // what the kernel did not take
  Nanoseconds period = 0;
  Nanoseconds due = 0;            // of the next event
  std::uint64_t events_left = 0;  // 0: no stream
  bool waits_to_write = false;
  bool gone = false;
};

class Engine {
 public:
  explicit Engine(std::uint16_t port) : listener_(listen_on(port)) {
    for (std::size_t i = 0; i < fast_chunks_per_send; ++i) append_event(fast_, 0, 0);
    epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener_.get(), &event) != 0) give_up_errno("epoll_ctl");
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const timespec patience = until_due();
      const int ready = ::epoll_pwait2(epoll_.get(), events.data(), static_cast<int>(events.size()),
                                       schedule_.empty() ? nullptr : &patience, nullptr);
      for (int i = 0; i < ready; ++i) {
        auto* client = static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr);
        if (client == nullptr) {
          accept_all();
        } else if (!serve(*client)) {
          end(client);
        }
      }
      send_what_is_due();
    }
  }

 private:
  struct Due {
    Nanoseconds at;
    Client* client;
    bool operator>(const Due& other) const { return at > other.at; }
  };

  static Fd listen_on(std::uint16_t port) {
    Fd listener(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    const int on = 1;
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(port);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof address;
    if (::setsockopt(listener.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
        ::setsockopt(listener.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
        ::bind(listener.get(), generic, size) != 0 || ::listen(listener.get(), backlog) != 0 ||
        ::getsockname(listener.get(), generic, &size) != 0) {
      give_up_errno("cannot listen");
    }
    std::printf("port %u\n", static_cast<unsigned>(ntohs(address.sin_port)));
    std::fflush(stdout);
    return listener;
  }

  void accept_all() {
    for (;;) {
      const int descriptor = ::accept4(listener_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (descriptor < 0) return;
      auto client = std::make_unique<Client>(descriptor);
      epoll_event event{.events = EPOLLIN, .data = {.ptr = client.get()}};
      if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0) give_up_errno("epoll_ctl");
      (void)client.release();  // end() deletes it
    }
  }

  // A client in the schedule is deleted when its turn comes.
  void end(Client* client) {
    client->socket.reset();
    client->gone = true;
    if (client->period == 0 || client->events_left == 0) delete client;
  }

  // False when the connection is over.
  bool serve(Client& client) {
    if (client.waits_to_write) return pay(client);
    const ssize_t received = ::recv(client.socket.get(), buffer_.data(), buffer_.size(), 0);
    if (received < 0) return errno == EAGAIN || errno == EINTR;
    if (received == 0) return false;
    client.input.append(buffer_.data(), static_cast<std::size_t>(received));
    while (take_request(client)) {
    }
    return pay(client);
  }

  bool take_request(Client& client) {
    const std::size_t end = client.input.find(head_end);
    if (end == std::string::npos) return false;
    const std::string_view head = std::string_view(client.input).substr(0, end + 2);
    const std::size_t whole = end + head_end.size() + content_length(head).value_or(0);
    if (client.input.size() < whole) return false;
    const std::string_view target = head.substr(0, head.find('\r'));
    if (target.contains("stream=1")) {
      begin_stream(client, target);
    } else {
      client.owed += small_answer_;
    }
    client.input.erase(0, whole);
    return true;
  }

  void begin_stream(Client& client, std::string_view target) {
    const std::uint64_t rate = number_in(target, "rate=", 0);
    client.owed += stream_head;
    client.events_left = number_in(target, "events=", 1);
    client.period = rate == 0 ? 0 : static_cast<Nanoseconds>(1'000'000'000 / rate);
    if (client.period == 0) return;
    // Streams that began together do not stay in step.
    client.due = now() + std::uniform_int_distribution<Nanoseconds>(0, client.period)(random_);
    schedule_.push({client.due, &client});
  }

  [[nodiscard]] timespec until_due() const {
    if (schedule_.empty()) return {};
    const Nanoseconds wait = std::max<Nanoseconds>(0, schedule_.top().at - now());
    return {.tv_sec = wait / 1'000'000'000, .tv_nsec = wait % 1'000'000'000};
  }

  void send_what_is_due() {
    while (!schedule_.empty() && schedule_.top().at <= now()) {
      const Due due = schedule_.top();
      schedule_.pop();
      Client& client = *due.client;
      if (client.gone) {
        delete &client;
        continue;
      }
      append_event(client.owed, due.at, now());
      client.due += client.period;
      if (--client.events_left == 0) {
        client.owed += last_chunk;
      } else {
        schedule_.push({client.due, &client});
      }
      if (!client.waits_to_write && !pay(client)) end(&client);
    }
  }

  bool pay(Client& client) {
    for (;;) {
      if (client.owed.empty() && client.events_left > 0 && client.period == 0) {
        const std::uint64_t count = std::min<std::uint64_t>(client.events_left, fast_chunks_per_send);
        client.owed.assign(fast_, 0, count * chunk_bytes);
        client.events_left -= count;
        if (client.events_left == 0) client.owed += last_chunk;
      }
      if (client.owed.empty()) break;
      const ssize_t sent = ::send(client.socket.get(), client.owed.data(), client.owed.size(), MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN) return false;
      if (sent < 0) break;
      client.owed.erase(0, static_cast<std::size_t>(sent));
    }
    const bool waits = !client.owed.empty();
    if (waits != client.waits_to_write) {
      epoll_event event{.events = waits ? EPOLLOUT : EPOLLIN, .data = {.ptr = &client}};
      if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, client.socket.get(), &event) != 0) give_up_errno("epoll_ctl");
      client.waits_to_write = waits;
    }
    return true;
  }

  const std::string small_answer_ = small_answer();
  std::string fast_;
  std::priority_queue<Due, std::vector<Due>, std::greater<>> schedule_;
  std::mt19937_64 random_{std::random_device{}()};
  Fd listener_;
  Fd epoll_{::epoll_create1(EPOLL_CLOEXEC)};
  std::array<char, 64 * 1024> buffer_;
};

}  // namespace
}  // namespace gputach::load

int main(int argc, char** argv) {
  using namespace gputach::load;
  const Arguments arguments(argc, argv);
  ::prctl(PR_SET_TIMERSLACK, 1);
  static Engine engine(static_cast<std::uint16_t>(arguments.count("--port", 0)));
  engine.run();
}
