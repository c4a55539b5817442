#include "http/response_head.h"

#include <gtest/gtest.h>

namespace gputach::http {
namespace {

using namespace std::chrono_literals;

TEST(DateLine, PrintsTheExampleOfTheRfc) {
  DateLine date;
  EXPECT_EQ(date.line(WallTime(784111777s)), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");  // RFC 9110 section 5.6.7
  EXPECT_EQ(date.line(WallTime(784111777s + 999ms)), "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
  EXPECT_EQ(date.line(WallTime(784111778s)), "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n");
  EXPECT_EQ(date.line(WallTime(0s)), "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n");
  EXPECT_EQ(date.line(WallTime(951782399s)), "Date: Mon, 28 Feb 2000 23:59:59 GMT\r\n");
  EXPECT_EQ(date.line(WallTime(951782400s)), "Date: Tue, 29 Feb 2000 00:00:00 GMT\r\n");
}

TEST(ResponseHead, HasEveryPartInOrder) {
  std::string out = "before";
  append_response_head(out, {200, "A: b\r\n", "body"}, "C: d\r\n", "Date: now\r\n", AfterResponse::keep_alive);
  EXPECT_EQ(out, "beforeHTTP/1.1 200 OK\r\nA: b\r\nC: d\r\nDate: now\r\nContent-Length: 4\r\n\r\n");
}

TEST(ResponseHead, SaysCloseAndLeavesTheLengthOutWhereThereIsNoBody) {
  for (const int status : {204, 304}) {
    std::string out;
    append_response_head(out, {status, "", "ignored"}, "", "Date: now\r\n", AfterResponse::close);
    EXPECT_EQ(out, "HTTP/1.1 " + std::to_string(status) + " " + std::string(reason_phrase(status)) +
                       "\r\nDate: now\r\nConnection: close\r\n\r\n");
  }
}

TEST(ResponseHead, KeepsTheSpaceBeforeAnUnknownReason) {
  std::string out;
  append_response_head(out, {299, "", ""}, "", "", AfterResponse::keep_alive);
  EXPECT_EQ(out, "HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n");
}

}  // namespace
}  // namespace gputach::http
