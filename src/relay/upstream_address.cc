#include "relay/upstream_address.h"

#include "http/listen_socket.h"

namespace gputach::relay {
namespace {

constexpr std::string_view http_scheme = "http://";
constexpr std::string_view https_scheme = "https://";
constexpr std::uint16_t http_port = 80;
constexpr std::uint16_t https_port = 443;

bool has_port(std::string_view authority) {
  const std::size_t colon = authority.rfind(':');
  return colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
}

}  // namespace

Result<UpstreamAddress> parse_upstream_address(std::string_view text) {
  const auto refuse = [text] {
    return fail(ErrorCode::invalid, "the upstream " + std::string(text) +
                                        " is not http://ADDRESS:PORT, https://ADDRESS:PORT or unix:/PATH");
  };
  UpstreamAddress upstream;
  if (text.starts_with("unix:")) {
    const auto path = http::parse_listen_address(text);
    if (!path) return refuse();
    upstream.kind = UpstreamAddress::Kind::unix_socket;
    upstream.host = path->host;
    upstream.authority = "localhost";
    return upstream;
  }
  const bool tls = text.starts_with(https_scheme);
  if (!tls && !text.starts_with(http_scheme)) return refuse();
  std::string_view authority = text.substr(tls ? https_scheme.size() : http_scheme.size());
  if (authority.ends_with('/')) authority.remove_suffix(1);
  std::string place(authority);
  if (!has_port(authority)) place += ":" + std::to_string(tls ? https_port : http_port);
  const auto address = http::parse_listen_address(place);
  if (!address || address->kind != http::ListenKind::tcp || address->port == 0) return refuse();
  upstream.kind = tls ? UpstreamAddress::Kind::tls : UpstreamAddress::Kind::tcp;
  upstream.name = address->host;
  upstream.host = address->host == "localhost" ? "127.0.0.1" : address->host;
  upstream.port = address->port;
  upstream.authority = authority;
  return upstream;
}

}  // namespace gputach::relay
