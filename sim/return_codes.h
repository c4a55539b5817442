// Purpose: NVML's return codes by the names that scenario files use, with the texts that nvmlErrorString gives.
// Threads: any.
// Fails: an unknown name gives nothing; an unknown code has the text of UNKNOWN, as in the real library.
// Source: nvml.h 13.3.29 (numbers, names); texts of nvidia-ml-py 13.615.71, and where it has none (19 and 21 to 30)
//         after the header's comments.
#pragma once

#include <optional>
#include <string_view>

#include "sources/nvml/abi.h"

namespace gputach::sim {

// "GPU_IS_LOST" (without the header's prefix NVML_ERROR_) -> gpu_is_lost.
[[nodiscard]] std::optional<nvml::Return> find_return_code(std::string_view name);

// Static, ends with NUL: it crosses the C ABI.
[[nodiscard]] const char* error_text(nvml::Return code);

}  // namespace gputach::sim
