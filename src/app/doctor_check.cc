#include "app/doctor_check.h"

#include <algorithm>
#include <array>

#include "base/text_buffer.h"

namespace gputach {
namespace {

constexpr std::size_t state_width = 8;
constexpr std::size_t id_width = 15;
constexpr std::size_t indent = state_width + id_width + 2;

void pad(TextBuffer& text, std::string_view word, std::size_t width) {
  text << word << std::string(width > word.size() ? width - word.size() : 0, ' ') << ' ';
}

void write_microseconds(TextBuffer& text, Duration duration) {
  text.fixed(std::chrono::duration<double, std::micro>(duration).count(), 3);
}

void write_calls(TextBuffer& text, std::span<const CallTimes> calls) {
  for (const CallTimes& call : calls) {
    text << std::string(indent, ' ');
    pad(text, call.name, 36);
    text << call.count << (call.count == 1 ? " call, " : " calls, ") << readable(call.median) << ", at most "
         << readable(call.max) << '\n';
  }
}

std::size_t count_of(std::span<const Check> checks, CheckState state) {
  return static_cast<std::size_t>(std::ranges::count(checks, state, &Check::state));
}

void write_json(TextBuffer& text, const CallTimes& call) {
  text << R"({"call":)";
  text.json_string(call.name);
  text << R"(,"count":)" << call.count << R"(,"median_us":)";
  write_microseconds(text, call.median);
  text << R"(,"max_us":)";
  write_microseconds(text, call.max);
  text << '}';
}

void write_json(TextBuffer& text, const Check& check) {
  text << R"({"id":)";
  text.json_string(check.id);
  text << R"(,"state":)";
  text.json_string(to_string(check.state));
  text << R"(,"found":)";
  text.json_string(check.found);
  if (!check.remedy.empty()) {
    text << R"(,"remedy":)";
    text.json_string(check.remedy);
  }
  if (!check.calls.empty()) {
    text << R"(,"calls":[)";
    for (const CallTimes& call : check.calls) {
      if (&call != check.calls.data()) text << ',';
      write_json(text, call);
    }
    text << ']';
  }
  text << '}';
}

}  // namespace

std::string_view to_string(CheckState state) {
  constexpr std::array<std::string_view, 4> names = {"ok", "warning", "failed", "skipped"};
  return names[static_cast<std::size_t>(state)];
}

bool any_failed(std::span<const Check> checks) {
  return count_of(checks, CheckState::failed) > 0;
}

std::string checks_as_text(std::span<const Check> checks) {
  TextBuffer text;
  for (const Check& check : checks) {
    pad(text, to_string(check.state), state_width);
    pad(text, check.id, id_width);
    text << check.found << '\n';
    write_calls(text, check.calls);
    if (!check.remedy.empty()) text << std::string(indent, ' ') << "-> " << check.remedy << '\n';
  }
  const std::size_t warnings = count_of(checks, CheckState::warning);
  text << count_of(checks, CheckState::ok) << " ok, " << warnings << (warnings == 1 ? " warning, " : " warnings, ")
       << count_of(checks, CheckState::failed) << " failed, " << count_of(checks, CheckState::skipped) << " skipped\n";
  return text.take();
}

std::string checks_as_json(std::span<const Check> checks) {
  TextBuffer text;
  text << '[';
  for (const Check& check : checks) {
    if (&check != checks.data()) text << ",\n ";
    write_json(text, check);
  }
  text << "]\n";
  return text.take();
}

std::string readable(Duration duration) {
  struct Unit {
    Duration one;
    std::string_view name;
  };
  constexpr std::array<Unit, 3> units = {
      {{std::chrono::seconds(1), " s"}, {std::chrono::milliseconds(1), " ms"}, {std::chrono::microseconds(1), " us"}}};
  const auto fits = [duration](const Unit& unit) { return duration >= unit.one; };
  const auto found = std::ranges::find_if(units, fits);
  const Unit& unit = found == units.end() ? units.back() : *found;
  TextBuffer text;
  text.fixed(static_cast<double>(duration.count()) / static_cast<double>(unit.one.count()), 2);
  text << unit.name;
  return text.take();
}

}  // namespace gputach
