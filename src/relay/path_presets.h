// Purpose: sets of paths that are known to be safe, or not, to show to clients of an engine; each with its reason.
// Owns: nothing; the tables are constants.
// Threads: any.
// Fails: an unknown name gives an empty preset.
// Source: vLLM 0.27, docs/usage/security.md and the api_router.py files below vllm/entrypoints.
#pragma once

#include <span>
#include <string_view>

namespace gputach::relay {

enum class PathDecision : unsigned char { allow, deny };

struct PathPresetRow {
  std::string_view pattern;  // as covers() of path_pattern.h understands it
  PathDecision decision;
  std::string_view reason;
};

// "vllm-safe" is the one there is.
[[nodiscard]] std::span<const PathPresetRow> path_preset(std::string_view name);

}  // namespace gputach::relay
