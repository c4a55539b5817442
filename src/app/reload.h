// Purpose: what SIGHUP does: everything that was given is read and judged again, and either all of it holds or none.
// Units: in the types.
// Owns: what holds now, in the words of the user, and the tokens.
// Threads: main. `apply` carries what changes to the threads that use it.
// Fails: a reload that finds anything wrong logs it and changes nothing.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "app/setup.h"
#include "http/server.h"
#include "routes/access.h"

namespace gputach {

class Reloader {
 public:
  // What may change while the daemon runs, but for the log's threshold, which is the reloader's own business.
  struct Live {
    http::Limits limits;
    Duration cache_ttl{};
    std::string cors_origin;
    Tokens tokens;
    std::string shown;  // setup_json()
  };
  using Apply = std::function<void(Live)>;

  // `outside` is what command line and environment say: it cannot change.
  Reloader(std::vector<Given> outside, std::vector<Given> running, Tokens tokens, Apply apply);

  void reload();

 private:
  std::vector<Given> outside_;
  std::vector<Given> running_;
  Tokens tokens_;
  Apply apply_;
};

}  // namespace gputach
