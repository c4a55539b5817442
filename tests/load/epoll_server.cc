// load_epoll --response FILE [--port N]: the least that can answer: one thread, one epoll, the same bytes for every
// request. It shows what the machine and its kernel cost; whatever a real server needs beyond that is the difference.
// It checks nothing and bounds nothing. Prints "port N" and serves until it is killed.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>

#include "load_kit.h"

namespace gputach::load {
namespace {

constexpr int backlog = 4096;
constexpr std::size_t answers_per_send_max = 16;
constexpr std::string_view head_end = "\r\n\r\n";

struct Client {
  explicit Client(int descriptor) : socket(descriptor) {}
  Fd socket;
  std::string input;           // the beginning of a request whose end has not come
  std::size_t owed_bytes = 0;  // all answers are alike, so a number says which bytes are left
  bool waits_to_write = false;
};

class Server {
 public:
  Server(std::string response, std::uint16_t port) : response_bytes_(response.size()), listener_(listen_on(port)) {
    for (std::size_t i = 0; i < answers_per_send_max; ++i) responses_ += response;
    epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
    if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, listener_.get(), &event) != 0) give_up_errno("epoll_ctl");
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events;
    for (;;) {
      const int ready = ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < ready; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.ptr == nullptr) {
          accept_all();
        } else if (auto* client = static_cast<Client*>(event.data.ptr); !serve(*client)) {
          delete client;
        }
      }
    }
  }

 private:
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
      (void)client.release();  // run() deletes it
    }
  }

  // False when the connection is over.
  bool serve(Client& client) {
    if (client.owed_bytes == 0) {
      const ssize_t received = ::recv(client.socket.get(), buffer_.data(), buffer_.size(), 0);
      if (received < 0) return errno == EAGAIN || errno == EINTR;
      if (received == 0) return false;
      client.owed_bytes =
          response_bytes_ * count_requests(client, {buffer_.data(), static_cast<std::size_t>(received)});
    }
    return pay(client);
  }

  static std::size_t count_requests(Client& client, std::string_view bytes) {
    if (!client.input.empty()) {
      client.input += bytes;
      bytes = client.input;
    }
    std::size_t count = 0;
    std::size_t begin = 0;
    for (std::size_t end = 0; (end = bytes.find(head_end, begin)) != std::string_view::npos; ++count) {
      if (!bytes.substr(begin).starts_with("GET ")) give_up("not a GET request");
      begin = end + head_end.size();
    }
    if (begin < bytes.size() || !client.input.empty()) client.input = std::string(bytes.substr(begin));
    return count;
  }

  bool pay(Client& client) {
    while (client.owed_bytes > 0) {
      const std::size_t into_response = (response_bytes_ - client.owed_bytes % response_bytes_) % response_bytes_;
      const std::size_t size = std::min(client.owed_bytes, responses_.size() - into_response);
      const ssize_t sent = ::send(client.socket.get(), responses_.data() + into_response, size, MSG_NOSIGNAL);
      if (sent < 0 && errno != EAGAIN) return false;
      if (sent < 0) break;
      client.owed_bytes -= static_cast<std::size_t>(sent);
    }
    const bool waits = client.owed_bytes > 0;
    if (waits != client.waits_to_write) {
      epoll_event event{.events = waits ? EPOLLOUT : EPOLLIN, .data = {.ptr = &client}};
      if (::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, client.socket.get(), &event) != 0) give_up_errno("epoll_ctl");
      client.waits_to_write = waits;
    }
    return true;
  }

  std::size_t response_bytes_;
  std::string responses_;
  Fd listener_;
  Fd epoll_{::epoll_create1(EPOLL_CLOEXEC)};
  std::array<char, 64 * 1024> buffer_;
};

}  // namespace
}  // namespace gputach::load

int main(int argc, char** argv) {
  using namespace gputach::load;
  const Arguments arguments(argc, argv);
  std::ifstream file{std::string(arguments.needed("--response")), std::ios::binary};
  std::string response{std::istreambuf_iterator<char>(file), {}};
  if (response.empty()) give_up("the file of the response is empty");
  static Server server(std::move(response), static_cast<std::uint16_t>(arguments.count("--port", 0)));
  server.run();
}
