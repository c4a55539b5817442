// Purpose: bytes to and from the one server that `gputach probe` asks, none of them later than a deadline.
// Units: bytes.
// Owns: a stream owns its socket. The deadline's clock must outlive it.
// Threads: one; calls wait.
// Fails: with one sentence; timed_out once the deadline has passed.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/fd.h"
#include "base/result.h"

namespace gputach {

struct Deadline {
  const Clock& clock;
  Instant at;
};

// Until the descriptor is ready for `events` (poll.h).
[[nodiscard]] Result<void> wait_ready(int descriptor, short events, const Deadline& deadline);

class ProbeStream {
 public:
  virtual ~ProbeStream() = default;
  // All of them.
  [[nodiscard]] virtual Result<void> send(std::string_view bytes, const Deadline& deadline) = 0;
  // How many; none at the end.
  [[nodiscard]] virtual Result<std::size_t> receive(std::span<char> into, const Deadline& deadline) = 0;
};

// `socket` is connected and does not block.
[[nodiscard]] std::unique_ptr<ProbeStream> plain_stream(Fd socket);

// After the handshake. The server's certificate is not verified: a probe asks whether its own pod serves, as a kubelet
// does, and tells nobody anything.
[[nodiscard]] Result<std::unique_ptr<ProbeStream>> tls_stream(Fd socket, const Deadline& deadline);

}  // namespace gputach
