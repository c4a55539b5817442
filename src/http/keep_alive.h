// Purpose: TCP keep-alive: a peer whose machine vanished is noticed within a minute, although nothing limits how long
//          an answer may take.
// Units: seconds.
// Owns: nothing.
// Threads: any.
// Fails: with false, and errno set.
// Source: man 7 tcp. A connection inherits the options of the socket that accepted it.
#pragma once

namespace gputach::http {

[[nodiscard]] bool keep_alive(int descriptor);

}  // namespace gputach::http
