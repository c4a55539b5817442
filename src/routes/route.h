// Purpose: what a route is: one row of the table in routes.cc.
// Owns: nothing. A Call borrows everything; it is valid during the handler.
// Threads: the io thread.
// Fails: a handler always answers.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "http/accept_encoding.h"
#include "http/message.h"
#include "publish/hub.h"
#include "routes/access.h"

namespace gputach {

// What a route needs before its handler can answer.
enum class Freshness : unsigned char {
  none,         // answers from what it knows
  as_required,  // the probe's: what --ready-requires asks for
  within_ttl,   // a snapshot younger than the cache's TTL: waits for a pass if need be
};

// Which origins a browser page may come from to read the answer.
enum class CrossOrigin : unsigned char { same_only, as_configured };

class Site;

struct Call {
  std::string_view query;
  const SnapshotPtr& snapshot;  // null for routes that want no freshness
  CacheState cache = CacheState::miss;
  Site& site;
  http::Entrance entrance = http::Entrance::common;
  http::Coding coding = http::Coding::identity;  // what the client takes; only asked for with Freshness::within_ttl

  // True when the query has this parameter with this value; nothing is decoded.
  [[nodiscard]] bool has_parameter(std::string_view name, std::string_view value) const;
};

struct Route {
  std::string_view path;  // with a trailing slash for a page that has others below it
  Freshness freshness;
  Exposure exposure;
  CrossOrigin cross_origin;
  http::Response (*handle)(const Call&);
  std::string_view help;
};

// The whole URL space below /proxy/, for GET and HEAD. OPTIONS and 405 follow from it.
[[nodiscard]] std::span<const Route> routes();
[[nodiscard]] const Route* find_route(std::string_view path);

}  // namespace gputach
