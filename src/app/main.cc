#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "app/command_line.h"
#include "app/daemon.h"
#include "app/doctor.h"
#include "app/one_shot.h"
#include "app/probe.h"
#include "app/record.h"

namespace {

// What is inherited is not to be trusted: closed standard descriptors would become somebody's socket, ignored children
// would vanish unseen, and a reader that goes away is no reason to end.
void settle() {
  int descriptor = 0;
  while (descriptor >= 0 && descriptor <= STDERR_FILENO) descriptor = ::open("/dev/null", O_RDWR);
  if (descriptor > STDERR_FILENO) ::close(descriptor);
  std::signal(SIGCHLD, SIG_DFL);
  std::signal(SIGPIPE, SIG_IGN);
}

int run(int argc, char** argv) {
  using gputach::Command;
  const gputach::CommandLine line = gputach::read_command_line(argc, argv);
  if (line.exit_status) return *line.exit_status;
  const gputach::Config& config = line.setup.config;
  switch (line.command) {
    case Command::serve: return gputach::run_daemon(line.setup, line.outside, line.worker_arguments);
    case Command::once: return gputach::run_once(config, line.worker_arguments, line.choice);
    case Command::doctor: return gputach::run_doctor(config, line.worker_arguments, line.choice);
    case Command::record: return gputach::run_record(config, line.record);
    case Command::worker: gputach::run_worker_process(config);
    case Command::probe: return gputach::run_probe(line.probe);
    case Command::version:
    case Command::docs: break;  // answered while the line was read
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  settle();
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gputach: %s\n", error.what());
    return 1;
  }
}
