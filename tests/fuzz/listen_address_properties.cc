// What must hold for every text given as a listen address: what is accepted is an address of this machine's kind, and
// is accepted again, as the same, when it is written out.
#include <arpa/inet.h>

#include <array>

#include "fuzz/target.h"
#include "http/listen_socket.h"

namespace gputach::fuzz {
namespace {

bool is_literal(int family, const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> address{};
  return ::inet_pton(family, host.c_str(), address.data()) == 1;
}

}  // namespace

std::string check_listen_address(std::string_view bytes) {
  const ExactCopy exact(bytes);
  const auto parsed = http::parse_listen_address(exact.view());
  if (!parsed) return parsed.error().context.empty() ? "refused without a reason" : "";
  if (parsed->host.find('\0') != std::string::npos) return "a NUL hides in the host";
  const bool is_unix = parsed->kind == http::ListenKind::unix_socket;
  const bool is_v6 = !is_unix && is_literal(AF_INET6, parsed->host);
  if (!is_unix && !is_v6 && !is_literal(AF_INET, parsed->host) && parsed->host != "localhost") {
    return "the host is no address";
  }
  std::string text = is_unix ? "unix:" : parsed->kind == http::ListenKind::tls ? "tls:" : "";
  text += is_v6 ? "[" + parsed->host + "]" : parsed->host;
  if (is_unix) return bytes == text ? "" : "the path is not what was written";
  text += ":";
  if (!bytes.starts_with(text)) return "the host is not what was written";
  const std::string_view port = bytes.substr(text.size());
  const std::size_t zeros = std::min(port.find_first_not_of('0'), port.size() - 1);
  if (std::to_string(parsed->port) != port.substr(zeros)) return "the port is not what was written";
  const auto again = http::parse_listen_address(text + std::to_string(parsed->port));
  return again && *again == *parsed ? "" : "written out it is another address";
}

}  // namespace gputach::fuzz
