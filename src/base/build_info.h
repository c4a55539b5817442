// Purpose: which build this is.
// Owns: nothing; constants made by the build.
#pragma once

#include <string_view>

namespace gputach::build_info {

extern const std::string_view version;   // "0.1.0"
extern const std::string_view commit;    // git's short hash, "unknown" outside a checkout
extern const std::string_view compiler;  // "GCC 12.2.0"

}  // namespace gputach::build_info
