// Purpose: from the text of a listen address to a socket that listens.
// Owns: ListenSocket owns its descriptor.
// Threads: any.
// Fails: with a sentence for the user that names the address.
// Source: RFC 3493 section 5.3 (IPV6_V6ONLY); man 7 ip, ipv6, tcp, unix.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gputach::http {

enum class ListenKind : unsigned char { tcp, tls, unix_socket };

struct ListenAddress {
  ListenKind kind = ListenKind::tcp;
  std::string host;  // an address, or "localhost", without brackets; of a Unix socket its path, or @ and its name
  std::uint16_t port = 0;

  bool operator==(const ListenAddress&) const = default;
};

// "127.0.0.1:8080", "[::1]:8080", "localhost:0", "tls:[::]:8443", "unix:/run/gputach.sock", "unix:@gputach" (no file).
// Pure. Names other than localhost are refused: looking them up could hang the start, or listen on what was not meant.
[[nodiscard]] Result<ListenAddress> parse_listen_address(std::string_view text);

// Which file a Unix socket made, so that nobody else's is removed in its place.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;  // 0: there is no file

  bool operator==(const FileIdentity&) const = default;
};

class ListenSocket {
 public:
  ListenSocket(int descriptor, int family, ListenKind kind, std::string address)
      : descriptor_(descriptor), family_(family), kind_(kind), address_(std::move(address)) {}
  ListenSocket(ListenSocket&& other) noexcept;
  ListenSocket& operator=(ListenSocket&&) = delete;
  ~ListenSocket();

  [[nodiscard]] int family() const { return family_; }  // AF_INET, AF_INET6 or AF_UNIX
  [[nodiscard]] ListenKind kind() const { return kind_; }
  [[nodiscard]] const std::string& address() const { return address_; }  // as parsed, with the port really bound
  [[nodiscard]] const FileIdentity& file() const { return file_; }
  void set_file(FileIdentity file) { file_ = file; }
  [[nodiscard]] int release();  // the caller closes it

 private:
  int descriptor_;
  int family_;
  ListenKind kind_;
  std::string address_;
  FileIdentity file_;
};

// Non-blocking, close-on-exec, TCP_NODELAY for the connections it accepts. [::] also takes IPv4, and becomes 0.0.0.0
// where the kernel has no IPv6. localhost gives 127.0.0.1 and, where possible, ::1 on the same port. A Unix socket may
// be used by everyone who reaches its folder; a file left by a server that is gone is replaced.
[[nodiscard]] Result<std::vector<ListenSocket>> open_listen_sockets(std::string_view text);

// A Unix socket's file, before its server stops to listen; once. Nothing where it is no longer that one.
void remove_listen_file(const std::string& address, FileIdentity& file);

// Who is at the other end of an accepted connection: "127.0.0.1:40000", "[::1]:40000", "unix".
[[nodiscard]] std::string peer_address(int descriptor);

}  // namespace gputach::http
