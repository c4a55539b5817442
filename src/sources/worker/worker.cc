#include "sources/worker/worker.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <exception>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "sources/worker/crew.h"
#include "sources/worker/frame.h"

namespace gputach {
namespace {

constexpr int exit_driver_refused = 3;
constexpr int exit_out_of_resources = 5;
constexpr int write_wait_ms = 1000;  // the server reads at once, or it is about to kill us

// Does what Crew decides: reader threads that call the driver, a watch thread that sleeps until a call is late, a
// timer, a stream. The lock is held for book-keeping only, never while the driver is called.
class Worker {
 public:
  Worker(DeviceReader& reader, const Clock& clock, const WorkerOptions& options, Fd timer)
      : reader_(reader), clock_(clock), options_(options), timer_(std::move(timer)) {}

  [[noreturn]] void run() {
    start_thread([this] { open(); });
    // The watch: woken by a late call or by the server's end, and by nothing else.
    for (;;) {
      pollfd waits[2] = {{timer_.get(), POLLIN, 0}, {options_.socket, POLLRDHUP, 0}};
      if (::poll(waits, 2, -1) < 0 && errno != EINTR) ::_exit(1);
      // Without any destructor: the other threads may be anywhere.
      if (waits[1].revents != 0) ::_exit(0);
      if (waits[0].revents != 0) on_timer();
    }
  }

 private:
  // Without memory or threads a fresh process is the better one.
  template <class Work>
  void start_thread(Work work) {
    try {
      std::thread([work] {
        try {
          work();
        } catch (const std::exception& error) {
          give_up(error);
        }
      }).detach();
    } catch (const std::exception& error) {
      give_up(error);
    }
  }

  [[noreturn]] static void give_up(const std::exception& error) {
    log_line(LogLevel::error, "worker_failed", {{"what", error.what()}});
    ::_exit(exit_out_of_resources);
  }

  void open() {
    ::prctl(PR_SET_NAME, "reader");
    const Result<unsigned> slots = reader_.open();
    if (!slots) refuse(slots.error());
    const std::unique_lock lock(mutex_);
    crew_.emplace(*slots, clock_.now(), options_.handle_overrun,
                  std::min<Duration>(options_.handle_overrun, limits::worker_handle_late_min));
    start_leader();
  }

  [[noreturn]] void refuse(const Error& error) {
    WorkerFrame frame;
    frame.kind = WorkerFrame::Kind::refused;
    frame.error = error;
    frame.why = reader_.why();
    send(frame);
    ::_exit(exit_driver_refused);
  }

  void start_leader() {
    start_thread([this, self = crew_->leader()] { lead(self); });
  }

  // A reader thread's life, until another one took the lead.
  void lead(Crew::Reader self) {
    ::prctl(PR_SET_NAME, "reader");
    for (;;) {
      if (!read_devices(self)) return;
      Ask ask;
      if (!receive(ask)) return;
      const std::unique_lock lock(mutex_);
      crew_->begin(ask.id, clock_.now(), Duration(ask.budget_ns), Duration(ask.device_overrun_ns));
    }
  }

  // False when the lead was lost meanwhile.
  bool read_devices(Crew::Reader self) {
    std::unique_lock lock(mutex_);
    for (;;) {
      const auto device = crew_->take(clock_.now());
      follow_alarm();
      if (!device) break;
      const bool first = crew_->starting();
      lock.unlock();
      Entity entity(Scope::gpu, *device);
      const bool shown = !first || reader_.prepare_device(*device, entity);
      if (!first) reader_.read_device(*device, entity);
      lock.lock();
      const bool leads = crew_->deliver(self, *device, shown, std::move(entity));
      if (first) send({});
      if (leads) continue;
      // Whoever makes the pass complete sends it: the leader at the end of the list, or a late thread.
      answer_if_possible();
      return false;
    }
    answer_if_possible();
    return true;
  }

  void answer_if_possible() {
    const Crew::Answer answer = crew_->answer();
    if (answer == Crew::Answer::none) return;
    if (answer == Crew::Answer::no_devices) refuse({ErrorCode::no_gpus, "no GPUs found"});
    WorkerFrame frame;
    frame.entities = crew_->take_answer(clock_.now());
    frame.simulated = reader_.simulated();
    if (answer == Crew::Answer::ready) {
      frame.kind = WorkerFrame::Kind::ready;
      frame.why = reader_.why();
    } else {
      frame.kind = WorkerFrame::Kind::sample;
      frame.ask_id = crew_->ask_id();
      frame.restart_wanted = reader_.needs_restart();
    }
    send(frame);
  }

  void on_timer() {
    std::uint64_t expirations = 0;
    (void)!::read(timer_.get(), &expirations, sizeof expirations);
    const std::unique_lock lock(mutex_);
    const auto late = crew_->alarmed(clock_.now());
    follow_alarm();
    if (!late) return;
    log_line(LogLevel::warning, "driver_call_late", {{"gpu", std::to_string(*late)}});
    start_leader();
  }

  // Two system calls a pass, however many devices there are.
  void follow_alarm() {
    if (std::exchange(alarm_, crew_->alarm_at()) == crew_->alarm_at()) return;
    const Duration at = alarm_ == Instant::max() ? Duration::zero() : alarm_.time_since_epoch();  // zero: never
    const itimerspec when{{0, 0}, to_timespec(at)};
    ::timerfd_settime(timer_.get(), TFD_TIMER_ABSTIME, &when, nullptr);
  }

  bool receive(Ask& ask) {
    const ssize_t length = ::recv(options_.socket, &ask, sizeof ask, MSG_WAITALL);
    return length == sizeof ask;  // otherwise the server has gone, and the watch ends the process
  }

  // Under the lock, so that frames never mix; before the first pass there is only one thread that could send.
  void send(const WorkerFrame& frame) {
    const std::string bytes = encode_frame(frame);
    std::string_view rest = bytes;
    while (!rest.empty()) {
      const ssize_t length = ::send(options_.socket, rest.data(), rest.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
      if (length >= 0) {
        rest.remove_prefix(static_cast<std::size_t>(length));
        continue;
      }
      pollfd wait{options_.socket, POLLOUT, 0};
      if (errno != EAGAIN || ::poll(&wait, 1, write_wait_ms) <= 0) ::_exit(1);
    }
  }

  DeviceReader& reader_;
  const Clock& clock_;
  const WorkerOptions options_;
  const Fd timer_;

  std::mutex mutex_;
  std::optional<Crew> crew_;
  Instant alarm_ = Instant::max();  // as the timer is set
};

}  // namespace

void run_worker(DeviceReader& reader, const Clock& clock, const WorkerOptions& options) {
  ::prctl(PR_SET_NAME, "gputach-worker");
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) std::signal(number, SIG_IGN);
  Fd timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC));
  if (!timer) {
    // Without it a call that hangs would never be noticed.
    log_line(LogLevel::error, "worker_without_timer", {{"why", fail_errno("timerfd_create", errno).error().context}});
    ::_exit(exit_out_of_resources);
  }
  Worker(reader, clock, options, std::move(timer)).run();
}

}  // namespace gputach
