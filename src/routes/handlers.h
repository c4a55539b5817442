// Purpose: the functions that the route table names, one file per topic.
// Owns: nothing.
// Threads: the io thread.
// Fails: a handler always answers.
#pragma once

#include "routes/route.h"

namespace gputach {

[[nodiscard]] http::Response handle_stats(const Call& call);    // stats.cc
[[nodiscard]] http::Response handle_healthz(const Call& call);  // health.cc
[[nodiscard]] http::Response handle_readyz(const Call& call);
[[nodiscard]] http::Response handle_version(const Call& call);  // about.cc
[[nodiscard]] http::Response handle_configuration(const Call& call);
[[nodiscard]] http::Response handle_traffic(const Call& call);
[[nodiscard]] http::Response handle_index(const Call& call);
[[nodiscard]] http::Response handle_route_list(const Call& call);
[[nodiscard]] http::Response handle_root(const Call& call);
[[nodiscard]] http::Response handle_daemon(const Call& call);  // activity.cc

}  // namespace gputach
