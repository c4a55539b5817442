#include "publish/snapshot.h"

#include <utility>

namespace gputach {

Snapshot::Snapshot(Sample sample)
    : sample_(std::move(sample)), stats_(encode_stats(sample_, MissingFields::in_header)) {}

const StatsPage& Snapshot::stats(MissingFields form) const {
  if (form == MissingFields::in_header) return stats_;
  std::call_once(listed_once_, [this] { stats_listed_ = encode_stats(sample_, MissingFields::listed_in_body); });
  return stats_listed_;
}

}  // namespace gputach
