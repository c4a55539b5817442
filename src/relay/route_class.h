// Purpose: what kind of request a path stands for, as a label of which there are few, whatever clients ask for.
// Owns: nothing; names are literals.
// Threads: any; pure.
// Fails: never; a path that is not in the table is `other`.
// Source: the routes that vLLM 0.27, SGLang, llama.cpp's server and TGI document. Paths are compared as sent, since a
//         label decides nothing.
#pragma once

#include <cstddef>
#include <string_view>

namespace gputach::relay {

enum class RouteClass : unsigned char {
  chat,
  completions,
  responses,
  messages,
  embeddings,
  pooling,  // scores, classes and ranks
  audio,
  realtime,
  models,
  tokenize,  // text to tokens and back, without the model
  health,
  metrics,
  other,
};

inline constexpr std::size_t route_class_count = 13;

[[nodiscard]] std::string_view to_string(RouteClass route);
[[nodiscard]] RouteClass route_class(std::string_view path);

}  // namespace gputach::relay
