// Purpose: figures that follow from other figures of the same entity. A row in derive.cc is all a new one needs.
// Units: those of the catalogue.
// Owns: nothing.
// Threads: any; pure.
// Fails: never; what cannot be computed takes over the status of the figure that is missing.
#pragma once

#include <span>

#include "model/sample.h"

namespace gputach {

void derive(Sample& sample);

// Which metrics stand here, so that a test can see that every catalogue row has somebody who fills it.
[[nodiscard]] std::span<const MetricId> derived_metrics();

}  // namespace gputach
