#include "http/response_head.h"

#include <array>
#include <charconv>

namespace gputach::http {
namespace {

using namespace std::string_view_literals;

void append_number(std::string& out, std::size_t value) {
  std::array<char, 20> digits;
  const auto [end, error] = std::to_chars(digits.data(), digits.data() + digits.size(), value);
  out.append(digits.data(), end);
}

void append_two_digits(std::string& out, unsigned value) {
  out += static_cast<char>('0' + value / 10 % 10);
  out += static_cast<char>('0' + value % 10);
}

}  // namespace

std::string_view DateLine::line(WallTime now) {
  const auto second = std::chrono::floor<std::chrono::seconds>(now);
  if (second == second_) return line_;
  second_ = second;

  constexpr std::array weekdays{"Sun"sv, "Mon"sv, "Tue"sv, "Wed"sv, "Thu"sv, "Fri"sv, "Sat"sv};
  constexpr std::array months{"Jan"sv, "Feb"sv, "Mar"sv, "Apr"sv, "May"sv, "Jun"sv,
                              "Jul"sv, "Aug"sv, "Sep"sv, "Oct"sv, "Nov"sv, "Dec"sv};
  const auto day = std::chrono::floor<std::chrono::days>(second);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(second - day);
  const auto year = static_cast<unsigned>(static_cast<int>(date.year()));
  line_ = "Date: ";
  line_ += weekdays[std::chrono::weekday(day).c_encoding()];
  line_ += ", ";
  append_two_digits(line_, static_cast<unsigned>(date.day()));
  line_ += ' ';
  line_ += months[static_cast<unsigned>(date.month()) - 1];
  line_ += ' ';
  append_two_digits(line_, year / 100);
  append_two_digits(line_, year % 100);
  line_ += ' ';
  append_two_digits(line_, static_cast<unsigned>(time.hours().count()));
  line_ += ':';
  append_two_digits(line_, static_cast<unsigned>(time.minutes().count()));
  line_ += ':';
  append_two_digits(line_, static_cast<unsigned>(time.seconds().count()));
  line_ += " GMT\r\n";
  return line_;
}

std::string_view DateLine::line(Instant now, const Clock& clock) {
  if (now < due_) return line_;
  const WallTime wall = clock.wall();
  due_ = now + (std::chrono::floor<std::chrono::seconds>(wall) + std::chrono::seconds(1) - wall);
  return line(wall);
}

bool may_have_body(int status) {
  return status >= 200 && status != 204 && status != 304;
}

void append_response_head(std::string& out, const Content& content, std::string_view extra_fields,
                          std::string_view date_line, AfterResponse after) {
  out += "HTTP/1.1 ";
  append_number(out, static_cast<std::size_t>(content.status));
  out += ' ';
  out += reason_phrase(content.status);
  out += "\r\n";
  out += content.fields;
  out += extra_fields;
  out += date_line;
  if (may_have_body(content.status)) {
    out += "Content-Length: ";
    append_number(out, content.body.size());
    out += "\r\n";
  }
  if (after == AfterResponse::close) out += "Connection: close\r\n";
  out += "\r\n";
}

Content error_content(int status, std::string_view sentence) {
  Content content;
  content.status = status;
  content.fields = "Content-Type: application/json\r\n";
  content.body = "{\"error\":\"";
  content.body += sentence;
  content.body += "\"}";
  return content;
}

}  // namespace gputach::http
