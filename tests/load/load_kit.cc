#include "load_kit.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace gputach::load {
namespace {

template <class T>
T parse(std::string_view name, std::string_view text) {
  T value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) {
    give_up(std::string(name) + " needs a number, not " + std::string(text));
  }
  return value;
}

}  // namespace

void give_up(std::string_view sentence) {
  std::fprintf(stderr, "load: %.*s\n", static_cast<int>(sentence.size()), sentence.data());
  std::exit(1);
}

void give_up_errno(std::string_view what) {
  give_up(std::string(what) + ": " + std::strerror(errno));
}

Nanoseconds now() {
  timespec time{};
  ::clock_gettime(CLOCK_MONOTONIC, &time);
  return Nanoseconds{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::string_view Arguments::text(std::string_view name, std::string_view otherwise) const {
  const auto found = std::ranges::find(words_, name);
  if (found == words_.end()) return otherwise;
  if (found + 1 == words_.end()) give_up(std::string(name) + " needs a value");
  return *(found + 1);
}

std::string_view Arguments::needed(std::string_view name) const {
  const std::string_view value = text(name, {});
  if (value.empty()) give_up(std::string(name) + " is needed");
  return value;
}

double Arguments::number(std::string_view name, double otherwise) const {
  const std::string_view value = text(name, {});
  return value.empty() ? otherwise : parse<double>(name, value);
}

std::size_t Arguments::count(std::string_view name, std::size_t otherwise) const {
  const std::string_view value = text(name, {});
  return value.empty() ? otherwise : parse<std::size_t>(name, value);
}

std::optional<std::size_t> content_length(std::string_view head) {
  constexpr std::string_view name = "\r\nContent-Length: ";
  std::size_t at = head.find(name);
  if (at == std::string_view::npos) {
    const auto same = [](char a, char b) { return std::tolower(a) == std::tolower(b); };
    const auto found = std::ranges::search(head, name, same);
    if (found.empty()) return std::nullopt;
    at = static_cast<std::size_t>(found.begin() - head.begin());
  }
  const std::string_view value = head.substr(at + name.size());
  return parse<std::size_t>("Content-Length", value.substr(0, value.find('\r')));
}

unsigned Answers::feed(std::string_view bytes) {
  constexpr std::string_view head_end = "\r\n\r\n";
  unsigned ended = 0;
  while (!bytes.empty()) {
    if (body_left_ > 0) {
      const std::size_t taken = std::min(body_left_, bytes.size());
      body_left_ -= taken;
      bytes.remove_prefix(taken);
      if (body_left_ == 0) ++ended;
      continue;
    }
    if (head_.empty()) {
      const std::size_t end = bytes.find(head_end);
      if (end == std::string_view::npos) {
        head_ = bytes;
        return ended;
      }
      begin_body(bytes.substr(0, end + 2));
      bytes.remove_prefix(end + head_end.size());
    } else {
      const std::size_t before = head_.size();
      head_ += bytes;
      const std::size_t end = head_.find(head_end, before < 3 ? 0 : before - 3);
      if (end == std::string::npos) return ended;
      begin_body(std::string_view(head_).substr(0, end + 2));
      bytes.remove_prefix(end + head_end.size() - before);
      head_.clear();
    }
    if (body_left_ == 0) ++ended;
  }
  return ended;
}

void Answers::begin_body(std::string_view head) {
  if (!head.starts_with("HTTP/1.1 200 ")) ++refused_;
  const std::optional<std::size_t> length = content_length(head);
  if (!length) give_up("an answer has no Content-Length");
  body_left_ = *length;
}

void Connection::send(std::string_view bytes) const {
  const ssize_t sent = ::send(socket.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent < 0) give_up_errno("send");
  if (static_cast<std::size_t>(sent) != bytes.size()) give_up("the server does not take requests any more");
}

unsigned Connection::receive(std::span<char> buffer) {
  const ssize_t received = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
  if (received < 0 && (errno == EAGAIN || errno == EINTR)) return 0;
  if (received < 0) give_up_errno("recv");
  if (received == 0) give_up("the server closed a connection");
  return answers.feed({buffer.data(), static_cast<std::size_t>(received)});
}

Connection connect_to(std::uint16_t port) {
  Connection connection{Fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)), {}};
  const int socket = connection.socket.get();
  if (socket < 0) give_up_errno("socket");
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  const int on = 1;
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) give_up_errno("connect");
  if (::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) give_up_errno("TCP_NODELAY");
  const int flags = ::fcntl(socket, F_GETFL);
  if (flags < 0 || ::fcntl(socket, F_SETFL, flags | O_NONBLOCK) != 0) give_up_errno("O_NONBLOCK");
  return connection;
}

Fd watch(const std::vector<Connection>& connections) {
  Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
  if (epoll.get() < 0) give_up_errno("epoll_create1");
  for (std::size_t i = 0; i < connections.size(); ++i) {
    epoll_event event{.events = EPOLLIN, .data = {.u64 = i}};
    if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, connections[i].socket.get(), &event) != 0) give_up_errno("epoll_ctl");
  }
  return epoll;
}

std::string request_for(const Arguments& arguments) {
  if (const std::size_t bytes = arguments.count("--body-bytes", 0); bytes > 0) {
    std::string body = R"({"model":"stand-in","stream":false,"messages":[{"role":"user","content":")";
    body += std::string(bytes > body.size() ? bytes - body.size() : 0, 'x') + R"("}]})";
    return "POST " + std::string(arguments.needed("--path")) +
           " HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: gputach-load\r\nAccept: */*\r\n"
           "Authorization: Bearer 0123456789abcdef0123456789abcdef\r\nContent-Type: application/json\r\n"
           "Content-Length: " +
           std::to_string(body.size()) + "\r\n\r\n" + body;
  }
  // As a poller written with a common HTTP library asks.
  return "GET " + std::string(arguments.text("--path", "/proxy/stats")) +
         " HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: gputach-load\r\nAccept: */*\r\nConnection: keep-alive\r\n\r\n";
}

Percentiles::Percentiles(std::vector<Nanoseconds> sample) : sample_(std::move(sample)) {
  std::ranges::sort(sample_);
}

double Percentiles::microseconds(double quantile) const {
  if (sample_.empty()) return 0;
  const auto rank = static_cast<std::size_t>(quantile * static_cast<double>(sample_.size() - 1));
  return static_cast<double>(sample_[rank]) / 1000;
}

}  // namespace gputach::load
