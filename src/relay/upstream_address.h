// Purpose: from the text of --upstream to where the engine listens.
// Units: none.
// Owns: values only.
// Threads: any; pure.
// Fails: with a sentence that names the text and what would be right.
// Source: RFC 3986 section 3; vLLM's --uds for Unix sockets.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace gputach::relay {

struct UpstreamAddress {
  enum class Kind : unsigned char { tcp, tls, unix_socket };

  Kind kind = Kind::tcp;
  std::string host;  // an IP address without brackets; of a Unix socket its path, or @ and its name
  std::uint16_t port = 0;
  std::string authority;  // as a Host field would have it
  std::string name;       // whom a certificate has to name: the host as it was written, without brackets

  bool operator==(const UpstreamAddress&) const = default;
};

// "http://127.0.0.1:8000", "https://[::1]:8443", "http://localhost:8000" (127.0.0.1), "unix:/run/vllm.sock". A path is
// not part of it: requests keep theirs. Names other than localhost are refused: engine and proxy share a pod, and a
// look-up could hang.
[[nodiscard]] Result<UpstreamAddress> parse_upstream_address(std::string_view text);

}  // namespace gputach::relay
