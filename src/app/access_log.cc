#include "app/access_log.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <utility>

#include "base/fd.h"
#include "base/log.h"
#include "base/text_buffer.h"

namespace gputach {
namespace {

constexpr std::string_view to_stderr = "stderr";

// Of what comes from outside. The server gives no longer ones.
constexpr std::size_t id_bytes_max = 128;
constexpr std::size_t peer_bytes_max = 64;
constexpr std::size_t method_bytes_max = 32;
constexpr std::size_t escaped_max = 6;        // bytes of JSON for one byte of text: \u001f
constexpr std::size_t fixed_bytes_max = 300;  // keys, time and numbers
static_assert(fixed_bytes_max +
                  escaped_max * (id_bytes_max + peer_bytes_max + method_bytes_max + AccessLog::target_bytes_max) <=
              AccessLog::line_bytes_max);

void append_time(TextBuffer& out, WallTime time) {
  TextBuffer micros;
  micros.iso8601(time);
  constexpr std::size_t to_millis = 23;  // 2025-11-09T10:30:45.123
  out << R"({"time":")" << micros.view().substr(0, to_millis) << "Z\"";
}

void append_text(TextBuffer& out, std::string_view key, std::string_view text, std::size_t bytes_max) {
  out << ",\"" << key << "\":";
  out.json_string(text.substr(0, bytes_max));
}

Result<Fd> open_log(const std::string& where) {
  // Without O_NONBLOCK the opening of a pipe without a reader would wait for one; the writing may wait.
  Fd file(where == to_stderr
              ? ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, STDERR_FILENO + 1)
              : ::open(where.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0640));
  if (!file) return fail_errno("cannot open the access log " + where, errno);
  if (where != to_stderr) ::fcntl(file.get(), F_SETFL, O_APPEND);
  return file;
}

// The longest piece of whole lines that a pipe takes at once.
std::string_view first_piece(std::string_view lines) {
  if (lines.size() <= AccessLog::line_bytes_max) return lines;
  return lines.substr(0, lines.rfind('\n', AccessLog::line_bytes_max - 1) + 1);
}

std::uint64_t count_lines(std::string_view text) {
  return static_cast<std::uint64_t>(std::ranges::count(text, '\n'));
}

}  // namespace

std::string format_access_line(WallTime time, const http::Exchange& exchange) {
  const auto took = std::chrono::duration_cast<std::chrono::microseconds>(exchange.took);
  TextBuffer line(256);
  append_time(line, time);
  append_text(line, "id", exchange.id, id_bytes_max);
  append_text(line, "peer", exchange.peer, peer_bytes_max);
  line << R"(,"entrance":)" << (exchange.entrance == http::Entrance::restricted ? R"("restricted")" : R"("common")");
  append_text(line, "method", exchange.method, method_bytes_max);
  append_text(line, "target", exchange.target, AccessLog::target_bytes_max);
  if (exchange.target.size() > AccessLog::target_bytes_max) line << R"(,"target_cut_from":)" << exchange.target.size();
  line << R"(,"status":)" << exchange.status << R"(,"bytes":)" << exchange.body_bytes << R"(,"duration_us":)"
       << std::max<std::int64_t>(0, took.count()) << (exchange.cut ? R"(,"cut":true})" : "}") << '\n';
  return line.take();
}

std::string format_dropped_line(WallTime time, std::uint64_t dropped) {
  TextBuffer line;
  append_time(line, time);
  line << R"(,"dropped":)" << dropped << "}\n";
  return line.take();
}

// What the io thread and the writing thread share. Everything above the line is under the mutex, which is held for a
// copy of one line or an exchange of two pointers and never while something is written.
class AccessLog::Writer {
 public:
  Writer(std::string where, Fd file) : where_(std::move(where)), file_(std::move(file)) {
    lines_.reserve(buffer_bytes_max);
    writing_.reserve(buffer_bytes_max);
  }

  void add(WallTime now, std::string_view line);
  void reopen();
  void run();
  // False when it is stuck.
  [[nodiscard]] bool end_within(Duration wait);
  [[nodiscard]] std::uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  struct Task {
    bool reopen = false;
    bool last = false;
    std::uint64_t missing = 0;
    WallTime at{};
  };

  [[nodiscard]] Task next_task();
  [[nodiscard]] bool do_task();
  void lost(std::uint64_t lines, std::uint64_t untold);
  void open_again();
  [[nodiscard]] std::uint64_t write_lines(std::string_view lines);
  [[nodiscard]] std::size_t write_piece(std::string_view piece);
  void complain(std::string_view event, const std::string& what);

  std::mutex mutex_;
  std::condition_variable changed_;
  std::string lines_;
  std::uint64_t missing_ = 0;  // dropped, and not yet told
  WallTime at_{};              // of the last line
  bool reopen_ = false;
  bool ending_ = false;
  bool ended_ = false;
  // ---
  std::atomic<std::uint64_t> dropped_{0};
  std::atomic<bool> left_behind_{false};
  // Of the writing thread alone.
  const std::string where_;
  Fd file_;
  std::string writing_;
  bool failing_ = false;   // the last attempt to write failed, and was complained about
  bool mid_line_ = false;  // the file ends in a piece of a line
};

void AccessLog::Writer::add(WallTime now, std::string_view line) {
  bool wake = false;
  {
    const std::lock_guard lock(mutex_);
    at_ = now;
    const std::size_t before = lines_.size();
    if (before + line.size() > buffer_bytes_max) {
      ++missing_;
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    lines_ += line;
    constexpr std::size_t half = buffer_bytes_max / 2;
    wake = before == 0 || (before <= half && lines_.size() > half);
  }
  if (wake) changed_.notify_one();
}

void AccessLog::Writer::reopen() {
  {
    const std::lock_guard lock(mutex_);
    reopen_ = true;
  }
  changed_.notify_one();
}

bool AccessLog::Writer::end_within(Duration wait) {
  std::unique_lock lock(mutex_);
  ending_ = true;
  changed_.notify_all();
  if (changed_.wait_for(lock, wait, [&] { return ended_; })) return true;
  left_behind_ = true;
  return false;
}

// Sleeps while there is nothing to do, and then a moment longer, so that a busy server costs ten writes in a second and
// not one for each request.
AccessLog::Writer::Task AccessLog::Writer::next_task() {
  writing_.clear();
  std::unique_lock lock(mutex_);
  const auto urgent = [&] { return reopen_ || ending_ || lines_.size() > buffer_bytes_max / 2; };
  changed_.wait(lock, [&] { return !lines_.empty() || urgent(); });
  changed_.wait_for(lock, gather, urgent);
  writing_.swap(lines_);
  return {std::exchange(reopen_, false), ending_, std::exchange(missing_, 0), at_};
}

// True when it was the last.
bool AccessLog::Writer::do_task() {
  const Task task = next_task();
  const std::uint64_t unwritten = write_lines(writing_);  // they are older than the wish for another file
  if (task.reopen) open_again();
  const bool told = task.missing == 0 || write_lines(format_dropped_line(task.at, task.missing)) == 0;
  lost(unwritten, told ? 0 : task.missing);
  return task.last;
}

void AccessLog::Writer::run() {
  for (bool last = false; !last;) {
    try {
      last = do_task();
    } catch (const std::exception&) {  // no memory for a line of our own
      lost(count_lines(writing_), 0);
    }
  }
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

// They are told with the next lines: a disk that is full is not asked again before there are some.
void AccessLog::Writer::lost(std::uint64_t lines, std::uint64_t untold) {
  dropped_.fetch_add(lines, std::memory_order_relaxed);
  const std::lock_guard lock(mutex_);
  missing_ += lines + untold;
}

void AccessLog::Writer::open_again() {
  if (where_ == to_stderr) return;
  Result<Fd> file = open_log(where_);
  if (!file) return complain("access_log_not_reopened", file.error().context);
  file_ = *std::move(file);
  mid_line_ = false;
}

// How many lines could not be written. Nothing is tried after the first failure.
std::uint64_t AccessLog::Writer::write_lines(std::string_view lines) {
  if (!lines.empty() && mid_line_) mid_line_ = write_piece("\n") == 0;
  while (!lines.empty() && !mid_line_) {
    const std::string_view piece = first_piece(lines);
    const std::size_t written = write_piece(piece);
    lines.remove_prefix(written);
    mid_line_ = written > 0 && piece[written - 1] != '\n';
    if (written < piece.size()) break;
    failing_ = false;
  }
  return count_lines(lines);
}

// How much of it was written. A reader that does not read keeps this thread here, and no other.
std::size_t AccessLog::Writer::write_piece(std::string_view piece) {
  std::size_t written = 0;
  while (written < piece.size()) {
    const ssize_t more = ::write(file_.get(), piece.data() + written, piece.size() - written);
    if (more > 0) {
      written += static_cast<std::size_t>(more);
    } else if (more < 0 && errno == EAGAIN) {  // somebody who shares our standard error has made it so
      pollfd wait{file_.get(), POLLOUT, 0};
      ::poll(&wait, 1, -1);
    } else if (more == 0 || errno != EINTR) {
      if (!std::exchange(failing_, true))
        complain("access_log_not_written", fail_errno("cannot write the access log", errno).error().context);
      break;
    }
  }
  return written;
}

void AccessLog::Writer::complain(std::string_view event, const std::string& what) {
  if (!left_behind_) log_line(LogLevel::warning, event, {{"what", what}});
}

Result<std::unique_ptr<AccessLog>> AccessLog::open(std::string_view where, const Clock& clock) {
  Result<Fd> file = open_log(std::string(where));
  if (!file) return std::unexpected(std::move(file.error()));
  return std::unique_ptr<AccessLog>(
      new AccessLog(std::make_shared<Writer>(std::string(where), *std::move(file)), clock));
}

AccessLog::AccessLog(std::shared_ptr<Writer> writer, const Clock& clock)
    : clock_(clock), writer_(std::move(writer)), thread_([writer = writer_] { writer->run(); }) {}

AccessLog::~AccessLog() {
  if (writer_->end_within(end_wait)) {
    thread_.join();
  } else {
    thread_.detach();
  }
}

void AccessLog::write(const http::Exchange& exchange) {
  const WallTime now = clock_.wall();
  writer_->add(now, format_access_line(now, exchange));
}

void AccessLog::reopen() {
  writer_->reopen();
}

std::uint64_t AccessLog::dropped() const {
  return writer_->dropped();
}

}  // namespace gputach
