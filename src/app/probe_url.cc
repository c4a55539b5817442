#include "app/probe_url.h"

#include <arpa/inet.h>
#include <sys/un.h>

#include <algorithm>
#include <array>

#include "app/flag_values.h"
#include "http/message.h"

namespace gputach {
namespace {

constexpr std::uint64_t port_max = 65535;

std::unexpected<Error> bad(std::string sentence) {
  return fail(ErrorCode::invalid, std::move(sentence));
}

bool is_address(int family, const std::string& text) {
  std::array<unsigned char, 16> bytes{};
  return ::inet_pton(family, text.c_str(), bytes.data()) == 1;
}

std::unexpected<Error> bad_url() {
  return bad(
      "the URL has to look like http://ADDRESS:PORT/PATH, https://ADDRESS:PORT/PATH or unix:SOCKET:/PATH, where "
      "ADDRESS "
      "is not a name other than localhost");
}

// The part of `text` up to its host's end, brackets included.
std::string_view host_part(std::string_view text) {
  const std::size_t bracket = text.starts_with('[') ? text.find(']') : 0;
  if (bracket == std::string_view::npos) return {};
  return text.substr(0, std::min(text.find(':', bracket), text.size()));
}

Result<ProbeUrl> parse_authority(std::string_view text, ProbeUrl url) {
  const std::string_view host = host_part(text);
  url.authority = text;
  url.host = host.starts_with('[') && host.size() > 2 ? host.substr(1, host.size() - 2) : host;
  const bool known = host.starts_with('[') ? host.ends_with(']') && is_address(AF_INET6, url.host)
                                           : url.host == "localhost" || is_address(AF_INET, url.host);
  if (!known) return bad_url();
  if (host.size() == text.size()) return url;
  const auto port = parse_number(text.substr(host.size() + 1), 1, port_max);
  if (!port) return bad_url();
  url.port = static_cast<std::uint16_t>(*port);
  return url;
}

Result<ProbeUrl> parse_unix(std::string_view text) {
  const std::size_t end = text.find(":/");
  ProbeUrl url{.via = ProbeVia::unix_socket,
               .host = std::string(text.substr(0, end)),
               .authority = "localhost",
               .target = end == std::string_view::npos ? "/" : std::string(text.substr(end + 1))};
  if (url.host.size() < 2 || url.host.size() >= sizeof sockaddr_un{}.sun_path) return bad_url();
  if (!url.host.starts_with('/') && !url.host.starts_with('@')) return bad_url();
  return url;
}

bool is_field_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

bool is_field_value(std::string_view value) {
  return std::ranges::all_of(value, [](char c) { return c == '\t' || (c >= ' ' && c < '\x7f'); });
}

}  // namespace

Result<ProbeUrl> parse_probe_url(std::string_view text) {
  if (!std::ranges::all_of(text, [](char c) { return c > ' ' && c < '\x7f' && c != '#'; })) return bad_url();
  if (text.starts_with("unix:")) return parse_unix(text.substr(5));
  const bool tls = text.starts_with("https://");
  if (!tls && !text.starts_with("http://")) return bad_url();
  text.remove_prefix(tls ? 8 : 7);
  const std::size_t end = std::min(text.find_first_of("/?"), text.size());
  ProbeUrl url{.via = tls ? ProbeVia::tls : ProbeVia::tcp,
               .host = {},
               .port = static_cast<std::uint16_t>(tls ? 443 : 80),
               .authority = {},
               .target = std::string(text.substr(end))};
  if (!url.target.starts_with('/')) url.target.insert(0, 1, '/');
  return parse_authority(text.substr(0, end), std::move(url));
}

Result<std::string> probe_request(const ProbeUrl& url, std::span<const std::string> fields) {
  std::string host = "Host: " + url.authority + "\r\n";
  std::string others = "User-Agent: gputach-probe\r\nConnection: close\r\n";
  for (const std::string_view field : fields) {
    const std::size_t colon = std::min(field.find(':'), field.size());
    const std::string_view name = field.substr(0, colon);
    if (colon == field.size() || !is_field_name(name) || !is_field_value(field.substr(colon + 1)))
      return bad("a header has to look like 'Name: value'");
    if (http::equal_without_case(name, "host")) {
      host = std::string(field) + "\r\n";
    } else {
      others += std::string(field) + "\r\n";
    }
  }
  return "GET " + url.target + " HTTP/1.1\r\n" + host + others + "\r\n";
}

Result<std::optional<int>> status_in(std::string_view bytes) {
  constexpr std::string_view version = "HTTP/1.";
  constexpr std::size_t status_at = 9;  // behind "HTTP/1.x "
  for (;;) {
    if (bytes.substr(0, version.size()) != version.substr(0, bytes.size())) return bad("the answer is not HTTP/1");
    const std::size_t line_end = bytes.find('\n');
    if (line_end == std::string_view::npos) return std::nullopt;
    const std::string_view line = bytes.substr(0, line_end);
    const std::string_view digits = line.substr(std::min(status_at, line.size()), 3);
    const std::string_view rest = line.substr(std::min(status_at + digits.size(), line.size()));
    const auto status = parse_number(digits, 100, 999);
    if (!status || line[status_at - 1] != ' ' || !(rest.empty() || rest.front() == ' ' || rest.front() == '\r'))
      return bad("the answer has no status");
    if (*status >= 200) return static_cast<int>(*status);
    const std::size_t head_end = bytes.find("\r\n\r\n");  // interim (RFC 9110 section 15.2): the next one counts
    if (head_end == std::string_view::npos) return std::nullopt;
    bytes.remove_prefix(head_end + 4);
  }
}

}  // namespace gputach
