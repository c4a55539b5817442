// Purpose: from arguments and environment to a command and its settings.
// Owns: nothing.
// Threads: main, before others exist.
// Fails: `exit_status` is set when there is nothing to run: help was printed (0), or a sentence says what is wrong (2).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/probe.h"
#include "app/record.h"
#include "app/setup.h"

namespace gputach {

enum class Command : unsigned char { serve, once, doctor, record, worker, probe, version, docs };

struct CommandLine {
  std::optional<int> exit_status;
  Command command = Command::serve;
  std::string choice;  // of the command's own option: the format of `once` or `doctor`, the page of `docs`
  RecordOptions record;
  Probe probe;
  std::vector<Given> outside;  // by command line and environment: what a reload completes with the file as it is then
  Setup setup;
  std::vector<std::string> worker_arguments;
};

[[nodiscard]] CommandLine read_command_line(int argc, const char* const* argv);

}  // namespace gputach
