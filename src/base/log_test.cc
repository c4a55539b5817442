#include "base/log.h"

#include <gtest/gtest.h>

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

TEST(Log, LinesBelowTheThresholdAreNotWritten) {
  testing::internal::CaptureStderr();
  log_line(LogLevel::debug, "hidden");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

}  // namespace
}  // namespace gputach
