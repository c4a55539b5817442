// Purpose: from arguments and environment to a command and its settings.
// Owns: nothing.
// Threads: main, before others exist.
// Fails: `exit_status` is set when there is nothing to run: help was printed (0), or a sentence says what is wrong (2).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "app/flags.h"
#include "app/record.h"

namespace gputach {

enum class Command : unsigned char { serve, once, doctor, record, worker, version, docs };

struct CommandLine {
  std::optional<int> exit_status;
  Command command = Command::serve;
  std::string choice;  // of the command's own option: the format of `once` or `doctor`, the page of `docs`
  RecordOptions record;
  Config config;
  std::vector<std::string> worker_arguments;
};

[[nodiscard]] CommandLine read_command_line(int argc, const char* const* argv);

}  // namespace gputach
