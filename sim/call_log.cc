#include "call_log.h"

#include <fcntl.h>
#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <string>

namespace gputach::sim {

CallLog::CallLog(const char* path) {
  if (path == nullptr || *path == '\0') return;
  fd_ = ::open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0) std::perror("gputach simulated driver: call log");
}

CallLog::~CallLog() {
  if (fd_ >= 0) ::close(fd_);
}

void CallLog::record(Symbol symbol, std::optional<unsigned> gpu) {
  counts_[index_of(symbol)].fetch_add(1, std::memory_order_relaxed);
  if (fd_ < 0) return;
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  std::string line = std::to_string(std::chrono::nanoseconds(now).count());
  line.append(" ").append(name_of(symbol)).append(" ").append(gpu ? std::to_string(*gpu) : "-").append("\n");
  if (::write(fd_, line.data(), line.size()) < 0) std::perror("gputach simulated driver: call log");
}

}  // namespace gputach::sim
