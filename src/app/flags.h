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

// What a new value in the configuration file does while the daemon runs.
enum class Reload : unsigned char {
  live,     // it holds from the next SIGHUP
  restart,  // it waits for the next start
};

[[nodiscard]] std::string_view to_string(Reload reload);

struct Flag {
  std::string_view name;  // without the dashes; the variable is GPUTACH_ and the name in capitals
  std::string_view value_name;
  std::string_view default_value;
  FlagUse use;
  Reload reload;
  std::string_view help;
  Result<void> (*set)(Config&, std::string_view value);
};

[[nodiscard]] std::span<const Flag> flags();
[[nodiscard]] std::string variable_of(const Flag& flag);

[[nodiscard]] const Flag* find_flag(std::string_view name);

// What the command line, the environment or the file says of one flag.
struct Given {
  std::string_view flag;  // the name in the table
  std::string value;
  std::string origin;  // "--listen", "GPUTACH_LISTEN" or "gputach.toml:3 listen", for the error
};
[[nodiscard]] Result<Config> make_config(std::span<const Given> given);

// Arguments that give the worker process the same view.
[[nodiscard]] std::vector<std::string> worker_arguments(std::span<const Given> given);

[[nodiscard]] std::string flags_page();  // docs/flags.md

}  // namespace gputach
