#include "app/record.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <optional>
#include <vector>

#include "base/clock.h"
#include "base/fd.h"
#include "base/limits.h"

namespace gputach {
namespace {

using namespace std::chrono_literals;

constexpr int not_written = 1;
constexpr int nothing_recorded = 3;

constexpr auto sample_period = 500ms;  // faster polling would disturb the driver
constexpr auto look_period = 50ms;     // how soon a late call is noticed
constexpr auto death_wait = 1s;        // a process that is stuck in the kernel does not die
constexpr std::size_t stuck_calls_max = 32;
constexpr std::size_t text_bytes_max = 1 << 20;  // what the simulated driver takes

void say(const std::string& sentence) {
  std::fprintf(stderr, "gputach: %s\n", sentence.c_str());
}

std::string named(const char* symbol, std::optional<unsigned> gpu) {
  return std::string(symbol) + (gpu ? " of GPU " + std::to_string(*gpu) : "");
}

// The call in which the child is, in memory that both see. Names are addresses of constants, the same after a fork.
struct CallMark {
  static constexpr int no_gpu = -1;
  static constexpr const char* loading = "dlopen";

  std::atomic<std::int64_t> since_ns = 0;  // CLOCK_MONOTONIC; 0: in none
  std::atomic<const char*> symbol = nullptr;
  std::atomic<int> gpu = no_gpu;
  std::atomic<nvml::Pace> pace{};
};
static_assert(std::atomic<std::int64_t>::is_always_lock_free && std::atomic<const char*>::is_always_lock_free);

class SharedMark {
 public:
  SharedMark() : memory_(::mmap(nullptr, sizeof(CallMark), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0)) {
    if (memory_ != MAP_FAILED) mark_ = new (memory_) CallMark;
  }
  ~SharedMark() {
    if (memory_ != MAP_FAILED) ::munmap(memory_, sizeof(CallMark));
  }
  SharedMark(const SharedMark&) = delete;
  SharedMark& operator=(const SharedMark&) = delete;

  [[nodiscard]] CallMark* get() const { return mark_; }

 private:
  void* memory_;
  CallMark* mark_ = nullptr;
};

class MarkingWitness final : public nvml::CallWitness {
 public:
  MarkingWitness(CallMark& mark, const std::vector<nvml::StuckCall>& stuck, const Clock& clock)
      : mark_(mark), stuck_(stuck), clock_(clock) {}

  bool may_call(const char* symbol, std::optional<unsigned> gpu, nvml::Pace pace) override {
    const auto is_this = [&](const nvml::StuckCall& call) {
      return std::string_view(call.symbol) == symbol && call.gpu == gpu;
    };
    if (std::ranges::any_of(stuck_, is_this)) return false;
    mark_.symbol = symbol;
    mark_.gpu = gpu ? static_cast<int>(*gpu) : CallMark::no_gpu;
    mark_.pace = pace;
    mark_.since_ns = clock_.now().time_since_epoch().count();
    return true;
  }
  void returned() override { mark_.since_ns = 0; }

 private:
  CallMark& mark_;
  const std::vector<nvml::StuckCall>& stuck_;
  const Clock& clock_;
};

// True when all of `bytes` has been taken.
bool write_all(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno != EINTR) return false;
    if (written > 0) bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

struct Task {
  const Config& config;
  const RecordOptions& options;
  std::vector<nvml::StuckCall> stuck;
};

// The child's life. `out` is also how it learns that nobody waits any more.
[[noreturn]] void record_here(const Task& task, CallMark& mark, int out) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::signal(SIGPIPE, SIG_IGN);
  const SystemClock clock;
  MarkingWitness witness(mark, task.stuck, clock);
  if (!witness.may_call(CallMark::loading, {}, nvml::Pace::slow)) ::_exit(nothing_recorded);
  const Result<nvml::Library> library = nvml::Library::open(task.config.nvml_library);
  witness.returned();
  if (!library) {
    say(library.error().context);
    ::_exit(nothing_recorded);
  }
  nvml::Recorder recorder(*library, witness);
  recorder.identify(task.config.devices);
  recorder.read_figures();
  const Instant end = clock.now() + std::chrono::seconds(task.options.seconds);
  while (clock.now() < end) {
    pollfd reader{out, 0, 0};
    if (::poll(&reader, 1, static_cast<int>(sample_period / 1ms)) != 0) ::_exit(nothing_recorded);
    recorder.read_figures();
  }
  nvml::Recording recording = recorder.recording();
  recording.stuck = task.stuck;
  ::_exit(write_all(out, nvml::scenario_text(recording, task.options.identities)) ? 0 : nothing_recorded);
}

// One child: its text, the call that it was stuck in, or neither.
struct Attempt {
  std::string text;
  std::optional<nvml::StuckCall> stuck;
};

class ChildProcess {
 public:
  ChildProcess(pid_t pid, Fd output, const CallMark& mark, Duration patience)
      : pid_(pid), output_(std::move(output)), mark_(mark), patience_(patience) {}

  Attempt watch() {
    Attempt attempt;
    while (!late()) {
      pollfd wait{output_.get(), POLLIN, 0};
      if (::poll(&wait, 1, static_cast<int>(look_period / 1ms)) <= 0) continue;
      if (receive(attempt.text)) continue;
      const int status = reap(Ending::by_itself);
      const bool complete = WIFEXITED(status) && WEXITSTATUS(status) == 0;
      if (!complete) attempt.text.clear();
      if (WIFSIGNALED(status)) attempt.stuck = call(nvml::Stuck::crashed);
      return attempt;
    }
    attempt = {.text = {}, .stuck = call(nvml::Stuck::hung)};
    reap(Ending::killed);
    return attempt;
  }

 private:
  enum class Ending : unsigned char { by_itself, killed };

  [[nodiscard]] bool late() const {
    const std::int64_t since_ns = mark_.since_ns;
    const Duration bound = mark_.pace == nvml::Pace::slow ? Duration(limits::worker_handle_overrun) : patience_;
    return since_ns != 0 && clock_.now().time_since_epoch() > Duration(since_ns) + bound;
  }

  // Nothing when the child was in no call.
  [[nodiscard]] std::optional<nvml::StuckCall> call(nvml::Stuck how) const {
    if (mark_.since_ns == 0) return std::nullopt;
    nvml::StuckCall stuck{.symbol = mark_.symbol, .gpu = {}, .how = how};
    if (const int gpu = mark_.gpu; gpu != CallMark::no_gpu) stuck.gpu = static_cast<unsigned>(gpu);
    return stuck;
  }

  // False at the end of what the child writes.
  bool receive(std::string& text) {
    std::array<char, 65536> bytes{};
    const ssize_t length = ::read(output_.get(), bytes.data(), bytes.size());
    if (length < 0) return errno == EINTR || errno == EAGAIN;
    text.append(bytes.data(), static_cast<std::size_t>(length));
    return length > 0 && text.size() <= text_bytes_max;
  }

  // The wait status; that of a killed process when it does not die in time.
  int reap(Ending ending) {
    if (ending == Ending::by_itself) {
      if (const auto status = wait()) return *status;
    }
    ::kill(pid_, SIGKILL);
    if (const auto status = wait()) return *status;
    say("process " + std::to_string(pid_) + " is stuck in the kernel and is left behind");
    return SIGKILL;
  }

  std::optional<int> wait() {
    int status = 0;
    for (const Instant end = clock_.now() + death_wait; clock_.now() < end; ::poll(nullptr, 0, 10)) {
      if (::waitpid(pid_, &status, WNOHANG) == pid_) return status;
    }
    return std::nullopt;
  }

  pid_t pid_;
  Fd output_;
  const CallMark& mark_;
  Duration patience_;
  SystemClock clock_;
};

Result<Attempt> attempt(const Task& task, CallMark& mark) {
  int ends[2] = {-1, -1};
  if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno("pipe", errno);
  Fd output(ends[0]);
  Fd input(ends[1]);
  mark.since_ns = 0;
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("fork", errno);
  if (pid == 0) {
    output.reset();
    record_here(task, mark, input.get());
  }
  input.reset();
  return ChildProcess(pid, std::move(output), mark, task.config.nvml_timeout).watch();
}

// The text, or nothing after it was said why.
Result<std::string> record(Task& task) {
  const SharedMark mark;
  if (mark.get() == nullptr) return fail_errno("mmap", errno);
  for (;;) {
    Result<Attempt> made = attempt(task, *mark.get());
    if (!made) return std::unexpected(made.error());
    if (!made->text.empty()) return std::move(made->text);
    if (!made->stuck) return fail(ErrorCode::not_initialized, "nothing was recorded");
    const nvml::StuckCall& call = *made->stuck;
    say(named(call.symbol, call.gpu) + (call.how == nvml::Stuck::hung ? " did not return in time" : " crashed"));
    if (std::string_view(call.symbol) == CallMark::loading || task.stuck.size() == stuck_calls_max)
      return fail(ErrorCode::timed_out, "the driver cannot be recorded");
    task.stuck.push_back(call);
  }
}

// What is not a file (a device, a pipe, a link) stays what it is.
Result<void> write_through(const std::string& path, const std::string& text) {
  const Fd target(::open(path.c_str(), O_WRONLY | O_TRUNC | O_CLOEXEC));
  if (!target || !write_all(target.get(), text)) return fail_errno(path, errno);
  return {};
}

// A file appears complete or not at all.
Result<void> write_output(const std::string& path, const std::string& text) {
  if (path == "-") {
    if (!write_all(STDOUT_FILENO, text)) return fail_errno("standard output", errno);
    return {};
  }
  struct stat found{};
  const bool exists = ::lstat(path.c_str(), &found) == 0;
  if (exists && !S_ISREG(found.st_mode)) return write_through(path, text);
  std::string fresh = path + ".XXXXXX";
  Fd file(::mkostemp(fresh.data(), O_CLOEXEC));
  if (!file) return fail_errno(path, errno);
  int error = 0;
  if (::fchmod(file.get(), exists ? found.st_mode & 07777 : 0644) != 0 || !write_all(file.get(), text) ||
      std::rename(fresh.c_str(), path.c_str()) != 0)
    error = errno;
  if (error == 0) return {};
  ::unlink(fresh.c_str());
  return fail_errno(path, error);
}

}  // namespace

int run_record(const Config& config, const RecordOptions& options) {
  Task task{.config = config, .options = options, .stuck = {}};
  const Result<std::string> text = record(task);
  if (!text) {
    say(text.error().context);
    return nothing_recorded;
  }
  if (const Result<void> written = write_output(options.output, *text); !written) {
    say(written.error().context);
    return not_written;
  }
  return 0;
}

}  // namespace gputach
