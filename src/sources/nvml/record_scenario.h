// Purpose: a recording as a scenario file of the simulated driver.
// Units: those of the scenario language.
// Owns: nothing.
// Threads: any; pure.
// Fails: never; what the language cannot say (a temperature below zero, more than 1e12 of anything) is brought within
//        its bounds.
#pragma once

#include <string>

#include "sources/nvml/record.h"

namespace gputach::nvml {

// UUIDs and serial numbers name a board for its whole life. `replaced`: the simulator makes UUIDs up, the same each
// time, and a serial number is the position of the first GPU that has it.
enum class Identities : unsigned char { replaced, real };

// Recording what a scenario shows, and writing that down, gives the same text again.
[[nodiscard]] std::string scenario_text(const Recording& recording, Identities identities);

}  // namespace gputach::nvml
