// Purpose: a source of facts, as the sampler sees it.
// Owns: whatever it reads from.
// Threads: all calls on the sampler's thread.
// Fails: read() with the reason why this source has nothing; the sampler goes on with the others.
#pragma once

#include <poll.h>

#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "model/sample.h"

namespace gputach {

class Source {
 public:
  virtual ~Source() = default;

  [[nodiscard]] virtual std::string_view name() const = 0;

  // Adds what it knows to the draft. Returns at `deadline` at the latest, or as soon as `interrupt` becomes readable.
  [[nodiscard]] virtual Result<void> read(Sample& draft, Instant deadline, int interrupt) = 0;

  // What the source needs between reads: descriptors to wait for, and the time at which it wants to run by itself
  // (Instant::max() for never). The sampler calls tend() when one of them is due.
  struct Upkeep {
    std::vector<pollfd> descriptors;
    Instant due = Instant::max();
  };
  [[nodiscard]] virtual Upkeep upkeep() const { return {}; }
  virtual void tend() {}
};

}  // namespace gputach
