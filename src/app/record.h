// Purpose: `gputach record`: this machine's GPUs as a scenario of the simulated driver; they become a test case.
// Owns: a child process while it runs; the driver is called there and nowhere else.
// Threads: main, the only one.
// Fails: returns an exit status; what could not be had is said on standard error. A call that hangs or crashes becomes
//        part of the scenario: the child is replaced, and the call left out.
#pragma once

#include <string>

#include "app/config.h"
#include "sources/nvml/record_scenario.h"

namespace gputach {

struct RecordOptions {
  std::string output = "-";  // a file, or standard output
  unsigned seconds = 0;      // how long figures are watched; 0: one moment
  nvml::Identities identities = nvml::Identities::replaced;
};

// 0: it was written, whatever the driver answered; 1: it cannot be written; 3: there is nothing to record.
[[nodiscard]] int run_record(const Config& config, const RecordOptions& options);

}  // namespace gputach
