// Purpose: one immutable Sample with the pages made from it. Pages are made once and shared by every client.
// Owns: the sample and its pages.
// Threads: made on the sampler's thread, read from any afterwards.
// Fails: never.
#pragma once

#include <memory>
#include <mutex>

#include "encode/stats_json.h"
#include "model/sample.h"

namespace gputach {

class Snapshot {
 public:
  // Encodes the contract's page at once: somebody is waiting for it.
  explicit Snapshot(Sample sample);

  [[nodiscard]] const Sample& sample() const { return sample_; }
  // The form that lists missing fields is made when it is first asked for.
  [[nodiscard]] const StatsPage& stats(MissingFields form) const;

 private:
  const Sample sample_;
  const StatsPage stats_;
  mutable std::once_flag listed_once_;
  mutable StatsPage stats_listed_;
};

using SnapshotPtr = std::shared_ptr<const Snapshot>;

}  // namespace gputach
