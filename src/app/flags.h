// Purpose: the one table of flags: name, environment variable, default, help, and how a value is understood.
//          --help, the environment and docs/flags.md follow from it.
// Units: durations are written with their unit: 500ms, 1s, 2m.
// Owns: nothing.
// Threads: main, before others exist.
// Fails: with one sentence that names the flag or the variable, the value and what would be right.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/config.h"
#include "base/result.h"

namespace gputach {

// Which commands know a flag.
enum class FlagUse : unsigned char {
  serving,  // serve
  asking,   // also the one-shot commands
  driver,   // also the worker, to which it is handed on
};

struct Flag {
  std::string_view name;  // without the dashes; the variable is GPUTACH_ and the name in capitals
  std::string_view value_name;
  std::string_view default_value;
  FlagUse use;
  std::string_view help;
  Result<void> (*set)(Config&, std::string_view value);
};

[[nodiscard]] std::span<const Flag> flags();
[[nodiscard]] std::string variable_of(const Flag& flag);

// `value_of` gives what the command line or the environment says, or nothing.
struct Given {
  std::string_view flag;
  std::string value;
  std::string origin;  // "--listen" or "GPUTACH_LISTEN", for the error
};
[[nodiscard]] Result<Config> make_config(std::span<const Given> given);

// Arguments that give the worker process the same view.
[[nodiscard]] std::vector<std::string> worker_arguments(std::span<const Given> given);

[[nodiscard]] std::string flags_page();  // docs/flags.md

}  // namespace gputach
