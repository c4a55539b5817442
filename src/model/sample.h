// Purpose: everything that was read in one pass, as plain values: what encoders encode.
// Units: `collected_at` is the moment the pass began, `collected` the same moment on the monotonic clock.
// Owns: its entities. Copyable, comparable; immutable once it is inside a Snapshot.
// Threads: one while it is filled, any afterwards.
// Fails: `failure` is set when the pass as a whole has no figures; `entities` is then empty.
#pragma once

#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/entity.h"

namespace gputach {

struct Sample {
  WallTime collected_at{};
  Instant collected{};
  Instant finished{};
  bool simulated = false;  // figures come from the simulated driver
  std::vector<Entity> entities;
  std::optional<Error> failure;

  bool operator==(const Sample&) const = default;
};

}  // namespace gputach
