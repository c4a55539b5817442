// Purpose: the models that an engine reports at /v1/models, as its clients name them.
// Owns: nothing; names are copies.
// Threads: any; pure.
// Fails: with fewer names; what is not such a page yields none.
// Source: OpenAI's "list models": {"data":[{"id":"..."}]}; vLLM and llama.cpp answer in that form.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace gputach::relay {

inline constexpr std::size_t reported_models_max = 64;

[[nodiscard]] std::vector<std::string> model_names(std::string_view page);

}  // namespace gputach::relay
