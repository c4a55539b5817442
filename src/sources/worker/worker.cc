#include "sources/worker/worker.h"

#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "sources/worker/frame.h"
#include "sources/worker/pass.h"

namespace gputach {
namespace {

constexpr int exit_driver_refused = 3;
constexpr int write_wait_ms = 1000;  // the server reads at once, or it is about to kill us

// One reader thread leads: it receives asks and reads device after device. The watch thread sleeps until a call is
// late; then it hands the lead to a spare thread. The old leader, when its call returns at last, delivers and ends. The
// lock is held for book-keeping only, never while the driver is called.
class Worker {
 public:
  Worker(DeviceReader& reader, const Clock& clock, const WorkerOptions& options)
      : reader_(reader), clock_(clock), options_(options), timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC)) {}

  [[noreturn]] void run() {
    std::thread([this] { open(); }).detach();
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
  void open() {
    ::prctl(PR_SET_NAME, "reader");
    const Result<unsigned> slots = reader_.open();
    if (!slots) refuse(slots.error());
    const std::unique_lock lock(mutex_);
    pass_ = std::make_unique<Pass>(*slots);
    // No budget: whole nodes take minutes to wake, and the server waits as long as handles arrive.
    pass_->begin(0, clock_.now(), std::chrono::hours(24), options_.handle_overrun);
    std::thread([this, leader = leader_] { lead(leader); }).detach();
  }

  [[noreturn]] void refuse(const Error& error) {
    WorkerFrame frame;
    frame.kind = WorkerFrame::Kind::refused;
    frame.error = error;
    frame.why = reader_.why();
    send(frame);
    ::_exit(exit_driver_refused);
  }

  // A reader thread's life, until another one took the lead.
  void lead(std::uint64_t self) {
    ::prctl(PR_SET_NAME, "reader");
    for (;;) {
      if (!read_devices(self)) return;
      Ask ask;
      if (!receive(ask)) return;
      const std::unique_lock lock(mutex_);
      pass_->begin(ask.id, clock_.now(), Duration(ask.budget_ns), Duration(ask.device_overrun_ns));
    }
  }

  // False when the lead was lost meanwhile.
  bool read_devices(std::uint64_t self) {
    std::unique_lock lock(mutex_);
    for (;;) {
      const auto slot = pass_->take_next(clock_.now());
      if (!slot) break;
      leader_slot_ = slot;
      arm(pass_->overrun_at(*slot));
      const bool starting = starting_;
      lock.unlock();
      Entity entity(Scope::gpu, *slot);
      const bool shown = !starting || reader_.prepare_device(*slot, entity);
      if (!starting) reader_.read_device(*slot, entity);
      lock.lock();
      pass_->returned(*slot, shown, std::move(entity));
      if (starting) send({});
      if (leader_ != self) {
        answer_if_possible();
        return false;
      }
      leader_slot_.reset();
    }
    disarm();
    answer_if_possible();
    return true;
  }

  // Whoever makes the pass complete sends it: the leader at the end of the list, or a late thread.
  void answer_if_possible() {
    if (starting_ && pass_->exhausted() && !pass_->any_shown()) refuse({ErrorCode::no_gpus, "no GPUs found"});
    if (!pass_->answerable()) return;
    WorkerFrame frame;
    frame.entities = pass_->take_answer(clock_.now());
    frame.simulated = reader_.simulated();
    if (starting_) {
      starting_ = false;
      frame.kind = WorkerFrame::Kind::ready;
      frame.why = reader_.why();
    } else {
      frame.kind = WorkerFrame::Kind::sample;
      frame.ask_id = pass_->id();
      frame.restart_wanted = reader_.needs_restart();
    }
    send(frame);
  }

  void on_timer() {
    std::uint64_t expirations = 0;
    (void)!::read(timer_.get(), &expirations, sizeof expirations);
    const std::unique_lock lock(mutex_);
    armed_ = false;
    if (!leader_slot_) return;
    if (!pass_->overrun(*leader_slot_, clock_.now())) return arm(pass_->overrun_at(*leader_slot_));
    log_line(LogLevel::warning, "driver_call_late", {{"gpu", std::to_string(*leader_slot_)}});
    leader_slot_.reset();
    ++leader_;
    std::thread([this, leader = leader_] { lead(leader); }).detach();
  }

  // Armed once for the first device of a pass; when it fires for a device that is not late, it is set anew. This keeps
  // it to two system calls a pass however many devices there are.
  void arm(Instant at) {
    if (armed_) return;
    armed_ = true;
    set_timer(at.time_since_epoch());
  }
  void disarm() {
    if (!armed_) return;
    armed_ = false;
    set_timer(Duration::zero());
  }
  void set_timer(Duration at) {
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
  std::unique_ptr<Pass> pass_;
  std::uint64_t leader_ = 0;             // which reader thread leads
  std::optional<unsigned> leader_slot_;  // the device it is in
  bool starting_ = true;
  bool armed_ = false;
};

}  // namespace

void run_worker(DeviceReader& reader, const Clock& clock, const WorkerOptions& options) {
  ::prctl(PR_SET_NAME, "gputach-worker");
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) std::signal(number, SIG_IGN);
  Worker(reader, clock, options).run();
}

}  // namespace gputach
