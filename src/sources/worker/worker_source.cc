#include "sources/worker/worker_source.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/log.h"
#include "base/text_buffer.h"

namespace gputach {
namespace {

// Shares of the pass's time: after one quarter the next device is tried beside a late one; in the last tenth no device
// is begun any more, so that what was read arrives before the deadline.
constexpr int overrun_share = 4;
constexpr int reserve_share = 10;

std::string number(std::int64_t value) {
  TextBuffer text;
  text << value;
  return text.take();
}

std::string describe_exit(int status) {
  if (WIFSIGNALED(status)) return "signal " + number(WTERMSIG(status));
  return "status " + number(WEXITSTATUS(status));
}

bool any_usable(const std::vector<Entity>& entities) {
  return std::ranges::any_of(entities, [](const Entity& e) { return e.condition == Status::ok; });
}

}  // namespace

WorkerSource::WorkerSource(Spawner spawner, Supervisor::Settings settings, const Clock& clock, Counters* counters)
    : clock_(clock),
      counters_(counters),
      spawner_(std::move(spawner)),
      supervisor_(settings),
      timeout_(settings.ask_timeout) {
  dispatch(Supervisor::Begin{});
}

WorkerSource::~WorkerSource() {
  worker_.reset();
  if (!spawner_.stop())
    log_line(LogLevel::warning, "worker_left_behind", {{"why", "it does not react to SIGKILL yet"}});
}

Result<void> WorkerSource::read(Sample& draft, Instant deadline, int interrupt) {
  answer_.reset();
  finished_.reset();
  tend();  // what happened since the last time comes before the question
  dispatch(Supervisor::Asked{deadline});
  while (!finished_) {
    if (!wait_for_news(Instant::max(), interrupt)) {
      dispatch(Supervisor::Withdrawn{});
      return fail(ErrorCode::stopped, "worker stopped");
    }
  }
  if (finished_->error) return std::unexpected(*finished_->error);
  if (!answer_) return fail(ErrorCode::stopped, "worker stopped");
  // The GPUs were read from then on; waiting for a start does not make figures older.
  draft.collected = asked_;
  draft.collected_at = asked_at_;
  draft.simulated = answer_->simulated;
  std::ranges::move(answer_->entities, std::back_inserter(draft.entities));
  return {};
}

bool WorkerSource::wait_for_news(Instant deadline, int interrupt) {
  Upkeep wanted = upkeep();
  wanted.descriptors.push_back({interrupt, POLLIN, 0});
  const Duration wait = std::max(std::min(wanted.due, deadline) - clock_.now(), Duration::zero());
  const timespec timeout = to_timespec(wait);
  ::ppoll(wanted.descriptors.data(), wanted.descriptors.size(), &timeout, nullptr);
  if (wanted.descriptors.back().revents != 0) return false;
  tend();
  return true;
}

Result<void> WorkerSource::wait_until_ready(Instant deadline, int interrupt) {
  for (;;) {
    switch (supervisor_.phase()) {
      case Supervisor::Phase::ready:
      case Supervisor::Phase::asking: return {};
      case Supervisor::Phase::spawning:
      case Supervisor::Phase::starting: break;
      case Supervisor::Phase::down:
      case Supervisor::Phase::ending:
      case Supervisor::Phase::orphaned: return std::unexpected(supervisor_.reason());
    }
    if (clock_.now() >= deadline) return fail(ErrorCode::timed_out, "NVML not initialized");
    if (!wait_for_news(deadline, interrupt)) return fail(ErrorCode::stopped, "worker stopped");
  }
}

Source::Upkeep WorkerSource::upkeep() const {
  Upkeep upkeep;
  upkeep.due = supervisor_.due();
  if (!spawner_gone_) upkeep.descriptors.push_back({spawner_.descriptor(), POLLIN, 0});
  if (worker_) upkeep.descriptors.push_back({worker_.get(), POLLIN, 0});
  return upkeep;
}

void WorkerSource::tend() {
  if (worker_) receive_from_worker();
  if (!spawner_gone_) receive_from_spawner();
  if (clock_.now() >= supervisor_.due()) dispatch(Supervisor::Tick{});
}

void WorkerSource::dispatch(const Supervisor::Event& event) {
  for (const Supervisor::Action& action : supervisor_.step(clock_.now(), event)) perform(action);
}

void WorkerSource::perform(const Supervisor::Action& action) {
  std::visit([this](const auto& a) { act(a); }, action);
}

void WorkerSource::count(Counters::Count Counters::* counter) const {
  if (counters_ != nullptr) bump(counters_->*counter);
}

void WorkerSource::act(const Supervisor::Spawn&) {
  if (const auto sent = spawner_.start_worker(); !sent)
    log_line(LogLevel::error, "spawner_unreachable", {{"why", sent.error().context}});
}

void WorkerSource::act(const Supervisor::SendAsk& action) {
  asked_ = clock_.now();
  asked_at_ = clock_.wall();
  const Ask ask{action.id, (timeout_ - timeout_ / reserve_share).count(), (timeout_ / overrun_share).count()};
  // 24 bytes into an empty stream: all or nothing. A worker that has gone shows at the next receive.
  (void)!::send(worker_.get(), &ask, sizeof ask, MSG_NOSIGNAL | MSG_DONTWAIT);
}

void WorkerSource::act(const Supervisor::Kill& action) {
  log_line(LogLevel::warning, "worker_given_up", {{"pid", number(worker_pid_)}, {"why", action.why}});
  count(&Counters::workers_given_up);
  worker_.reset();
  frames_.clear();
  (void)spawner_.kill_worker();
}

void WorkerSource::act(const Supervisor::Finish& action) {
  finished_ = action;
}

// The dead spawner's worker gets SIGKILL from the kernel and becomes this process's child (PR_SET_CHILD_SUBREAPER):
// never two on one GPU, so it has to be reaped before there can be another.
void WorkerSource::act(const Supervisor::ReplaceSpawner&) {
  if (worker_pid_ > 0 && ::waitpid(worker_pid_, nullptr, WNOHANG) == 0) return;
  worker_pid_ = -1;
  if (const auto replaced = spawner_.replace(); !replaced) {
    log_line(LogLevel::error, "spawner_not_replaced", {{"why", replaced.error().context}});
    return;
  }
  log_line(LogLevel::info, "spawner_replaced", {{"pid", number(spawner_.pid())}});
  spawner_gone_ = false;
  dispatch(Supervisor::SpawnerReplaced{});
}

void WorkerSource::receive_from_spawner() {
  for (;;) {
    auto received = spawner_.receive();
    if (!received) {
      spawner_gone_ = true;
      spawner_.stop();  // reaps it
      log_line(LogLevel::error, "spawner_lost", {{"consequence", "it and its worker are replaced"}});
      worker_.reset();
      frames_.clear();
      dispatch(Supervisor::SpawnerLost{});
      return;
    }
    if (!*received) return;
    SpawnerEvent& event = **received;
    switch (event.kind) {
      case SpawnerEvent::Kind::started:
        worker_ = std::move(event.socket);
        worker_pid_ = event.pid;
        count(&Counters::workers_started);
        frames_.clear();
        dispatch(Supervisor::Spawned{});
        break;
      case SpawnerEvent::Kind::start_failed: {
        const auto why = fail_errno("cannot start the worker", event.value).error().context;
        log_line(LogLevel::error, "worker_not_started", {{"why", why}});
        count(&Counters::workers_not_started);
        dispatch(Supervisor::SpawnFailed{why});
        break;
      }
      case SpawnerEvent::Kind::exited:
        // Its last words may have come after we looked for them and before it was reaped.
        if (worker_) receive_from_worker();
        log_line(LogLevel::info, "worker_exited", {{"pid", number(event.pid)}, {"how", describe_exit(event.value)}});
        count(&Counters::workers_exited);
        worker_.reset();
        worker_pid_ = -1;
        frames_.clear();
        dispatch(Supervisor::Exited{});
        break;
    }
  }
}

void WorkerSource::receive_from_worker() {
  std::array<char, 65536> bytes;
  while (worker_) {
    const ssize_t length = ::recv(worker_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (length < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (length <= 0) {
      dispatch(Supervisor::Broken{"its socket closed"});
      worker_.reset();
      return;
    }
    frames_.append({bytes.data(), static_cast<std::size_t>(length)});
    for (;;) {
      auto frame = frames_.next();
      if (!frame) {
        dispatch(Supervisor::Broken{frame.error().context});
        return;
      }
      if (!*frame) break;
      take(**std::move(frame));
    }
  }
}

void WorkerSource::take(WorkerFrame frame) {
  switch (frame.kind) {
    case WorkerFrame::Kind::progress: dispatch(Supervisor::Progressed{}); return;
    case WorkerFrame::Kind::ready:
      log_line(LogLevel::info, "worker_ready",
               {{"pid", number(worker_pid_)},
                {"gpus", number(static_cast<std::int64_t>(frame.entities.size()))},
                {"library", frame.why},
                {"simulated", frame.simulated ? "yes" : "no"}});
      dispatch(Supervisor::Ready{});
      return;
    case WorkerFrame::Kind::refused:
      log_line(LogLevel::warning, "driver_refused", {{"error", frame.error.context}, {"why", frame.why}});
      dispatch(Supervisor::Refused{frame.error});
      return;
    case WorkerFrame::Kind::sample: {
      const Supervisor::Answered answered{frame.ask_id, any_usable(frame.entities), frame.restart_wanted};
      answer_ = std::move(frame);
      dispatch(answered);
      return;
    }
  }
}

}  // namespace gputach
