#include "base/log.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace gputach {
namespace {

TEST(Log, OneLineHoldsTimeLevelEventAndFields) {
  EXPECT_EQ(format_log_line("T", LogLevel::info, "listening", {{"address", "127.0.0.1:80"}}),
            "T info listening address=127.0.0.1:80\n");
}

TEST(Log, ValuesThatCouldBreakTheLineAreQuoted) {
  EXPECT_EQ(format_log_line("T", LogLevel::error, "x", {{"why", "a b"}, {"none", ""}, {"nl", "a\nb"}, {"q", "\""}}),
            "T error x why=\"a b\" none=\"\" nl=\"a\\nb\" q=\"\\\"\"\n");
}

TEST(Log, ARepeatedEventIsWrittenABoundedNumberOfTimes) {
  testing::internal::CaptureStderr();
  for (int i = 0; i < 1000; ++i) log_line(LogLevel::info, "storm");
  log_line(LogLevel::info, "other");
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 21);
  EXPECT_NE(text.find("info other"), std::string::npos);
}

TEST(Log, AReaderThatStallsStallsNobodyAndLinesAreCutToOneWrite) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  const int saved = ::dup(STDERR_FILENO);
  ::dup2(ends[1], STDERR_FILENO);
  const std::string flood(100'000, 'x');
  for (int i = 0; i < 200; ++i) {
    const std::string event = "stall" + std::to_string(i % 50);  // below the rate limit, beyond the pipe
    log_line(LogLevel::info, event, {{"text", flood}});
  }
  ::dup2(saved, STDERR_FILENO);
  ::close(saved);
  ::close(ends[1]);
  std::string text(1 << 20, '\0');
  std::size_t size = 0;
  for (ssize_t got = 1; got > 0; size += static_cast<std::size_t>(got))
    got = ::read(ends[0], text.data() + size, text.size() - size);
  ::close(ends[0]);
  text.resize(size);
  ASSERT_FALSE(text.empty());
  EXPECT_EQ(text.back(), '\n') << "no line is cut by a full pipe";
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = text.find('\n', at);
    ASSERT_LE(end - at, 4096u);
    at = end + 1;
  }
}

TEST(Log, LinesBelowTheThresholdAreNotWritten) {
  testing::internal::CaptureStderr();
  log_line(LogLevel::debug, "hidden");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace gputach
