#include "app/command_line.h"
#include "app/daemon.h"

int main(int argc, char** argv) {
  const gputach::CommandLine line = gputach::read_command_line(argc, argv);
  if (line.exit_status) return *line.exit_status;
  switch (line.command) {
    case gputach::Command::serve: return gputach::run_daemon(line.config, line.worker_arguments);
    case gputach::Command::worker: gputach::run_worker_process(line.config);
  }
}
