#include "app/probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <optional>

#include "app/flag_values.h"
#include "app/probe_stream.h"

namespace gputach {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t head_bytes_max = 16384;  // of the answer, interim ones included

struct Address {
  sockaddr_storage bytes{};
  socklen_t size = 0;
};

template <class Kind>
Address address_of(const Kind& kind, std::size_t size = sizeof(Kind)) {
  Address address{.bytes = {}, .size = static_cast<socklen_t>(size)};
  std::memcpy(&address.bytes, &kind, size);
  return address;
}

Address unix_address(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  std::memcpy(address.sun_path, path.data(), path.size());
  const bool in_file_system = !path.starts_with('@');
  if (!in_file_system) address.sun_path[0] = '\0';
  return address_of(address, offsetof(sockaddr_un, sun_path) + path.size() + (in_file_system ? 1 : 0));
}

Address ipv4_address(const char* host, std::uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  ::inet_pton(AF_INET, host, &address.sin_addr);
  return address_of(address);
}

Address ipv6_address(const char* host, std::uint16_t port) {
  sockaddr_in6 address{};
  address.sin6_family = AF_INET6;
  address.sin6_port = htons(port);
  ::inet_pton(AF_INET6, host, &address.sin6_addr);
  return address_of(address);
}

std::vector<Address> addresses_of(const ProbeUrl& url) {
  if (url.via == ProbeVia::unix_socket) return {unix_address(url.host)};
  if (url.host == "localhost") return {ipv4_address("127.0.0.1", url.port), ipv6_address("::1", url.port)};
  const bool ipv6 = url.host.find(':') != std::string::npos;
  return {ipv6 ? ipv6_address(url.host.c_str(), url.port) : ipv4_address(url.host.c_str(), url.port)};
}

Result<Fd> connect_one(const Address& address, const Deadline& deadline) {
  Fd socket(::socket(address.bytes.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return fail_errno("socket", errno);
  sockaddr_storage bytes = address.bytes;
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&bytes), address.size) == 0) return socket;
  if (errno != EINPROGRESS) return fail_errno("connect", errno);
  if (const Result<void> ready = wait_ready(socket.get(), POLLOUT, deadline); !ready)
    return std::unexpected(ready.error());
  int error = 0;
  socklen_t size = sizeof error;
  if (::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &size) != 0) error = errno;
  if (error != 0) return fail_errno("connect", error);
  return socket;
}

// To the first that takes it; of several failures the first is told, for that is where most servers listen.
Result<Fd> connect_any(const ProbeUrl& url, const Deadline& deadline) {
  std::optional<Error> first;
  for (const Address& address : addresses_of(url)) {
    Result<Fd> socket = connect_one(address, deadline);
    if (socket) return socket;
    if (!first) first = std::move(socket).error();
  }
  return std::unexpected(*std::move(first));
}

Result<std::unique_ptr<ProbeStream>> open_stream(const ProbeUrl& url, const Deadline& deadline) {
  Result<Fd> socket = connect_any(url, deadline);
  if (!socket) return std::unexpected(socket.error());
  if (url.via == ProbeVia::tls) return tls_stream(*std::move(socket), deadline);
  return plain_stream(*std::move(socket));
}

Result<int> ask(const Probe& probe) {
  const SystemClock clock;
  const Deadline deadline{clock, clock.now() + probe.timeout};
  Result<std::unique_ptr<ProbeStream>> stream = open_stream(probe.url, deadline);
  if (!stream) return std::unexpected(stream.error());
  if (const Result<void> sent = (*stream)->send(probe.request, deadline); !sent) return std::unexpected(sent.error());
  std::array<char, head_bytes_max> bytes{};
  for (std::size_t length = 0;;) {
    const Result<std::size_t> more = (*stream)->receive(std::span(bytes).subspan(length), deadline);
    if (!more) return std::unexpected(more.error());
    length += *more;
    const Result<std::optional<int>> status = status_in({bytes.data(), length});
    if (!status) return std::unexpected(status.error());
    if (*status) return **status;
    if (*more == 0 || length == bytes.size()) return fail(ErrorCode::closed, "the answer ends before its status");
  }
}

}  // namespace

Result<Probe> make_probe(const ProbeOptions& options) {
  Result<ProbeUrl> url = parse_probe_url(options.url);
  if (!url) return std::unexpected(url.error());
  Result<std::string> request = probe_request(*url, options.headers);
  if (!request) return std::unexpected(request.error());
  const Result<Duration> timeout = parse_duration(options.timeout, 10ms, 60s);
  if (!timeout) return fail(ErrorCode::invalid, "the timeout has to be " + timeout.error().context);
  return Probe{options.url, *std::move(url), *std::move(request), *timeout};
}

int run_probe(const Probe& probe) {
  constexpr int failed = 1;
  const Result<int> status = ask(probe);
  if (status && *status < 400) return 0;
  const std::string why = status ? "answered " + std::to_string(*status) : status.error().context;
  std::fprintf(stderr, "gputach: %s: %s\n", probe.shown_url.c_str(), why.c_str());
  return failed;
}

}  // namespace gputach
