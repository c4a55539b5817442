// Purpose: from the text of a listen address to a socket that listens.
// Owns: ListenSocket owns its descriptor.
// Threads: any.
// Fails: with a sentence for the user that names the address.
// Source: RFC 3493 section 5.3 (IPV6_V6ONLY); man 7 ip, ipv6, tcp.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace gputach::http {

struct ListenAddress {
  std::string host;  // an address, or "localhost"; without brackets
  std::uint16_t port = 0;

  bool operator==(const ListenAddress&) const = default;
};

// "127.0.0.1:8080", "[::1]:8080", "localhost:0". Pure. Names other than localhost are refused: looking them up could
// hang the start, or listen on what was not meant.
[[nodiscard]] Result<ListenAddress> parse_listen_address(std::string_view text);

class ListenSocket {
 public:
  ListenSocket(int descriptor, int family, std::string address)
      : descriptor_(descriptor), family_(family), address_(std::move(address)) {}
  ListenSocket(ListenSocket&& other) noexcept;
  ListenSocket& operator=(ListenSocket&&) = delete;
  ~ListenSocket();

  [[nodiscard]] int family() const { return family_; }                   // AF_INET or AF_INET6
  [[nodiscard]] const std::string& address() const { return address_; }  // with the port really bound
  [[nodiscard]] int release();                                           // the caller closes it

 private:
  int descriptor_;
  int family_;
  std::string address_;
};

// Non-blocking, close-on-exec, TCP_NODELAY for the connections it accepts. [::] also takes IPv4, and becomes 0.0.0.0
// where the kernel has no IPv6. localhost gives 127.0.0.1 and, where possible, ::1 on the same port.
[[nodiscard]] Result<std::vector<ListenSocket>> open_listen_sockets(std::string_view text);

}  // namespace gputach::http
