#include "app/probe_stream.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

namespace gputach {
namespace {

class PlainStream final : public ProbeStream {
 public:
  explicit PlainStream(Fd socket) : socket_(std::move(socket)) {}

  Result<void> send(std::string_view bytes, const Deadline& deadline) override {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent >= 0) {
        bytes.remove_prefix(static_cast<std::size_t>(sent));
      } else if (const Result<void> ready = after_error("send", POLLOUT, deadline); !ready) {
        return ready;
      }
    }
    return {};
  }

  Result<std::size_t> receive(std::span<char> into, const Deadline& deadline) override {
    for (;;) {
      const ssize_t length = ::recv(socket_.get(), into.data(), into.size(), 0);
      if (length >= 0) return static_cast<std::size_t>(length);
      if (const Result<void> ready = after_error("recv", POLLIN, deadline); !ready)
        return std::unexpected(ready.error());
    }
  }

 private:
  // Waits when that is all that is wrong.
  [[nodiscard]] Result<void> after_error(std::string_view what, short events, const Deadline& deadline) const {
    if (errno != EAGAIN && errno != EINTR) return fail_errno(what, errno);
    return wait_ready(socket_.get(), events, deadline);
  }

  Fd socket_;
};

}  // namespace

Result<void> wait_ready(int descriptor, short events, const Deadline& deadline) {
  for (;;) {
    const Duration left = deadline.at - deadline.clock.now();
    pollfd wait{descriptor, events, 0};
    const timespec time = to_timespec(std::max(left, Duration::zero()));
    const int ready = ::ppoll(&wait, 1, &time, nullptr);
    if (ready > 0) return {};  // also for errors, which the next call reports
    if (ready < 0 && errno != EINTR) return fail_errno("poll", errno);
    if (left <= Duration::zero()) return fail(ErrorCode::timed_out, "no answer in time");
  }
}

std::unique_ptr<ProbeStream> plain_stream(Fd socket) {
  return std::make_unique<PlainStream>(std::move(socket));
}

}  // namespace gputach
