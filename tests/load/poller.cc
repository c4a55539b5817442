// load_poller MODE --port N [--name value]...: the client of ./dev bench. It polls without ever sleeping, so give it a
// core of its own.
//
//   open    --connections N --rate HZ --seconds S [--warmup S] [--seed N]     open loop, random phases
//   closed  --connections N --depth N (--seconds S | --requests N)           closed loop, pipelined by depth
//   idle    --connections N [--ask 0|1]     asks once (1) or never (0), then only keeps the connections
#include <cstdio>

#include "poller_modes.h"

int main(int argc, char** argv) {
  using namespace gputach::load;
  const Arguments arguments(argc, argv);
  const std::string_view mode = argc > 1 ? argv[1] : "";
  if (mode == "open") {
    run_open(arguments);
  } else if (mode == "closed") {
    run_closed(arguments);
  } else if (mode == "streams") {
    run_streams(arguments);
  } else if (mode == "idle") {
    run_idle(arguments);
  } else {
    give_up("usage: load_poller open|closed|streams|idle --port N ...");
  }
  return 0;
}
