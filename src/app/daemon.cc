#include "app/daemon.h"

#include <csignal>
#include <cstdio>
#include <thread>

#include "base/counters.h"
#include "base/log.h"
#include "http/server.h"
#include "publish/hub.h"
#include "routes/dispatcher.h"
#include "sampling/sampler.h"
#include "sources/nvml/nvml_source.h"
#include "sources/worker/worker.h"
#include "sources/worker/worker_source.h"

namespace gputach {
namespace {

using namespace std::chrono_literals;

constexpr auto drain_time = 300ms;  // with the spawner's end, well inside the second in which the daemon has to be gone
constexpr auto overdue_margin = 500ms;  // the pass's own deadline comes first

constexpr int startup_failed = 1;

int refuse(const Error& error) {
  std::fprintf(stderr, "gputach: %s\n", error.context.c_str());
  return startup_failed;
}

sigset_t ending_signals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

Hub::Settings hub_settings(const Config& config) {
  return {.flight = {.ttl = config.cache_ttl,
                     .wait_max = config.nvml_timeout + overdue_margin,
                     .waiters_max = limits::waiters_max},
          .overdue = timed_out_error(config.nvml_timeout)};
}

http::Settings http_settings(const Config& config) {
  http::Settings settings;
  settings.listen.clear();
  for (const std::string& address : config.listen) settings.listen.push_back({address, http::Entrance::common});
  settings.limits.connections_max = config.connections_max;
  return settings;
}

std::vector<std::unique_ptr<Source>> open_sources(const Config& config, Spawner spawner, const Clock& clock,
                                                  Counters& counters) {
  std::vector<std::unique_ptr<Source>> sources;
  sources.push_back(std::make_unique<WorkerSource>(
      std::move(spawner), Supervisor::Settings{.ask_timeout = config.nvml_timeout}, clock, &counters));
  return sources;
}

std::string joined(const std::vector<http::ListenOn>& texts) {
  std::string all;
  for (const auto& text : texts) all += (all.empty() ? "" : ",") + text.address;
  return all;
}

}  // namespace

int run_daemon(const Config& config, const std::vector<std::string>& worker_arguments) {
  log_threshold(config.log_level);
  // Before threads, sockets and sandboxes: what is forked here stays free of them.
  Result<Spawner> spawner = Spawner::fork_off(worker_arguments);
  if (!spawner) return refuse(spawner.error());
  // Threads inherit the mask: only main hears these.
  const sigset_t ending = ending_signals();
  ::pthread_sigmask(SIG_BLOCK, &ending, nullptr);

  const SystemClock clock;
  const Instant started = clock.now();
  Counters counters;
  std::unique_ptr<http::Server> server;
  Site site({.cors_origin = config.cors_origin,
             .activity = [&] { return Site::Activity{clock.now() - started, counters, server->counters()}; }});
  std::unique_ptr<Hub> hub;
  // From the sampler's thread to the io thread: only immutable snapshots cross.
  Sampler sampler(open_sources(config, *std::move(spawner), clock, counters), config.nvml_timeout, clock, counters,
                  [&](Sample sample) {
                    auto snapshot = std::make_shared<const Snapshot>(std::move(sample));
                    server->post([&hub, snapshot = std::move(snapshot)] { hub->publish(snapshot); });
                  });
  hub = std::make_unique<Hub>(
      hub_settings(config), clock, [&] { sampler.request(); },
      [&](Duration delay, std::move_only_function<void()> work) {
        server->after(std::chrono::ceil<std::chrono::milliseconds>(delay), std::move(work));
      });
  const Dispatcher dispatcher(site, *hub);
  Result<std::unique_ptr<http::Server>> opened = http::Server::open(
      http_settings(config),
      [&](const http::Request& request, http::Respond respond) { dispatcher(request, std::move(respond)); }, clock);
  if (!opened) return refuse(opened.error());
  server = *std::move(opened);

  sampler.start();
  std::thread io([&] { server->run(); });
  log_line(LogLevel::info, "listening", {{"address", joined(server->addresses())}});

  int received = 0;
  ::sigwait(&ending, &received);
  log_line(LogLevel::info, "stopping", {{"signal", received == SIGTERM ? "SIGTERM" : "SIGINT"}});
  site.drain();
  server->stop(drain_time);
  sampler.stop();  // whoever waits for a pass is answered
  io.join();
  return 0;
}

void run_worker_process(const Config& config) {
  log_threshold(config.log_level);
  const SystemClock clock;
  NvmlReader reader({.library_path = config.nvml_library, .devices = config.devices}, clock);
  run_worker(reader, clock, {.socket = Spawner::worker_socket, .handle_overrun = limits::worker_handle_late});
}

}  // namespace gputach
