// Purpose: the models that an engine reports at /v1/models, as its clients name them, read while the page goes by.
// Owns: copies of the names, at most reported_models_max.
// Threads: one.
// Fails: with fewer names; what is not such a page yields none.
// Source: OpenAI's "list models": {"data":[{"id":"..."}]}; vLLM and llama.cpp answer in that form.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "relay/json_peek.h"

namespace gputach::relay {

inline constexpr std::size_t reported_models_max = 64;

class ModelNames final : private JsonSink {
 public:
  ModelNames();

  void feed(std::string_view bytes) { scanner_.feed(bytes, *this); }
  [[nodiscard]] const std::vector<std::string>& names() const { return names_; }

 private:
  void on_value(unsigned char what, JsonKind kind, std::string_view text) override;

  JsonScanner scanner_;
  std::vector<std::string> names_;
};

// Of a page that is there as a whole.
[[nodiscard]] std::vector<std::string> model_names(std::string_view page);

}  // namespace gputach::relay
