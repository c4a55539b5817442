#include "app/command_line.h"
#include "app/daemon.h"
#include "app/doctor.h"
#include "app/one_shot.h"
#include "app/record.h"

int main(int argc, char** argv) {
  using gputach::Command;
  const gputach::CommandLine line = gputach::read_command_line(argc, argv);
  if (line.exit_status) return *line.exit_status;
  switch (line.command) {
    case Command::serve: return gputach::run_daemon(line.config, line.worker_arguments);
    case Command::once: return gputach::run_once(line.config, line.worker_arguments, line.choice);
    case Command::doctor: return gputach::run_doctor(line.config, line.worker_arguments, line.choice);
    case Command::record: return gputach::run_record(line.config, line.record);
    case Command::worker: gputach::run_worker_process(line.config);
    case Command::version:
    case Command::docs: break;  // answered while the line was read
  }
  return 0;
}
