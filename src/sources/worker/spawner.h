// Purpose: the tiny process that starts and reaps workers. Forked before the daemon has threads, sockets or a sandbox,
//          so that it can give the worker rights that the server has given up.
// Owns: Spawner: the control socket and the child, both gone after stop(). SpawnerEvent: the worker's socket.
// Threads: one. What runs between fork and exec allocates nothing, so that it may be replaced while others run.
// Fails: fork_off() with io. receive() says `closed` when the spawner has gone.
// Source: man 7 unix (SOCK_SEQPACKET, SCM_RIGHTS), man 2 prctl (PR_SET_PDEATHSIG).
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "base/result.h"

namespace gputach {

struct SpawnerEvent {
  enum class Kind : unsigned char { started, start_failed, exited };
  Kind kind{};
  pid_t pid = -1;
  int value = 0;  // start_failed: errno; exited: the wait status
  Fd socket;      // started: the server's end of the worker's stream
};

class Spawner {
 public:
  // `worker_arguments` follow the program's own name; the worker finds its socket at descriptor `worker_socket`.
  [[nodiscard]] static Result<Spawner> fork_off(const std::vector<std::string>& worker_arguments);
  // For one that has gone. Only once its worker has gone, too.
  [[nodiscard]] Result<void> replace();

  Spawner(Spawner&&) = default;
  Spawner& operator=(Spawner&&) = default;

  // Requests; at most one worker exists, a start while one is unreaped is answered with start_failed (EBUSY).
  [[nodiscard]] Result<void> start_worker();
  [[nodiscard]] Result<void> kill_worker();
  // What the spawner has to say, or nothing yet. Never blocks.
  [[nodiscard]] Result<std::optional<SpawnerEvent>> receive();
  [[nodiscard]] int descriptor() const { return control_.get(); }
  [[nodiscard]] pid_t pid() const { return pid_; }

  // Ends worker and spawner and reaps it; waits at most limits::spawner_exit. False when a worker is left that the
  // kernel does not let die yet. More calls do no harm.
  bool stop();

  static constexpr int worker_socket = 3;

 private:
  Spawner(Fd control, pid_t pid, std::vector<std::string> worker_arguments)
      : control_(std::move(control)), pid_(pid), worker_arguments_(std::move(worker_arguments)) {}

  Fd control_;
  pid_t pid_ = -1;
  std::vector<std::string> worker_arguments_;
};

}  // namespace gputach
