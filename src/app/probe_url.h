// Purpose: the words of `gputach probe`, as the command line has them, and those of HTTP that it needs. Pure.
// Units: in the types.
// Owns: values.
// Threads: any.
// Fails: with one sentence for the user.
// Source: RFC 3986 section 3, RFC 9110 section 5, RFC 9112 section 4; the form of Unix sockets is nginx's.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gputach {

enum class ProbeVia : unsigned char { tcp, tls, unix_socket };

struct ProbeUrl {
  ProbeVia via = ProbeVia::tcp;
  std::string host;  // an address, or localhost, without brackets; the path of a Unix socket, or @ and its name
  std::uint16_t port = 0;
  std::string authority;  // for the Host field
  std::string target;

  bool operator==(const ProbeUrl&) const = default;
};

// "http://127.0.0.1:8080/proxy/healthz", "https://[::1]:8443/x", "unix:/run/gputach.sock:/proxy/healthz". Names other
// than localhost are refused: looking them up could outlast any deadline.
[[nodiscard]] Result<ProbeUrl> parse_probe_url(std::string_view text);

// `fields` are "Name: value" as given; a Host among them replaces that of the URL.
[[nodiscard]] Result<std::string> probe_request(const ProbeUrl& url, std::span<const std::string> fields);

// The status of the answer that begins with `bytes`, after any interim ones; nothing while there is too little.
[[nodiscard]] Result<std::optional<int>> status_in(std::string_view bytes);

}  // namespace gputach
