#include "http/listen_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

namespace gputach::http {
namespace {

constexpr int backlog = 4096;

// An address of either family, as the socket calls want it.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t size = 0;

  [[nodiscard]] int family() const { return storage.ss_family; }
  [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

// Size 0 when `host` is not a literal address.
SocketAddress socket_address(const std::string& host, std::uint16_t port) {
  SocketAddress address;
  sockaddr_in v4{};
  sockaddr_in6 v6{};
  if (::inet_pton(AF_INET, host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(port);
    std::memcpy(&address.storage, &v4, sizeof v4);
    address.size = sizeof v4;
  } else if (::inet_pton(AF_INET6, host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(port);
    std::memcpy(&address.storage, &v6, sizeof v6);
    address.size = sizeof v6;
  }
  return address;
}

std::string to_text(const SocketAddress& address) {
  std::array<char, INET6_ADDRSTRLEN> host{};
  if (address.family() == AF_INET) {
    sockaddr_in v4{};
    std::memcpy(&v4, &address.storage, sizeof v4);
    ::inet_ntop(AF_INET, &v4.sin_addr, host.data(), host.size());
    return std::string(host.data()) + ":" + std::to_string(ntohs(v4.sin_port));
  }
  sockaddr_in6 v6{};
  std::memcpy(&v6, &address.storage, sizeof v6);
  ::inet_ntop(AF_INET6, &v6.sin6_addr, host.data(), host.size());
  return "[" + std::string(host.data()) + "]:" + std::to_string(ntohs(v6.sin6_port));
}

std::uint16_t bound_port(const std::string& address) {
  std::uint16_t port = 0;
  std::from_chars(address.data() + address.rfind(':') + 1, address.data() + address.size(), port);
  return port;
}

// The error is an errno.
std::expected<ListenSocket, int> open_one(SocketAddress address) {
  const int descriptor = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return std::unexpected(errno);
  ListenSocket socket(descriptor, address.family(), {});
  const int on = 1;
  const int off = 0;
  const bool is_v6 = address.family() == AF_INET6;
  if (::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) != 0 ||
      ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0 ||
      (is_v6 && ::setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) != 0) ||
      ::bind(descriptor, address.get(), address.size) != 0 || ::listen(descriptor, backlog) != 0) {
    return std::unexpected(errno);
  }
  address.size = sizeof address.storage;
  if (::getsockname(descriptor, address.get(), &address.size) != 0) return std::unexpected(errno);
  return ListenSocket(socket.release(), address.family(), to_text(address));
}

std::expected<ListenSocket, int> open_or_without_ipv6(const std::string& host, std::uint16_t port) {
  auto opened = open_one(socket_address(host, port));
  const bool no_ipv6 = !opened && (opened.error() == EAFNOSUPPORT || opened.error() == EADDRNOTAVAIL);
  if (no_ipv6 && host == "::") return open_one(socket_address("0.0.0.0", port));
  return opened;
}

}  // namespace

Result<ListenAddress> parse_listen_address(std::string_view text) {
  const auto refuse = [text](std::string_view why) {
    return fail(ErrorCode::invalid, "the listen address " + std::string(text) + " " + std::string(why));
  };
  const std::size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return refuse("has no port, as in 127.0.0.1:8080");
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);

  ListenAddress address;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (port.empty() || error != std::errc{} || end != port.data() + port.size()) {
    return refuse("has a port that is not a number from 0 to 65535");
  }
  const bool bracketed = host.size() > 2 && host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  address.host = host;
  if (host == "localhost" && !bracketed) return address;
  const SocketAddress literal = socket_address(address.host, address.port);
  if (literal.size == 0) return refuse("names no IP address and is not localhost");
  if (bracketed != (literal.family() == AF_INET6)) return refuse("must have brackets round IPv6, as in [::1]:8080");
  return address;
}

ListenSocket::ListenSocket(ListenSocket&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), family_(other.family_), address_(std::move(other.address_)) {}

ListenSocket::~ListenSocket() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

int ListenSocket::release() {
  return std::exchange(descriptor_, -1);
}

Result<std::vector<ListenSocket>> open_listen_sockets(std::string_view text) {
  auto address = parse_listen_address(text);
  if (!address) return std::unexpected(std::move(address.error()));

  const bool local = address->host == "localhost";
  auto first = open_or_without_ipv6(local ? "127.0.0.1" : address->host, address->port);
  if (!first) return fail_errno("cannot listen on " + std::string(text), first.error());

  std::vector<ListenSocket> sockets;
  const std::uint16_t port = bound_port(first->address());
  sockets.push_back(*std::move(first));
  if (local) {
    if (auto second = open_one(socket_address("::1", port))) sockets.push_back(*std::move(second));
  }
  return sockets;
}

}  // namespace gputach::http
