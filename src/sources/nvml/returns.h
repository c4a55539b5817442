// Purpose: what each answer code of the driver means to us: its text, the status of a reading, and what to do next.
// Owns: nothing; one constexpr table in returns.cc.
// Threads: any.
// Fails: never; a code that the table does not know is an ordinary failure with its number as text.
// Source: nvmlReturn_t of nvml.h 13.3.29; texts as in nvmlErrorString (nvidia-ml-py 13.615.71, DCGM 4.6.0).
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "model/reading.h"
#include "sources/nvml/abi.h"

namespace gputach::nvml {

// What a long-running monitor does after a call came back with this code.
enum class Reaction : unsigned char {
  none,         // it is an answer
  permanent,    // this device does not have it: do not ask again until the mode changes
  skip,         // no figure this time
  device_down,  // the device does not answer at all: stop asking, fetch its handle again after a pause
  restart,      // library and kernel module have parted: only a fresh process helps
};

struct ReturnInfo {
  Return code;
  std::string_view text;  // empty for a code that is not in the table
  Status status;
  Reaction reaction;
};

[[nodiscard]] ReturnInfo info_of(Return code);

// "GPU is lost"; "unknown error 1234" for a code newer than the table.
[[nodiscard]] std::string text_of(Return code);

// Every code that has a row, for tests.
[[nodiscard]] std::span<const ReturnInfo> known_returns();

}  // namespace gputach::nvml
