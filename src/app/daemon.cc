#include "app/daemon.h"

#include <atomic>
#include <csignal>
#include <cstdio>
#include <thread>

#include "app/access_log.h"
#include "app/reload.h"
#include "app/token_files.h"
#include "base/counters.h"
#include "base/log.h"
#include "http/server.h"
#include "publish/hub.h"
#include "relay/relay.h"
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

// What main waits for. Threads and children that are made later inherit the mask: nobody else hears these.
sigset_t keep_signals_for_main() {
  sigset_t set;
  sigemptyset(&set);
  for (const int number : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, number);
  ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
  return set;
}

Hub::Settings hub_settings(const Config& config) {
  return {.flight = {.ttl = config.cache_ttl,
                     .wait_max = config.nvml_timeout + overdue_margin,
                     .waiters_max = limits::waiters_max},
          .overdue = timed_out_error(config.nvml_timeout)};
}

// Null when there is none.
Result<std::unique_ptr<AccessLog>> open_access_log(const Config& config, const Clock& clock) {
  if (config.access_log == "off") return nullptr;
  return AccessLog::open(config.access_log, clock);
}

// Paths below /proxy/ are ours, and so is what asks about the server as a whole.
bool is_the_engines(const http::Request& request) {
  const bool ours = request.path == "/proxy" || request.path.starts_with("/proxy/") || request.target == "*";
  return !ours && request.entrance == http::Entrance::common;
}

// Null when there is no engine.
Result<std::unique_ptr<relay::Relay>> open_relay(const Config& config, relay::Traffic& traffic, const Clock& clock) {
  if (!config.upstream) return nullptr;
  auto rules = relay::PathRules::parse(config.allow_paths, config.deny_paths);
  if (!rules) return std::unexpected(std::move(rules.error()));
  relay::RelaySettings settings{
      .address = *config.upstream, .limits = config.relay_limits, .rules = *std::move(rules), .takes = is_the_engines};
  if (settings.address.kind == relay::UpstreamAddress::Kind::tls) {
    auto tls = http::TlsConnector::make({settings.address.name, config.upstream_ca, config.upstream_tls_verify});
    if (!tls) return std::unexpected(std::move(tls.error()));
    settings.tls = *std::move(tls);
  }
  return std::make_unique<relay::Relay>(std::move(settings), traffic, clock);
}

http::Settings http_settings(const Config& config, relay::Relay* relay, AccessLog* access_log) {
  http::Settings settings;
  settings.listen.clear();
  for (const std::string& address : config.listen) settings.listen.push_back({address, http::Entrance::common});
  for (const std::string& address : config.private_listen)
    settings.listen.push_back({address, http::Entrance::restricted});
  settings.limits = config.limits;
  if (relay != nullptr) settings.carrier = &relay->carrier();
  settings.tls = config.tls;
  if (access_log != nullptr)
    settings.observe = [access_log](const http::Exchange& exchange) { access_log->write(exchange); };
  return settings;
}

std::vector<std::unique_ptr<Source>> open_sources(const Config& config, Spawner spawner, const Clock& clock,
                                                  Counters& counters) {
  std::vector<std::unique_ptr<Source>> sources;
  sources.push_back(std::make_unique<WorkerSource>(
      std::move(spawner), Supervisor::Settings{.ask_timeout = config.nvml_timeout}, clock, &counters));
  return sources;
}

void reload_until_ended(const sigset_t& signals, AccessLog* access_log, Reloader& reloader) {
  int received = 0;
  while (::sigwait(&signals, &received) == 0 && received == SIGHUP) {
    if (access_log != nullptr) access_log->reopen();
    reloader.reload();
  }
  log_line(LogLevel::info, "stopping", {{"signal", received == SIGTERM ? "SIGTERM" : "SIGINT"}});
}

Site::Settings site_settings(const Config& config, const Tokens& tokens, relay::Relay* relay,
                             const relay::Traffic& traffic) {
  Site::Settings settings;
  settings.cors_origin = config.cors_origin;
  settings.tokens = tokens;
  settings.ready_requires = config.ready_requires;
  settings.traffic = [&traffic] { return traffic_json(traffic); };
  if (relay != nullptr)
    settings.ask_engine = [relay](std::move_only_function<void(bool)> answer) { relay->ask_health(std::move(answer)); };
  return settings;
}

// Until nothing is on its way to the engine and back, the time is over, or somebody is impatient.
void drain(http::Server& server, Site& site, relay::Relay* relay, const sigset_t& signals, Duration timeout,
           const Clock& clock) {
  if (relay == nullptr) return site.drain();
  auto empty = std::make_shared<std::atomic<bool>>(false);
  // In one turn of the loop: who has seen that it is not ready finds that no new work is taken.
  server.post([&site, relay, empty] {
    site.drain();
    relay->drain([empty] { empty->store(true); });
  });
  constexpr timespec look_period{.tv_sec = 0, .tv_nsec = 20'000'000};
  for (const Instant end = clock.now() + timeout; !empty->load() && clock.now() < end;) {
    const int received = ::sigtimedwait(&signals, nullptr, &look_period);
    if (received == SIGTERM || received == SIGINT) return;
  }
}

std::string joined(const std::vector<http::ListenOn>& addresses, http::Entrance entrance) {
  std::string all;
  for (const http::ListenOn& one : addresses)
    if (one.entrance == entrance) all += (all.empty() ? "" : ",") + one.address;
  return all;
}

void log_listening(const std::vector<http::ListenOn>& addresses) {
  const std::string common = joined(addresses, http::Entrance::common);
  const std::string restricted = joined(addresses, http::Entrance::restricted);
  if (restricted.empty()) return log_line(LogLevel::info, "listening", {{"address", common}});
  log_line(LogLevel::info, "listening", {{"address", common}, {"private_address", restricted}});
}

}  // namespace

int run_daemon(const Setup& setup, const std::vector<Given>& outside,
               const std::vector<std::string>& worker_arguments) {
  const Config& config = setup.config;
  log_threshold(config.log_level);
  const sigset_t signals = keep_signals_for_main();
  const Result<Tokens> tokens = read_tokens(config.token_files);
  if (!tokens) return refuse(tokens.error());
  // Before threads, sockets and sandboxes: what is forked here stays free of them.
  Result<Spawner> spawner = Spawner::fork_off(worker_arguments);
  if (!spawner) return refuse(spawner.error());

  const SystemClock clock;
  const Instant started = clock.now();
  Counters counters;
  const Result<std::unique_ptr<AccessLog>> opened_log = open_access_log(config, clock);
  if (!opened_log) return refuse(opened_log.error());
  AccessLog* const access_log = opened_log->get();
  relay::Traffic traffic;
  const Result<std::unique_ptr<relay::Relay>> opened_relay = open_relay(config, traffic, clock);
  if (!opened_relay) return refuse(opened_relay.error());
  relay::Relay* const relay = opened_relay->get();
  std::unique_ptr<http::Server> server;
  std::string shown = setup_json(setup.given);  // the io thread's, once that runs
  Site::Settings pages = site_settings(config, *tokens, relay, traffic);
  pages.configuration = [&shown] { return shown; };
  pages.activity = [&] {
    const std::uint64_t dropped = access_log == nullptr ? 0 : access_log->dropped();
    return Site::Activity{clock.now() - started, counters, server->counters(), dropped};
  };
  Site site(std::move(pages));
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
      http_settings(config, relay, access_log),
      [&](const http::Request& request, http::Respond respond) { dispatcher(request, std::move(respond)); }, clock);
  if (!opened) return refuse(opened.error());
  server = *std::move(opened);

  sampler.start();
  std::thread io([&] { server->run(); });
  log_listening(server->addresses());

  Reloader reloader(outside, setup.given, *tokens, [&](Reloader::Live live) {
    server->post([&, live = std::move(live)]() mutable {
      server->set_limits(live.limits);
      hub->set_ttl(live.cache_ttl);
      site.set_cors_origin(std::move(live.cors_origin));
      site.set_tokens(std::move(live.tokens));
      shown = std::move(live.shown);
    });
  });
  reload_until_ended(signals, access_log, reloader);
  drain(*server, site, relay, signals, config.drain_timeout, clock);
  server->stop(drain_time);
  sampler.stop();  // whoever waits for a pass is answered
  io.join();
  server.reset();  // before what its handler refers to
  return 0;
}

void run_worker_process(const Config& config) {
  log_threshold(config.log_level);
  const SystemClock clock;
  NvmlReader reader({.library_path = config.nvml_library, .devices = config.devices}, clock);
  run_worker(reader, clock, {.socket = Spawner::worker_socket, .handle_overrun = limits::worker_handle_late});
}

}  // namespace gputach
