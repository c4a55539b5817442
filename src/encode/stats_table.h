// Purpose: the figures of GET /proxy/stats as a table for people.
// Units: in the head of each column.
// Owns: nothing.
// Threads: any; pure.
// Fails: never; what a board does not have is a dash, a GPU that failed a line with its reason.
#pragma once

#include <string>

#include "model/sample.h"

namespace gputach {

[[nodiscard]] std::string encode_stats_table(const Sample& sample);

}  // namespace gputach
