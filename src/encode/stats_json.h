// Purpose: the compatible body of GET /proxy/stats: {"timestamp","gpus":[...]}, exactly these keys, order and types.
// Units: percent, MiB (rounded down), degrees Celsius, watts, as that page documents them.
// Owns: nothing.
// Threads: any; pure.
// Fails: never; a pass without any figure becomes the page's error body, and `failed` says so.
#pragma once

#include <string>

#include "model/sample.h"

namespace gputach {

enum class MissingFields : unsigned char {
  in_header,       // the body holds 0 for what a board does not have, as the page's types demand
  listed_in_body,  // the same, and each GPU names these fields: "unsupported":["fan_speed_percent"]
};

struct StatsPage {
  bool failed = false;  // the body is {"error": ...}
  std::string body;
  std::string unsupported;  // RFC 8941 dictionary, field -> list of GPU indices; empty when every figure exists
};

[[nodiscard]] StatsPage encode_stats(const Sample& sample, MissingFields form);

// Whether this GPU is in `gpus`, or in `errors`.
[[nodiscard]] bool can_be_shown(const Entity& gpu);

// {"error":"<text>"}
[[nodiscard]] std::string encode_error(std::string_view text);

}  // namespace gputach
