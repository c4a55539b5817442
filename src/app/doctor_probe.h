// Purpose: every driver call with its time, and the one that does not return by its name. The calls are made by the
//          same reader as the worker's, in a child process that is killed when a call is late.
// Units: Duration.
// Owns: Probe: the child, which keeps the driver open until the Probe ends, so that GPUs stay awake meanwhile.
// Threads: one; start() before the process has others (it forks).
// Fails: start() with io. Whatever the driver does is a ProbeReport, not an error.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/result.h"
#include "sources/nvml/abi.h"
#include "sources/nvml/nvml_source.h"

namespace gputach {

// One message from the child; it fits one packet.
struct ProbeEvent {
  enum class Kind : std::uint8_t {
    loading,   // the library's file is being loaded
    loaded,    // text: the file; code 1: it is the simulated driver
    unusable,  // text: the linker's words
    calling,   // text: the function, gpu
    returned,  // code, took
    opened,    // code: how many GPUs, text: the reader's description; what follows is reading
    refused,   // text: why the driver does not start; code 1: it has no GPU
    finished,  // all passes are over
  };
  Kind kind{};
  std::int32_t gpu = -1;  // -1: the call concerns none
  std::int32_t code = 0;
  std::int64_t took_ns = 0;
  char text[512] = {};
};

struct ProbeReport {
  enum class End : unsigned char { not_run, finished, hung, died };
  enum class Phase : unsigned char { starting, reading };
  struct Call {
    std::string name;
    Phase phase{};
    std::vector<Duration> took;
  };
  struct Pending {
    std::string name;
    int gpu = -1;
    // Set when it was given up.
    Duration waited{};
    bool unkillable = false;  // its process is still there after SIGKILL
  };

  End end = End::not_run;
  Phase phase = Phase::starting;
  bool loaded = false;
  bool simulated = false;
  std::string library_file;  // what was loaded, links resolved
  std::string description;   // of the driver, once it has started
  std::string complaint;     // why it was not loaded, or why the driver does not start
  std::optional<nvml::Return> init;
  Duration init_took{};
  bool no_gpus = false;
  bool opened = false;
  unsigned gpus = 0;
  std::optional<Pending> pending;  // the call that is going on
  int wait_status = 0;             // of a child that died
  std::vector<Call> calls;         // in the order of their first use

  [[nodiscard]] bool started() const { return init && *init == nvml::Return::success; }
  // Pure: what one more message adds.
  void take(const ProbeEvent& event);
};

struct ProbeOptions {
  NvmlOptions nvml{};
  unsigned passes = 5;
  Duration passes_max = std::chrono::seconds(5);            // no pass is begun after that
  Duration start_call_max = limits::worker_handle_overrun;  // loading, init and first handles may take seconds
  Duration call_max = std::chrono::seconds(2);              // any other call
};

class Probe {
 public:
  // `clock` must outlive it.
  [[nodiscard]] static Result<Probe> start(const ProbeOptions& options, const Clock& clock);
  Probe(Probe&& other) noexcept;
  Probe& operator=(Probe&&) = delete;
  ~Probe();

  // Returns when the child has finished, has died, or is late with a call and was killed.
  [[nodiscard]] ProbeReport collect();

 private:
  Probe(ProbeOptions options, const Clock& clock, Fd socket, pid_t child);
  // False when the kernel does not let it die yet.
  bool reap(Duration patience, int* wait_status);

  ProbeOptions options_;
  const Clock& clock_;
  Fd socket_;
  pid_t child_;
};

}  // namespace gputach
