// Purpose: the files of sim/scenarios/, compiled into the library (see embed_scenarios.cmake).
// Threads: any; constant.
#pragma once

#include <span>
#include <string_view>

namespace gputach::sim {

struct EmbeddedScenario {
  std::string_view name;  // file name without .toml
  std::string_view text;
};

[[nodiscard]] std::span<const EmbeddedScenario> embedded_scenarios();

}  // namespace gputach::sim
