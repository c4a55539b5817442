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
  if (!path.starts_with("/proxy"))
    text += " (gputach answers below /proxy/; --upstream names an engine for all other paths)";
  return error_response(404, text);
}

// What was asked for, without the connection's text: an answer may come after that is gone.
struct Asked {
  http::Entrance entrance;
  http::Coding coding;
};

// A route that is not served where the request came in is an unknown path, whatever the method: nothing is learned.
const Route* visible_route(const http::Request& request) {
  const Route* route = find_route(request.path);
  return route != nullptr && is_served(route->exposure, request.entrance) ? route : nullptr;
}

// RFC 9110 section 9.3.7, and the preflight of the CORS protocol (Fetch standard, section 3.3), which comes without a
// token. Its wildcard does not stand for Authorization.
http::Response options(const Site& site, const Route* route) {
  auto content = std::make_shared<http::Content>();
  content->status = 204;
  content->fields = allow_fields;
  if (route != nullptr && route->cross_origin == CrossOrigin::as_configured && !site.cors_fields().empty()) {
    content->fields += site.cors_fields();
    content->fields +=
        "Access-Control-Allow-Methods: GET, HEAD, OPTIONS\r\n"
        "Access-Control-Max-Age: 86400\r\n";
    content->fields += token_of(route->exposure, site.tokens()).empty()
                           ? "Access-Control-Allow-Headers: *\r\n"
                           : "Access-Control-Allow-Headers: *, Authorization\r\n";
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

// RFC 6750 section 3: who gave nothing is told no error.
http::Response unauthorized(const Site& site, const Route& route, TokenCheck check) {
  if (check == TokenCheck::missing)
    return error_response(401, "a bearer token is needed",
                          fields_for(site, route, "WWW-Authenticate: Bearer realm=\"gputach\"\r\n"));
  return error_response(
      401, "the bearer token is wrong",
      fields_for(site, route, "WWW-Authenticate: Bearer realm=\"gputach\", error=\"invalid_token\"\r\n"));
}

// `snapshot` is null when too many wait already.
http::Response answer_fresh(Site& site, const Route& route, std::string_view query, Asked asked,
                            const SnapshotPtr& snapshot, CacheState cache) {
  if (snapshot == nullptr) return unavailable(site, route, "too many requests wait for the GPUs", "Retry-After: 1\r\n");
  // At the end the pass is cut short; that says nothing about the GPUs.
  if (site.draining() && snapshot->sample().failure)
    return unavailable(site, route, "going down", "Retry-After: 5\r\n");
  return route.handle({query, snapshot, cache, site, asked.entrance, asked.coding});
}

http::Response not_ready(std::string_view why) {
  return error_response(503, "not ready: " + std::string(why), "Retry-After: 1\r\n");
}

const SnapshotPtr no_snapshot;

}  // namespace

// The probe itself causes the pass and the question to the engine: between two probes nothing happens.
void Dispatcher::answer_readiness(const Route& route, const http::Request& request, http::Respond respond) const {
  const http::Entrance entrance = request.entrance;
  if (!site_.settings().ready_requires.gpu || site_.draining())
    return answer_engine_readiness(route, entrance, std::move(respond));
  hub_.fresh([this, &route, entrance, respond = std::move(respond)](const SnapshotPtr& snapshot, CacheState) mutable {
    if (snapshot == nullptr) return respond(not_ready("too many requests wait for the GPUs"));
    if (snapshot->stats(MissingFields::in_header).failed) return respond(not_ready("no GPU can be read"));
    answer_engine_readiness(route, entrance, std::move(respond));
  });
}

void Dispatcher::answer_engine_readiness(const Route& route, http::Entrance entrance, http::Respond respond) const {
  const auto answer = [this, &route, entrance] {
    return route.handle({{}, no_snapshot, CacheState::miss, site_, entrance});
  };
  if (!site_.settings().ready_requires.engine || site_.draining()) return respond(answer());
  if (!site_.settings().ask_engine) return respond(not_ready("there is no engine (--upstream names one)"));
  site_.settings().ask_engine([answer, respond = std::move(respond)](bool healthy) mutable {
    respond(healthy ? answer() : not_ready("the engine is not healthy"));
  });
}

void Dispatcher::operator()(const http::Request& request, http::Respond respond) const {
  const Route* route = visible_route(request);
  if (request.method == "OPTIONS" && (route != nullptr || request.target == "*")) return respond(options(site_, route));
  if (route == nullptr) return respond(not_found(request.path));
  if (const TokenCheck check = check_token(route->exposure, request, site_.tokens()); check != TokenCheck::passed)
    return respond(unauthorized(site_, *route, check));
  if (request.method != "GET" && request.method != "HEAD")
    return respond(
        error_response(405, "Method not allowed: use GET, HEAD or OPTIONS", fields_for(site_, *route, allow_fields)));
  if (route->freshness == Freshness::as_required) return answer_readiness(*route, request, std::move(respond));
  if (route->freshness == Freshness::none)
    return respond(route->handle({request.query, no_snapshot, CacheState::miss, site_, request.entrance}));

  const Asked asked{request.entrance, http::choose_coding(request.fields)};
  if (const SnapshotPtr* current = hub_.current())
    return respond(answer_fresh(site_, *route, request.query, asked, *current, CacheState::hit));

  if (site_.draining()) return respond(unavailable(site_, *route, "going down", "Retry-After: 5\r\n"));  // no new pass
  // The request's text is the connection's and is gone once this returns: what the handler may look at is copied.
  hub_.fresh([&site = site_, route, query = std::string(request.query), asked, respond = std::move(respond)](
                 const SnapshotPtr& snapshot, CacheState cache) mutable {
    respond(answer_fresh(site, *route, query, asked, snapshot, cache));
  });
}

}  // namespace gputach
