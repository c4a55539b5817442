#include <algorithm>
#include <array>

#include "routes/handlers.h"
#include "routes/route.h"

namespace gputach {
namespace {

// clang-format off
constexpr auto table = std::to_array<Route>({
    {"/proxy/stats",     Freshness::within_ttl,  Exposure::contract, CrossOrigin::as_configured, handle_stats,         "GPU statistics as JSON, at most one cache TTL old."},
    {"/proxy/healthz",   Freshness::none,        Exposure::contract, CrossOrigin::same_only,     handle_healthz,       "200 while the process serves."},
    {"/proxy/readyz",    Freshness::as_required, Exposure::contract, CrossOrigin::same_only,     handle_readyz,        "200 while requests are welcome and what --ready-requires names is well, else 503."},
    {"/proxy/version",   Freshness::none,        Exposure::read,     CrossOrigin::same_only,     handle_version,       "Version, commit and compiler of this build."},
    {"/proxy/v1/daemon", Freshness::none,        Exposure::read,     CrossOrigin::same_only,     handle_daemon,        "What the daemon has done and dropped so far, as JSON."},
    {"/proxy/v1/proxy",  Freshness::none,        Exposure::read,     CrossOrigin::same_only,     handle_traffic,       "What the proxy has seen of the engine's traffic, as JSON."},
    {"/proxy/v1/config", Freshness::none,        Exposure::admin,    CrossOrigin::same_only,     handle_configuration, "Every flag with its value and where that came from, as JSON."},
    {"/proxy/v1/",       Freshness::none,        Exposure::read,     CrossOrigin::same_only,     handle_route_list,    "Every route, as JSON."},
    {"/proxy/",          Freshness::none,        Exposure::read,     CrossOrigin::same_only,     handle_index,         "This list, as a page."},
    {"/",                Freshness::none,        Exposure::read,     CrossOrigin::same_only,     handle_root,          "Redirects to /proxy/."},
});
// clang-format on

// One trailing slash is the same page; "//" is none of ours.
std::string_view without_slash(std::string_view path) {
  return path.size() > 1 && path.ends_with('/') && path != "//" ? path.substr(0, path.size() - 1) : path;
}

}  // namespace

std::span<const Route> routes() {
  return table;
}

// A handful of rows: a scan in the order of their use beats a map.
const Route* find_route(std::string_view path) {
  const std::string_view wanted = without_slash(path);
  const auto found = std::ranges::find_if(table, [&](const Route& r) { return without_slash(r.path) == wanted; });
  return found == table.end() ? nullptr : &*found;
}

bool Call::has_parameter(std::string_view name, std::string_view value) const {
  for (std::string_view rest = query; !rest.empty();) {
    const std::string_view pair = rest.substr(0, rest.find('&'));
    rest.remove_prefix(std::min(rest.size(), pair.size() + 1));
    if (pair.size() == name.size() + 1 + value.size() && pair.starts_with(name) && pair[name.size()] == '=' &&
        pair.ends_with(value))
      return true;
  }
  return false;
}

}  // namespace gputach
