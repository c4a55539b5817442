// Purpose: for tests of the relay: an engine of plain POSIX calls on threads of its own, and a conversation with it
//          that takes the relay through most of what it can do, with the same answers each time.
// Owns: Engine its sockets and threads.
// Threads: the test's; each connection to the engine has its own.
// Fails: what is missing or wrong shows in the answers; a wait ends at http::test::patience.
#pragma once

#include <netinet/tcp.h>

#include <algorithm>
#include <future>
#include <list>
#include <map>
#include <mutex>
#include <ostream>
#include <ranges>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "http/conversation_test_kit.h"

namespace gputach::relay {

// More than the kernel takes of an answer at once; and of a size that the thread sanitizer's allocator keeps for reuse.
inline constexpr std::size_t engine_body_bytes = 240'000;

inline const std::string& engine_body() {
  static const std::string all = [] {
    std::string body(engine_body_bytes, ' ');
    for (std::size_t i = 0; i < body.size(); ++i) body[i] = static_cast<char>('a' + i % 23);
    return body;
  }();
  return all;
}

// In pieces of many sizes.
inline std::string in_chunks(std::string_view body, std::size_t size_max) {
  std::string text;
  text.reserve(body.size() + body.size() / 64);
  for (std::size_t size = 1; !body.empty(); size = size * 5 % size_max + 1) {
    const std::string_view piece = body.substr(0, size);
    char line[20];
    std::snprintf(line, sizeof line, "%zx\r\n", piece.size());
    text.append(line).append(piece).append("\r\n");
    body.remove_prefix(piece.size());
  }
  return text + "0\r\n\r\n";
}

// Bytes of one connection, taken as they are asked for.
class Incoming {
 public:
  explicit Incoming(int descriptor) : descriptor_(descriptor) {}

  // Up to and including `mark`; all there was when the connection ended before.
  std::string until(std::string_view mark) {
    std::size_t at = 0;
    while ((at = left().find(mark)) == std::string::npos && receive()) continue;
    return take(at == std::string::npos ? left().size() : at + mark.size());
  }
  std::string exactly(std::size_t size) {
    bytes_.reserve(taken_ + size);
    while (left().size() < size && receive()) continue;
    return take(std::min(size, left().size()));
  }
  std::string rest() {
    while (receive()) continue;
    return take(left().size());
  }
  [[nodiscard]] bool ended() const { return ended_; }  // not by a reset, and not by patience

 private:
  bool receive() {
    pollfd waiting{descriptor_, POLLIN, 0};
    constexpr auto timeout = std::chrono::milliseconds(http::test::patience).count();
    if (::poll(&waiting, 1, static_cast<int>(timeout)) <= 0) return false;
    char bytes[65536];
    const ssize_t size = ::recv(descriptor_, bytes, sizeof bytes, 0);
    ended_ = size == 0;
    if (size <= 0) return false;
    bytes_.erase(0, std::exchange(taken_, 0));  // here and not in take(), which is called for each of many chunks
    bytes_.append(bytes, static_cast<std::size_t>(size));
    return true;
  }
  std::string take(std::size_t size) {
    std::string taken(left().substr(0, size));
    taken_ += size;
    return taken;
  }
  [[nodiscard]] std::string_view left() const { return std::string_view(bytes_).substr(taken_); }

  int descriptor_;
  std::string bytes_;
  std::size_t taken_ = 0;
  bool ended_ = false;
};

// "name: value" in any case; empty when there is none.
inline std::string value_of(const std::string& head, std::string_view name) {
  const auto same = [](char l, char r) { return std::tolower(l) == std::tolower(r); };
  const std::string begin = "\r\n" + std::string(name) + ": ";
  const auto at = std::ranges::search(head, begin, same);
  if (at.empty()) return {};
  return {at.end(), std::ranges::search(std::ranges::subrange(at.end(), head.end()), std::string_view("\r\n")).begin()};
}

// The data of a chunked body; `complete` when its end was there.
inline std::string read_chunks(Incoming& incoming, bool& complete) {
  std::string data;
  data.reserve(engine_body_bytes);
  complete = false;
  for (;;) {
    const std::string line = incoming.until("\r\n");
    const std::size_t size = line.empty() ? 0 : std::strtoul(line.c_str(), nullptr, 16);
    if (!line.ends_with("\r\n")) return data;
    const std::string piece = incoming.exactly(size + 2);
    data.append(piece, 0, size);
    if (!piece.ends_with("\r\n") || piece.size() != size + 2) return data;
    if (size == 0) break;
  }
  complete = true;
  return data;
}

// Bears what no other request has: one that comes twice shows, also when it comes late.
inline constexpr std::string_view number_field = "Request-Number";

class Engine {
 public:
  Engine() : listener_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    EXPECT_EQ(::bind(listener_, reinterpret_cast<const sockaddr*>(&address), size), 0);
    EXPECT_EQ(::listen(listener_, 100), 0);
    EXPECT_EQ(::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~Engine() {
    over_.set_value();
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    ::close(listener_);
    for (std::thread& one : threads_) one.join();
  }
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  [[nodiscard]] std::uint16_t port() const { return port_; }
  [[nodiscard]] int asked(const std::string& path) {
    const std::scoped_lock lock(mutex_);
    return asked_[path];
  }
  // How often a request with a number came; the most of all of them.
  [[nodiscard]] int times_of_one_request_max() {
    const std::scoped_lock lock(mutex_);
    return numbered_.empty() ? 0 : std::ranges::max(numbered_ | std::views::values);
  }
  [[nodiscard]] int open() const { return open_; }
  [[nodiscard]] int malformed() const { return malformed_; }
  [[nodiscard]] int half_closed() const { return half_closed_; }  // tunnels of /silent-socket whose peer sends no more

 private:
  void accept_all() {
    for (int accepted; (accepted = ::accept(listener_, nullptr, nullptr)) >= 0;) {
      ++open_;
      threads_.emplace_back([this, accepted] {
        serve(accepted);
        ::close(accepted);
        --open_;
      });
    }
  }

  void serve(int connection) {
    const int on = 1;
    ::setsockopt(connection, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (Incoming incoming(connection);;) {
      const std::string head = incoming.until("\r\n\r\n");
      if (!head.ends_with("\r\n\r\n")) return;
      const std::size_t space = head.find(' ');
      const std::string path = head.substr(space + 1, head.find(' ', space + 1) - space - 1);
      if (!path.starts_with('/')) ++malformed_;
      {
        const std::scoped_lock lock(mutex_);
        ++asked_[path];
        if (const std::string number = value_of(head, number_field); !number.empty()) ++numbered_[number];
      }
      std::string body;
      bool complete = true;
      if (!value_of(head, "Transfer-Encoding").empty()) {
        body = read_chunks(incoming, complete);
      } else if (const std::string length = value_of(head, "Content-Length"); !length.empty()) {
        body = incoming.exactly(std::stoul(length));
        complete = body.size() == std::stoul(length);
      }
      if (!complete || !answer(connection, incoming, path, body)) return;
      if (value_of(head, "Connection") == "close") return;
    }
  }

  // False: the connection ends with it.
  bool answer(int connection, Incoming& incoming, const std::string& path, const std::string& body) {
    const auto send = [connection](std::string_view bytes) {
      while (!bytes.empty()) {
        const ssize_t sent = ::send(connection, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent <= 0) return false;
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      }
      return true;
    };
    const std::string ok = "HTTP/1.1 200 OK\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n";
    if (path == "/chunks") {
      static const std::string chunks = in_chunks(engine_body(), 9000);
      return send(ok + "Transfer-Encoding: chunked\r\n\r\n") && send(chunks);
    }
    if (path == "/interim") send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    if (path == "/to-the-end") {
      send(ok + "\r\n" + engine_body());
      return false;
    }
    if (path == "/silent") return be_silent();
    const std::string_view switching =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    if (path == "/socket") {
      send(switching);
      send("echo " + incoming.until("\n"));
      return false;
    }
    if (path == "/silent-socket") {
      send(switching);
      incoming.rest();
      if (incoming.ended()) ++half_closed_;
      return be_silent();
    }
    const std::string content =
        path == "/large" ? engine_body() : path + " " + std::to_string(body.size()) + " " + body;
    return send(ok + "Content-Length: " + std::to_string(content.size()) + "\r\n\r\n") && send(content);
  }

  // Neither answers nor closes, whatever the peer does, while this engine lives; nor for ever, so that a test of it
  // ends.
  bool be_silent() {
    over_future_.wait_for(2 * http::test::patience);
    return false;
  }

  int listener_;
  std::uint16_t port_ = 0;
  std::promise<void> over_;
  const std::shared_future<void> over_future_ = over_.get_future().share();
  std::atomic<int> half_closed_{0};
  std::thread acceptor_;
  std::list<std::thread> threads_;  // the acceptor's until it has been joined
  std::atomic<int> open_{0};
  std::atomic<int> malformed_{0};
  std::mutex mutex_;
  std::map<std::string, int> asked_;
  std::map<std::string, int> numbered_;
};

// As a client understood it.
struct Answer {
  std::string head;  // without the date; that of an interim answer, too
  std::string body;
  bool complete = false;

  // Of the proxy, or of the server before it that could not take the connection.
  [[nodiscard]] bool is_error_of_ours() const {
    const bool of_proxy = head.contains("HTTP/1.1 5") && head.contains("\r\nProxy-Status: gputach; error=");
    return complete && (of_proxy || head.starts_with("HTTP/1.1 503 "));
  }
  bool operator==(const Answer&) const = default;
};

inline std::ostream& operator<<(std::ostream& out, const Answer& answer) {
  return out << answer.head << answer.body.substr(0, 200) << (answer.complete ? " (complete, " : " (incomplete, ")
             << answer.body.size() << " bytes)";
}

inline Answer read_answer(Incoming& incoming) {
  Answer answer;
  std::string head = incoming.until("\r\n\r\n");
  for (; head.starts_with("HTTP/1.1 103 "); head = incoming.until("\r\n\r\n")) answer.head += head;
  answer.head += http::test::without_dates(head);
  if (!head.ends_with("\r\n\r\n")) return answer;
  if (head.starts_with("HTTP/1.1 101 ")) {
    answer.complete = true;
  } else if (!value_of(head, "Transfer-Encoding").empty()) {
    answer.body = read_chunks(incoming, answer.complete);
  } else if (const std::string length = value_of(head, "Content-Length"); !length.empty()) {
    answer.body = incoming.exactly(std::stoul(length));
    answer.complete = answer.body.size() == std::stoul(length);
  } else {
    answer.body = incoming.rest();
    answer.complete = incoming.ended();
  }
  return answer;
}

inline constexpr std::size_t answers_of_a_conversation = 12;

// Requests alone and pipelined, bodies in pieces, answers of all framings, and at last a tunnel. It ends early where
// the connection does. Its POSTs bear its number and one of their own.
inline std::vector<Answer> converse_with_engine(http::test::Client& client, int number) {
  using http::test::get;
  const int on = 1;  // the pieces come one by one, and at once
  ::setsockopt(client.descriptor(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  struct Step {
    std::vector<std::string> pieces;
    int answers;
  };
  const auto post = [number](int nth) {
    return "POST /post HTTP/1.1\r\nHost: a\r\n" + std::string(number_field) + ": " + std::to_string(number) + "." +
           std::to_string(nth) + "\r\n";
  };
  static const std::string chunked = in_chunks(engine_body(), 4000);
  const std::vector<Step> steps = {
      {{get("/first")}, 1},
      {{post(1) + "Content-Length: 5000\r\n\r\n", std::string(2000, 'x'), std::string(3000, 'y')}, 1},
      {{post(2) + "Content-Length: 5\r\n\r\nhello" + get("/behind")}, 2},
      {{post(3) + "Transfer-Encoding: chunked\r\n\r\n" + chunked.substr(0, 3), chunked.substr(3)}, 1},
      {{get("/a") + get("/b")}, 2},
      {{get("/chunks")}, 1},
      {{get("/interim")}, 1},
      {{get("/large")}, 1},
      {{get("/to-the-end")}, 1},
  };
  Incoming incoming(client.descriptor());
  std::vector<Answer> answers;
  for (const Step& step : steps) {
    for (const std::string& piece : step.pieces) client.send(piece);
    for (int i = 0; i < step.answers; ++i) {
      answers.push_back(read_answer(incoming));
      if (!answers.back().complete) return answers;
    }
  }
  client.send(get("/socket", "Connection: Upgrade\r\nUpgrade: websocket\r\n"));
  answers.push_back(read_answer(incoming));
  if (!answers.back().head.starts_with("HTTP/1.1 101 ")) return answers;
  client.send("hello\n");
  answers.back().body = incoming.rest();
  answers.back().complete = answers.back().body == "echo hello\n";
  return answers;
}

}  // namespace gputach::relay
