#include "model/reading.h"

namespace gputach {

std::string_view to_string(Status status) {
  switch (status) {
    case Status::not_read: return "not_read";
    case Status::ok: return "ok";
    case Status::unsupported: return "unsupported";
    case Status::driver_too_old: return "driver_too_old";
    case Status::no_permission: return "no_permission";
    case Status::lost: return "lost";
    case Status::timed_out: return "timed_out";
    case Status::out_of_range: return "out_of_range";
    case Status::failed: return "failed";
  }
  return "unknown";
}

}  // namespace gputach
