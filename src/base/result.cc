#include "base/result.h"

#include <array>
#include <cstring>

namespace gputach {

std::string_view to_string(ErrorCode code) {
  constexpr std::array<std::string_view, error_code_count> names = {
      "invalid", "io", "closed", "timed_out", "stopped", "not_initialized", "no_gpus", "all_failed"};
  return names[static_cast<std::size_t>(code)];
}

std::unexpected<Error> fail_errno(std::string_view what, int error_number) {
  char text[128] = {};
  std::string context(what);
  context += ": ";
  context += ::strerror_r(error_number, text, sizeof text);
  return fail(ErrorCode::io, std::move(context));
}

}  // namespace gputach
