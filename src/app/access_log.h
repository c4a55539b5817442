// Purpose: one line of JSON for each request, to standard error or a file, without ever keeping the io thread waiting.
// Units: bytes; `duration_us` in microseconds, `time` UTC with milliseconds, of when the answer was handed over.
// Owns: its file, a buffer of buffer_bytes_max for lines to come and one of lines being written, and a writer thread.
// Threads: write() on the io thread; reopen() and dropped() from any. The signal mask of whoever opens it is the
//          writer's.
// Fails: open() with a sentence for the user. Later lines that do not fit into the buffer or cannot be written are
//        counted, and a line {"time":...,"dropped":N} tells how many once there is room. A writer that is stuck at the
//        end is left behind.
//
// The target is written as it was sent, with whatever secrets its query holds; header fields are never written.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "base/clock.h"
#include "base/result.h"
#include "http/server.h"

namespace gputach {

class AccessLog {
 public:
  static constexpr std::size_t buffer_bytes_max = 256 * 1024;
  static constexpr std::size_t line_bytes_max = 4096;   // PIPE_BUF on Linux: what goes into a pipe in one piece
  static constexpr std::size_t target_bytes_max = 400;  // a longer one is cut: "target_cut_from":8000 is its length
  static constexpr auto gather = std::chrono::milliseconds(100);    // how late a line may be, so that many go at once
  static constexpr auto end_wait = std::chrono::milliseconds(100);  // for the last lines to be written

  // `where`: "stderr", or a file to add to.
  [[nodiscard]] static Result<std::unique_ptr<AccessLog>> open(std::string_view where, const Clock& clock);
  ~AccessLog();
  AccessLog(const AccessLog&) = delete;
  AccessLog& operator=(const AccessLog&) = delete;

  void write(const http::Exchange& exchange);
  // Opens the file again by its name: after it was renamed by whoever rotates logs. When that fails, the old one stays.
  void reopen();
  [[nodiscard]] std::uint64_t dropped() const;

 private:
  class Writer;
  AccessLog(std::shared_ptr<Writer> writer, const Clock& clock);

  const Clock& clock_;
  std::shared_ptr<Writer> writer_;  // shared with its thread, which may be left behind
  std::thread thread_;
};

// Pure. At most line_bytes_max with the line's end, whatever bytes the exchange holds.
[[nodiscard]] std::string format_access_line(WallTime time, const http::Exchange& exchange);
[[nodiscard]] std::string format_dropped_line(WallTime time, std::uint64_t dropped);

}  // namespace gputach
