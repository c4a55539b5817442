#include "base/result.h"

#include <cstring>

namespace gputach {

std::unexpected<Error> fail_errno(std::string_view what, int error_number) {
  char text[128] = {};
  std::string context(what);
  context += ": ";
  context += ::strerror_r(error_number, text, sizeof text);
  return fail(ErrorCode::io, std::move(context));
}

}  // namespace gputach
