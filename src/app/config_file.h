// Purpose: the file of --config: TOML whose keys are the names of the flags.
// Units: bytes of the whole file.
// Owns: values.
// Threads: any; read_config_file() waits for the file system.
// Fails: with one sentence that names the file, the line and the key.
// Source: TOML 1.0.0 (toml.io), parsed by toml++ 3.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "app/flags.h"

namespace gputach {

inline constexpr std::string_view config_flag = "config";
inline constexpr std::size_t config_file_bytes_max = 1 << 20;

// Each value as the text that the flag would have on the command line, in the order of the lines; the origin is
// "PATH:LINE KEY". Whether the flag takes it is for make_config() to say. Pure.
[[nodiscard]] Result<std::vector<Given>> parse_config_file(std::string_view text, std::string_view path);

[[nodiscard]] Result<std::vector<Given>> read_config_file(const std::string& path);

}  // namespace gputach
