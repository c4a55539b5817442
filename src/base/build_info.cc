#include "base/build_info.h"

namespace gputach::build_info {

const std::string_view version = GPUTACH_VERSION;
const std::string_view commit = GPUTACH_COMMIT;
const std::string_view compiler = "GCC " __VERSION__;

}  // namespace gputach::build_info
