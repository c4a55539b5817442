#include "routes/dispatcher.h"

#include <string>
#include <utility>

#include "routes/route.h"

namespace gputach {
namespace {

constexpr std::string_view allow_fields = "Allow: GET, HEAD, OPTIONS\r\n";
constexpr std::size_t shown_path_bytes_max = 200;  // of a path in an error text

http::Response not_found(std::string_view path) {
  std::string text = "Not found: ";
  text += path.substr(0, shown_path_bytes_max);
  if (!path.starts_with("/proxy")) text += " (gputach answers below /proxy/)";
  return error_response(404, text);
}

// RFC 9110 section 9.3.7, and the preflight of the CORS protocol (Fetch standard, section 3.3).
http::Response options(const Site& site, const Route* route) {
  auto content = std::make_shared<http::Content>();
  content->status = 204;
  content->fields = allow_fields;
  if (route != nullptr && route->cross_origin == CrossOrigin::as_configured && !site.cors_fields().empty()) {
    content->fields += site.cors_fields();
    content->fields +=
        "Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n"
        "Access-Control-Allow-Headers: *\r\n"
        "Access-Control-Max-Age: 86400\r\n";
  }
  return {std::move(content), {}, false};
}

std::string fields_for(const Site& site, const Route& route, std::string_view first) {
  std::string fields(first);
  if (route.cross_origin == CrossOrigin::as_configured) fields += site.cors_fields();
  return fields;
}

http::Response unavailable(const Site& site, const Route& route, std::string_view text, std::string_view retry_after) {
  return error_response(503, text, fields_for(site, route, retry_after));
}

// `snapshot` is null when too many wait already.
http::Response answer_fresh(Site& site, const Route& route, std::string_view query, const SnapshotPtr& snapshot,
                            CacheState cache) {
  if (snapshot == nullptr) return unavailable(site, route, "too many requests wait for the GPUs", "Retry-After: 1\r\n");
  // At the end the pass is cut short; that says nothing about the GPUs.
  if (site.draining() && snapshot->sample().failure)
    return unavailable(site, route, "going down", "Retry-After: 5\r\n");
  return route.handle({query, snapshot, cache, site});
}

}  // namespace

void Dispatcher::operator()(const http::Request& request, http::Respond respond) const {
  const Route* route = find_route(request.path);
  if (request.method == "OPTIONS" && (route != nullptr || request.target == "*")) return respond(options(site_, route));
  if (route == nullptr) return respond(not_found(request.path));
  if (request.method != "GET" && request.method != "HEAD")
    return respond(
        error_response(405, "Method not allowed: use GET, HEAD or OPTIONS", fields_for(site_, *route, allow_fields)));
  static const SnapshotPtr none;
  if (route->freshness == Freshness::none)
    return respond(route->handle({request.query, none, CacheState::miss, site_}));

  if (const SnapshotPtr* current = hub_.current())
    return respond(answer_fresh(site_, *route, request.query, *current, CacheState::hit));

  if (site_.draining()) return respond(unavailable(site_, *route, "going down", "Retry-After: 5\r\n"));  // no new pass
  // The request's text is the connection's and is gone once this returns: what the handler may look at is copied.
  hub_.fresh([&site = site_, route, query = std::string(request.query), respond = std::move(respond)](
                 const SnapshotPtr& snapshot, CacheState cache) mutable {
    respond(answer_fresh(site, *route, query, snapshot, cache));
  });
}

}  // namespace gputach
