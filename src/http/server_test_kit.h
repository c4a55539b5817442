// Purpose: for the tests of this folder: a server on its own thread, and a client made of plain POSIX calls, so that
//          what is tested and what tests it have no code in common.
// Owns: RunningServer joins its thread; Client closes its socket.
// Threads: the test's.
// Fails: a wait ends at `patience` and returns what there is by then.
#pragma once

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "http/server.h"

namespace gputach::http::test {

using namespace std::chrono_literals;
inline constexpr auto patience = 10s;

inline Settings local_settings() {
  Settings settings;
  settings.listen = {{"127.0.0.1:0"}};
  settings.limits.sweep_period = 10ms;
  return settings;
}

inline std::shared_ptr<const Content> text(std::string body) {
  return std::make_shared<const Content>(Content{200, "Content-Type: text/plain\r\n", std::move(body)});
}

// Answers with the path, so that answers can be told apart.
inline void echo_path(const Request& request, Respond respond) {
  respond(Response{text(std::string(request.path)), {}, false});
}

class RunningServer {
 public:
  explicit RunningServer(Settings settings = local_settings(), Handler handler = echo_path) {
    auto opened = Server::open(std::move(settings), std::move(handler), clock_);
    EXPECT_TRUE(opened) << opened.error().context;
    server_ = *std::move(opened);
    thread_ = std::thread([this] {
      server_->run();
      done_.set_value();
    });
  }
  ~RunningServer() { stop(0ms); }

  Server& operator*() { return *server_; }
  Server* operator->() { return server_.get(); }

  [[nodiscard]] std::uint16_t port() const {
    const std::string& address = server_->addresses().front().address;
    return static_cast<std::uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
  }

  void stop(std::chrono::milliseconds grace) {
    if (!thread_.joinable()) return;
    server_->stop(grace);
    join();
  }
  void join() {
    EXPECT_EQ(done_.get_future().wait_for(patience), std::future_status::ready) << "run() does not return";
    thread_.join();
  }

  // Runs `work` on the io thread and waits for it.
  void on_io_thread(std::function<void()> work) {
    std::promise<void> done;
    server_->post([&] {
      work();
      done.set_value();
    });
    EXPECT_EQ(done.get_future().wait_for(patience), std::future_status::ready);
  }

 private:
  SystemClock clock_;
  std::unique_ptr<Server> server_;
  std::promise<void> done_;
  std::thread thread_;
};

// True as soon as `condition` is; false when patience ends.
inline bool eventually(const std::function<bool()>& condition) {
  const auto end = std::chrono::steady_clock::now() + patience;
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

class Client {
 public:
  explicit Client(std::uint16_t port, int receive_buffer = 0) : Client() {
    if (receive_buffer > 0) {
      ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    }
    connect(port);
  }
  Client() : descriptor_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) { EXPECT_GE(descriptor_, 0); }
  Client(Client&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), received_(std::move(other.received_)) {}
  Client& operator=(Client&&) = delete;
  ~Client() { close(); }

  void connect(std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(descriptor_, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
  }
  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }
  void reset() {  // RST instead of FIN
    const linger hard{1, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    close();
  }
  void shut_down_sending() { ::shutdown(descriptor_, SHUT_WR); }

  bool send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return false;
      bytes.remove_prefix(static_cast<std::size_t>(sent));
    }
    return true;
  }

  // The next response: head and body by its Content-Length. What came before the connection ended or patience did.
  std::string response(bool has_body = true) {
    std::size_t head_end = 0;
    while ((head_end = received_.find("\r\n\r\n")) == std::string::npos) {
      if (!receive()) return std::exchange(received_, {});
    }
    EXPECT_TRUE(received_.starts_with("HTTP/1.1 ")) << received_.substr(0, 100);
    std::size_t size = head_end + 4;
    const std::size_t length = received_.find("Content-Length: ");
    if (has_body && length < head_end) size += std::stoul(received_.substr(length + 16));
    while (received_.size() < size) {
      if (!receive()) return std::exchange(received_, {});
    }
    std::string result = received_.substr(0, size);
    received_.erase(0, size);
    return result;
  }
  std::string until_closed() {
    while (receive()) continue;
    EXPECT_TRUE(closed_) << "the server did not close";
    return std::exchange(received_, {});
  }
  [[nodiscard]] bool was_reset() const { return reset_; }
  [[nodiscard]] int descriptor() const { return descriptor_; }

 private:
  bool receive() {
    pollfd waiting{descriptor_, POLLIN, 0};
    constexpr auto timeout = std::chrono::milliseconds(patience).count();
    if (::poll(&waiting, 1, static_cast<int>(timeout)) <= 0) return false;
    char bytes[65536];
    const ssize_t size = ::recv(descriptor_, bytes, sizeof bytes, 0);
    closed_ = size <= 0;
    reset_ = size < 0;
    if (size > 0) received_.append(bytes, static_cast<std::size_t>(size));
    return size > 0;
  }

  int descriptor_;
  bool closed_ = false;
  bool reset_ = false;
  std::string received_;
};

inline std::string get(std::string_view path, std::string_view fields = "") {
  return "GET " + std::string(path) + " HTTP/1.1\r\nHost: a\r\n" + std::string(fields) + "\r\n";
}

inline std::string body_of(const std::string& response) {
  const std::size_t end = response.find("\r\n\r\n");
  return end == std::string::npos ? "(no head)" : response.substr(end + 4);
}

}  // namespace gputach::http::test
