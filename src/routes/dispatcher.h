// Purpose: from a request to the handler of its route: 404, 401, 405, OPTIONS, cross-origin headers, freshness.
// Owns: nothing; site and hub must outlive it.
// Threads: the io thread.
// Fails: always answers, with an {"error": ...} body where there is nothing better to say.
#pragma once

#include "http/message.h"
#include "publish/hub.h"
#include "routes/route.h"
#include "routes/site.h"

namespace gputach {

class Dispatcher {
 public:
  Dispatcher(Site& site, Hub& hub) : site_(site), hub_(hub) {}

  void operator()(const http::Request& request, http::Respond respond) const;

 private:
  void answer_readiness(const Route& route, const http::Request& request, http::Respond respond) const;
  void answer_engine_readiness(const Route& route, http::Entrance entrance, http::Respond respond) const;

  Site& site_;
  Hub& hub_;
};

}  // namespace gputach
