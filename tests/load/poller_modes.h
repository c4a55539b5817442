// Purpose: the ways in which load_poller asks. Each prints one line of JSON and returns.
#pragma once

#include "load_kit.h"

namespace gputach::load {

// Requests leave when they are due, whatever the server does. A latency counts from the moment a request was due, so
// that a server that stalls cannot hide the requests that would have been sent meanwhile. With --sleep 1 it leaves the
// processor while nothing is due, to an engine that shares it.
void run_open(const Arguments& arguments);

// Each connection keeps `depth` requests under way.
void run_closed(const Arguments& arguments);

// Streams of load_engine's events, --rate a second each (0: as fast as they come). Says how late the events are against
// their schedule, and how long they took from the engine to here.
void run_streams(const Arguments& arguments);

// Connections that stay open without a word, until standard input ends.
void run_idle(const Arguments& arguments);

}  // namespace gputach::load
