// Purpose: the killable child: drives a DeviceReader and answers the server over one stream.
//          A device whose call overruns keeps its thread; a spare thread goes on with the other devices. An answer
//          leaves when every device has been read or is late, and at least one was read; with none, the worker stays
//          silent and the server replaces it.
// Owns: nothing that must be given back: it leaves by _exit, since a thread may be stuck in the driver for ever.
// Threads: run_worker() makes the calling thread the watch; readers are its own, at most one per device and one more.
// Fails: by ending the process; the server learns why from a `refused` frame.
#pragma once

#include "base/clock.h"
#include "sources/device_reader.h"

namespace gputach {

struct WorkerOptions {
  int socket = 3;
  Duration handle_overrun;  // for a device's first handle
};

// Serves until the server has gone, and ends the process then.
[[noreturn]] void run_worker(DeviceReader& reader, const Clock& clock, const WorkerOptions& options);

}  // namespace gputach
