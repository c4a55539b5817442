// Purpose: from what was given to what holds, how two of them differ, and how one is shown.
// Units: none of its own.
// Owns: values. Texts are of flags, never of what a token file holds.
// Threads: any; make_setup() may read the configuration file.
// Fails: with one sentence for the user.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "app/flags.h"

namespace gputach {

struct Setup {
  std::vector<Given> given;  // by the command line, else the environment, else the file
  Config config;
};

// `outside` is what command line and environment say; the file may be named there, and says the rest. Of the file only
// flags of `least` and of the uses after it are looked at, so that all commands can share one.
[[nodiscard]] Result<Setup> make_setup(std::span<const Given> outside, FlagUse least);

// Names of flags whose texts differ, in the order of the table.
struct Changes {
  std::vector<std::string_view> live;
  std::vector<std::string_view> restart;
};
[[nodiscard]] Changes changes_between(std::span<const Given> before, std::span<const Given> after);

// What holds after a reload: live flags as in `fresh`, the others as they were.
[[nodiscard]] std::vector<Given> after_reload(std::span<const Given> before, std::span<const Given> fresh);

// {"flags":{"cache-ttl":{"value":"1s","origin":"default","reload":"live"},...}}
[[nodiscard]] std::string setup_json(std::span<const Given> given);

}  // namespace gputach
