// Purpose: structured one-line log to standard error: time, level, event, key=value pairs.
// Owns: the process's standard error, for whole lines.
// Threads: any; one short lock around the write.
// Fails: silently; a log that cannot be written must not stop a telemetry daemon.
//
//   log_line(LogLevel::info, "listening", {{"address", "127.0.0.1:8080"}});
//   2025-11-09T10:30:45.123456Z info listening address=127.0.0.1:8080
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>

namespace gputach {

enum class LogLevel : unsigned char { debug, info, warning, error };

struct LogField {
  std::string_view key;
  std::string_view value;  // quoted when it holds a space, a quote or a control character
};

void log_threshold(LogLevel level);

// The same event is written at most `burst` times in ten seconds; the next line then tells how many were left out.
void log_line(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});

// Pure; shared with the test.
[[nodiscard]] std::string format_log_line(std::string_view time, LogLevel level, std::string_view event,
                                          std::initializer_list<LogField> fields);

}  // namespace gputach
