// Purpose: the whole of a small file, for what is read at the start and again at a reload.
// Units: bytes.
// Owns: nothing.
// Threads: any; it waits for the file system.
// Fails: with a sentence that names the file: it cannot be read, is no file, or is larger than allowed.
#pragma once

#include <cstddef>
#include <string>

#include "base/result.h"

namespace gputach {

[[nodiscard]] Result<std::string> read_bounded_file(const std::string& path, std::size_t bytes_max);

}  // namespace gputach
