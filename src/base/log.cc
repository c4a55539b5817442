#include "base/log.h"

#include <poll.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <mutex>

#include "base/clock.h"
#include "base/text_buffer.h"

namespace gputach {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t events_max = 64;  // distinct events that are rate-limited apart; the rest share one budget
constexpr unsigned burst_max = 20;
constexpr std::size_t line_bytes_max = 4096;  // PIPE_BUF on Linux
constexpr auto window = 10s;

struct Budget {
  std::string event;
  Instant window_start{};
  unsigned written = 0;
  unsigned left_out = 0;
};

std::atomic<LogLevel> threshold{LogLevel::info};

std::string_view to_string(LogLevel level) {
  constexpr std::array<std::string_view, 4> names = {"debug", "info", "warning", "error"};
  return names[static_cast<std::size_t>(level)];
}

bool needs_quotes(std::string_view value) {
  if (value.empty()) return true;
  for (const char c : value)
    if (static_cast<unsigned char>(c) <= ' ' || c == '"' || c == '=' || c == '\\' || c == '\x7f') return true;
  return false;
}

// Bounded by events_max; the last place is shared by all events that came later.
Budget& budget_of(std::array<Budget, events_max>& budgets, std::string_view event) {
  for (Budget& budget : budgets) {
    if (budget.event.empty()) budget.event = event;
    if (budget.event == event) return budget;
  }
  return budgets.back();
}

// False when it could not be written now: a reader that stalls must stall nobody else. A pipe that poll() calls
// writable takes PIPE_BUF bytes at once (man 7 pipe), and a line is cut to that. O_NONBLOCK would be shared with other
// processes.
bool write_line(std::string line) {
  if (line.size() > line_bytes_max) {
    line.resize(line_bytes_max - 1);
    line += '\n';
  }
  pollfd wait{STDERR_FILENO, POLLOUT, 0};
  if (::poll(&wait, 1, 0) <= 0 || (wait.revents & POLLOUT) == 0) return false;
  return ::write(STDERR_FILENO, line.data(), line.size()) > 0;
}

}  // namespace

void log_threshold(LogLevel level) {
  threshold.store(level, std::memory_order_relaxed);
}

std::string format_log_line(std::string_view time, LogLevel level, std::string_view event,
                            std::initializer_list<LogField> fields) {
  TextBuffer line(160);
  line << time << ' ' << to_string(level) << ' ' << event;
  for (const LogField& field : fields) {
    line << ' ' << field.key << '=';
    if (needs_quotes(field.value)) {
      line.json_string(field.value);
    } else {
      line << field.value;
    }
  }
  line << '\n';
  return line.take();
}

void log_line(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (level < threshold.load(std::memory_order_relaxed)) return;
  static std::mutex mutex;
  static std::array<Budget, events_max> budgets;
  const SystemClock clock;
  const Instant now = clock.now();
  TextBuffer time;
  time.iso8601(clock.wall());

  const std::lock_guard lock(mutex);
  Budget& budget = budget_of(budgets, event);
  if (now - budget.window_start >= window) {
    if (budget.left_out > 0) {
      TextBuffer left_out;
      left_out << budget.left_out;
      (void)write_line(format_log_line(time.view(), LogLevel::warning, "log_lines_left_out",
                                       {{"event", event}, {"count", left_out.view()}}));
    }
    budget.window_start = now;
    budget.written = 0;
    budget.left_out = 0;
  }
  if (budget.written == burst_max) {
    ++budget.left_out;
    return;
  }
  if (write_line(format_log_line(time.view(), level, event, fields))) {
    ++budget.written;
  } else {
    ++budget.left_out;
  }
}

}  // namespace gputach
