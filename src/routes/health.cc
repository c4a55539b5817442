#include "routes/handlers.h"
#include "routes/site.h"

namespace gputach {

http::Response handle_healthz(const Call&) {
  return json_response(200, R"({"status":"ok"})");
}

http::Response handle_readyz(const Call& call) {
  if (call.site.draining()) return error_response(503, "going down", "Retry-After: 5\r\n");
  return json_response(200, R"({"status":"ready"})");
}

}  // namespace gputach
