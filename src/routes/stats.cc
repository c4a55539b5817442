#include "routes/handlers.h"
#include "routes/site.h"

namespace gputach {

http::Response handle_stats(const Call& call) {
  const MissingFields form =
      call.has_parameter("missing", "list") ? MissingFields::listed_in_body : MissingFields::in_header;
  return {call.site.stats_content(call.snapshot, form, call.coding),
          call.cache == CacheState::hit ? "X-Cache: HIT\r\n" : "X-Cache: MISS\r\n", false};
}

}  // namespace gputach
