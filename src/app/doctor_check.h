// Purpose: what the doctor says about one point, and the two ways of writing it down.
// Units: Duration in a row of calls; in JSON microseconds.
// Owns: values only.
// Threads: any.
// Fails: never.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"

namespace gputach {

enum class CheckState : unsigned char { ok, warning, failed, skipped };
[[nodiscard]] std::string_view to_string(CheckState state);

struct CallTimes {
  std::string name;
  std::size_t count = 0;
  Duration median{};
  Duration max{};
};

struct Check {
  CheckState state{};
  std::string found{};   // for a skipped check the reason
  std::string remedy{};  // one sentence; empty unless warning or failed
  std::vector<CallTimes> calls{};
  std::string id{};  // set by judge()
};

// A warning is no reason to say no.
[[nodiscard]] bool any_failed(std::span<const Check> checks);

[[nodiscard]] std::string checks_as_text(std::span<const Check> checks);
// An array of {"id", "state", "found", "remedy" unless empty, "calls" unless empty}.
[[nodiscard]] std::string checks_as_json(std::span<const Check> checks);

// "12.5 us", "2.0 ms", "1.25 s".
[[nodiscard]] std::string readable(Duration duration);

}  // namespace gputach
