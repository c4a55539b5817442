#include "sources/worker/spawner.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstring>

#include "base/clock.h"
#include "base/limits.h"

namespace gputach {
namespace {

enum class Request : std::uint32_t { start, kill };

struct Message {
  SpawnerEvent::Kind kind{};
  std::int32_t pid = -1;
  std::int32_t value = 0;
};

constexpr int exit_worker_left = 4;
constexpr int reap_wait_ms = 250;  // at the end, for a worker that was just killed

void send_message(int control, const Message& message, int passed_descriptor = -1) {
  Message copy = message;
  iovec bytes{&copy, sizeof copy};
  alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &bytes;
  header.msg_iovlen = 1;
  if (passed_descriptor >= 0) {
    header.msg_control = ancillary;
    header.msg_controllen = sizeof ancillary;
    cmsghdr* rights = CMSG_FIRSTHDR(&header);
    rights->cmsg_level = SOL_SOCKET;
    rights->cmsg_type = SCM_RIGHTS;
    rights->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(rights), &passed_descriptor, sizeof(int));
  }
  // A server that does not listen any more has gone; the next receive says so.
  (void)!::sendmsg(control, &header, MSG_NOSIGNAL);
}

// The spawner process: one thread, no library beyond libc, no memory growth.
class SpawnerProcess {
 public:
  SpawnerProcess(Fd control, Fd program, std::vector<char*> arguments)
      : control_(std::move(control)), program_(std::move(program)), arguments_(std::move(arguments)) {}

  [[noreturn]] void run() {
    ::prctl(PR_SET_NAME, "gputach-spawner");
    // The server decides when it is over, by closing the control socket; a terminal's Ctrl-C or an init system that
    // signals the whole group must not get in first.
    for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) std::signal(number, SIG_IGN);
    std::signal(SIGCHLD, SIG_DFL);  // inherited as ignored, children would vanish unseen
    sigset_t child_signal;
    sigemptyset(&child_signal);
    sigaddset(&child_signal, SIGCHLD);
    ::sigprocmask(SIG_BLOCK, &child_signal, nullptr);
    children_ = Fd(::signalfd(-1, &child_signal, SFD_CLOEXEC | SFD_NONBLOCK));
    while (serve_once()) {
    }
    ::_exit(end_worker() ? 0 : exit_worker_left);
  }

 private:
  // False when the server has gone.
  bool serve_once() {
    pollfd waits[2] = {{control_.get(), POLLIN, 0}, {children_.get(), POLLIN, 0}};
    if (::poll(waits, 2, -1) < 0) return errno == EINTR;
    if (waits[1].revents != 0) reap();
    if (waits[0].revents == 0) return true;
    Request request{};
    const ssize_t length = ::recv(control_.get(), &request, sizeof request, MSG_DONTWAIT | MSG_TRUNC);
    if (length < 0) return errno == EINTR || errno == EAGAIN;
    if (length != sizeof request) return false;
    if (request == Request::start) start();
    if (request == Request::kill && worker_ > 0) ::kill(worker_, SIGKILL);
    return true;
  }

  void start() {
    if (worker_ > 0) return send_message(control_.get(), {SpawnerEvent::Kind::start_failed, -1, EBUSY});
    int ends[2];
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
      return send_message(control_.get(), {SpawnerEvent::Kind::start_failed, -1, errno});
    const Fd server_end(ends[0]);
    const Fd worker_end(ends[1]);
    const pid_t spawner = ::getpid();
    const pid_t pid = ::fork();
    if (pid < 0) return send_message(control_.get(), {SpawnerEvent::Kind::start_failed, -1, errno});
    if (pid == 0) become_worker(worker_end.get(), spawner);
    worker_ = pid;
    send_message(control_.get(), {SpawnerEvent::Kind::started, pid, 0}, server_end.get());
  }

  [[noreturn]] void become_worker(int socket, pid_t spawner) {
    sigset_t none;
    sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != spawner) ::_exit(0);  // it died before the line above took effect
    // dup2 clears close-on-exec, except onto itself.
    if (socket == Spawner::worker_socket) {
      ::fcntl(socket, F_SETFD, 0);
    } else {
      ::dup2(socket, Spawner::worker_socket);
    }
    ::fexecve(program_.get(), arguments_.data(), environ);
    ::_exit(127);
  }

  void reap() {
    signalfd_siginfo info;
    while (::read(children_.get(), &info, sizeof info) == sizeof info) {
    }
    int status = 0;
    if (worker_ <= 0 || ::waitpid(worker_, &status, WNOHANG) != worker_) return;
    send_message(control_.get(), {SpawnerEvent::Kind::exited, worker_, status});
    worker_ = -1;
  }

  // A worker stuck in the kernel dies when its call returns, and its parent's death signal is on the way already.
  // False when it is still there.
  bool end_worker() {
    if (worker_ <= 0) return true;
    ::kill(worker_, SIGKILL);
    pollfd wait{children_.get(), POLLIN, 0};
    if (::poll(&wait, 1, reap_wait_ms) > 0) reap();
    return worker_ <= 0;
  }

  Fd control_;
  Fd program_;
  std::vector<char*> arguments_;
  Fd children_;
  pid_t worker_ = -1;
};

// A spawner that is forked late must not keep the server's clients alive.
void close_others(int kept, int also_kept) {
  const auto low = static_cast<unsigned>(std::min(kept, also_kept));
  const auto high = static_cast<unsigned>(std::max(kept, also_kept));
  constexpr unsigned first = STDERR_FILENO + 1;
  if (low > first) ::close_range(first, low - 1, 0);
  if (high > low + 1) ::close_range(low + 1, high - 1, 0);
  ::close_range(high + 1, ~0U, 0);
}

Result<void> send_request(int control, Request request) {
  if (::send(control, &request, sizeof request, MSG_NOSIGNAL | MSG_DONTWAIT) == sizeof request) return {};
  return fail_errno("cannot reach the spawner", errno);
}

}  // namespace

Result<Spawner> Spawner::fork_off(const std::vector<std::string>& worker_arguments) {
  // Opened now: later the file on disk may be another version, which would speak another protocol.
  const Fd opened(::open("/proc/self/exe", O_PATH | O_CLOEXEC));
  if (!opened) return fail_errno("cannot open /proc/self/exe", errno);
  // Above the number that the worker's socket will take.
  Fd program(::fcntl(opened.get(), F_DUPFD_CLOEXEC, worker_socket + 1));
  if (!program) return fail_errno("cannot duplicate a descriptor", errno);
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
    return fail_errno("cannot create the spawner's socket", errno);
  Fd server_end(ends[0]);
  Fd spawner_end(ends[1]);
  std::vector<std::string> words = {"gputach-worker"};
  words.insert(words.end(), worker_arguments.begin(), worker_arguments.end());
  std::vector<char*> arguments;
  arguments.reserve(words.size() + 1);
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  // Should the spawner die, its worker becomes this process's child and can be reaped.
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  const pid_t pid = ::fork();
  if (pid < 0) return fail_errno("cannot fork the spawner", errno);
  if (pid == 0) {
    close_others(spawner_end.get(), program.get());
    SpawnerProcess(std::move(spawner_end), std::move(program), std::move(arguments)).run();
  }
  return Spawner(std::move(server_end), pid, worker_arguments);
}

Result<void> Spawner::replace() {
  Result<Spawner> another = fork_off(worker_arguments_);
  if (!another) return std::unexpected(another.error());
  *this = *std::move(another);
  return {};
}

Result<void> Spawner::start_worker() {
  return send_request(control_.get(), Request::start);
}

Result<void> Spawner::kill_worker() {
  return send_request(control_.get(), Request::kill);
}

Result<std::optional<SpawnerEvent>> Spawner::receive() {
  Message message;
  iovec bytes{&message, sizeof message};
  alignas(cmsghdr) char ancillary[CMSG_SPACE(sizeof(int))] = {};
  msghdr header{};
  header.msg_iov = &bytes;
  header.msg_iovlen = 1;
  header.msg_control = ancillary;
  header.msg_controllen = sizeof ancillary;
  const ssize_t length = ::recvmsg(control_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (length < 0 && (errno == EAGAIN || errno == EINTR)) return std::nullopt;
  if (length != sizeof message) return fail(ErrorCode::closed, "the spawner has gone");
  SpawnerEvent event{message.kind, message.pid, message.value, Fd()};
  if (const cmsghdr* rights = CMSG_FIRSTHDR(&header); rights != nullptr && rights->cmsg_type == SCM_RIGHTS) {
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(rights), sizeof descriptor);
    event.socket = Fd(descriptor);
  }
  return std::optional<SpawnerEvent>(std::move(event));
}

bool Spawner::stop() {
  control_.reset();
  if (pid_ <= 0) return true;
  const SystemClock clock;
  const Instant deadline = clock.now() + limits::spawner_exit;
  // The kernel gives no wait with a deadline for one child; a few short polls at the very end are bounded and plain.
  int status = 0;
  while (::waitpid(pid_, &status, WNOHANG) == 0) {
    if (clock.now() >= deadline) {
      // It was stopped, say. Its death is the worker's, too (PR_SET_PDEATHSIG).
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, &status, 0);
      break;
    }
    ::poll(nullptr, 0, 2);
  }
  pid_ = -1;
  return !(WIFEXITED(status) && WEXITSTATUS(status) == exit_worker_left);
}

}  // namespace gputach
