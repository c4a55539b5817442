#include "http/listen_socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstddef>
#include <cstring>
#include <utility>

#include "http/keep_alive.h"

namespace gputach::http {
namespace {

constexpr int backlog = 4096;
constexpr std::string_view tls_prefix = "tls:";
constexpr std::string_view unix_prefix = "unix:";
constexpr mode_t everyone = 0666;  // as nginx and uvicorn do: the folder says who may come

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

// Path, or @ and a name without a file; the caller has checked the length.
SocketAddress unix_address(std::string_view path) {
  sockaddr_un local{};
  local.sun_family = AF_UNIX;
  std::memcpy(local.sun_path, path.data(), path.size());
  if (path.starts_with('@')) local.sun_path[0] = '\0';
  SocketAddress address;
  std::memcpy(&address.storage, &local, sizeof local);
  const std::size_t end = path.size() + (path.starts_with('@') ? 0 : 1);  // a file's name ends with a NUL
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + end);
  return address;
}

std::string to_text(const SocketAddress& address) {
  if (address.family() == AF_UNIX) return "unix";
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

// Connections inherit them.
bool set_options(int descriptor, int family) {
  const int on = 1;
  const int off = 0;
  if (family == AF_UNIX) return true;
  return keep_alive(descriptor) && ::setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
         ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) == 0 &&
         (family == AF_INET || ::setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off) == 0);
}

// The error is an errno.
std::expected<ListenSocket, int> open_one(SocketAddress address, ListenKind kind) {
  const int descriptor = ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return std::unexpected(errno);
  ListenSocket socket(descriptor, address.family(), kind, {});
  if (!set_options(descriptor, address.family()) || ::bind(descriptor, address.get(), address.size) != 0 ||
      ::listen(descriptor, backlog) != 0) {
    return std::unexpected(errno);
  }
  address.size = sizeof address.storage;
  if (::getsockname(descriptor, address.get(), &address.size) != 0) return std::unexpected(errno);
  const std::string prefix(kind == ListenKind::tls ? tls_prefix : std::string_view{});
  return ListenSocket(socket.release(), address.family(), kind, prefix + to_text(address));
}

std::expected<ListenSocket, int> open_or_without_ipv6(const ListenAddress& wanted) {
  auto opened = open_one(socket_address(wanted.host, wanted.port), wanted.kind);
  const bool no_ipv6 = !opened && (opened.error() == EAFNOSUPPORT || opened.error() == EADDRNOTAVAIL);
  if (no_ipv6 && wanted.host == "::") return open_one(socket_address("0.0.0.0", wanted.port), wanted.kind);
  return opened;
}

// Somebody listens there; a file that nobody listens on refuses.
bool is_served(const SocketAddress& address) {
  const int descriptor = ::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (descriptor < 0) return true;  // not known
  const bool refused = ::connect(descriptor, address.get(), address.size) != 0 && errno == ECONNREFUSED;
  ::close(descriptor);
  return !refused;
}

FileIdentity identity_of(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) != 0) return {};
  return {status.st_dev, status.st_ino};
}

// A server that was killed leaves its file, and bind() would call the address taken.
void remove_stale_file(const std::string& path) {
  struct stat status{};
  if (::lstat(path.c_str(), &status) == 0 && S_ISSOCK(status.st_mode) && !is_served(unix_address(path)))
    ::unlink(path.c_str());
}

std::expected<ListenSocket, int> open_unix(const std::string& path) {
  const bool is_file = path.starts_with('/');
  if (is_file) remove_stale_file(path);
  auto opened = open_one(unix_address(path), ListenKind::unix_socket);
  if (!opened) return opened;
  if (is_file && ::chmod(path.c_str(), everyone) != 0) return std::unexpected(errno);
  ListenSocket socket(opened->release(), AF_UNIX, ListenKind::unix_socket, std::string(unix_prefix) + path);
  if (is_file) socket.set_file(identity_of(path));
  return socket;
}

bool fits_unix(std::string_view path) {
  const bool named = path.size() > 1 && (path.starts_with('/') || path.starts_with('@'));
  return named && path.size() < sizeof sockaddr_un{}.sun_path && path.find('\0') == std::string_view::npos;
}

}  // namespace

Result<ListenAddress> parse_listen_address(std::string_view text) {
  const auto refuse = [text](std::string_view why) {
    return fail(ErrorCode::invalid, "the listen address " + std::string(text) + " " + std::string(why));
  };
  if (text.starts_with(unix_prefix)) {
    const std::string_view path = text.substr(unix_prefix.size());
    if (!fits_unix(path)) return refuse("is no absolute path of at most 107 bytes, nor @ and a name");
    return ListenAddress{ListenKind::unix_socket, std::string(path), 0};
  }
  ListenAddress address;
  const bool tls = text.starts_with(tls_prefix);
  if (tls) address.kind = ListenKind::tls;
  const std::string_view place = tls ? text.substr(tls_prefix.size()) : text;
  const std::size_t colon = place.rfind(':');
  if (colon == std::string_view::npos) return refuse("has no port, as in 127.0.0.1:8080");
  std::string_view host = place.substr(0, colon);
  const std::string_view port = place.substr(colon + 1);

  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (port.empty() || error != std::errc{} || end != port.data() + port.size()) {
    return refuse("has a port that is not a number from 0 to 65535");
  }
  const bool bracketed = host.size() > 2 && host.starts_with('[') && host.ends_with(']');
  if (bracketed) host = host.substr(1, host.size() - 2);
  address.host = host;
  if (host.find('\0') != std::string_view::npos) return refuse("holds a NUL");
  if (host == "localhost" && !bracketed) return address;
  const SocketAddress literal = socket_address(address.host, address.port);
  if (literal.size == 0) return refuse("names no IP address and is not localhost");
  if (bracketed != (literal.family() == AF_INET6)) return refuse("must have brackets round IPv6, as in [::1]:8080");
  return address;
}

ListenSocket::ListenSocket(ListenSocket&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)),
      family_(other.family_),
      kind_(other.kind_),
      address_(std::move(other.address_)),
      file_(other.file_) {}

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
  if (local) address->host = "127.0.0.1";
  auto first = address->kind == ListenKind::unix_socket ? open_unix(address->host) : open_or_without_ipv6(*address);
  if (!first) return fail_errno("cannot listen on " + std::string(text), first.error());

  std::vector<ListenSocket> sockets;
  const std::uint16_t port = bound_port(first->address());
  sockets.push_back(*std::move(first));
  if (local) {
    if (auto second = open_one(socket_address("::1", port), address->kind)) sockets.push_back(*std::move(second));
  }
  return sockets;
}

void remove_listen_file(const std::string& address, FileIdentity& file) {
  if (file.inode == 0) return;
  const std::string path = address.substr(unix_prefix.size());
  if (identity_of(path) == file) ::unlink(path.c_str());
  file = {};
}

std::string peer_address(int descriptor) {
  SocketAddress address;
  address.size = sizeof address.storage;
  if (::getpeername(descriptor, address.get(), &address.size) != 0) return "unknown";
  return to_text(address);
}

}  // namespace gputach::http
