// Real spawner and worker processes around a scripted driver. This program is its own worker: it calls itself with
// "worker SCRIPT".
#include <dirent.h>
#include <gtest/gtest.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>
#include <fstream>

#include "process/scripted_reader.h"
#include "sources/worker/worker.h"
#include "sources/worker/worker_source.h"

namespace gputach {
namespace {

using namespace std::chrono_literals;

constexpr auto timeout = 800ms;

class Server {
 public:
  explicit Server(const std::string& script, Duration startup = limits::worker_startup)
      : source_(*Spawner::fork_off({"worker", script}), {.ask_timeout = timeout, .startup = startup}, clock_),
        interrupt_(::eventfd(0, EFD_CLOEXEC)) {}

  struct Answer {
    std::optional<Error> error;
    std::vector<Entity> gpus;
    Duration took{};
  };
  Answer ask() {
    Sample sample;
    const Instant begin = clock_.now();
    const auto read = source_.read(sample, begin + timeout, interrupt_.get());
    return {read ? std::nullopt : std::optional(read.error()), sample.entities, clock_.now() - begin};
  }
  // As the sampler does between passes.
  void tend_for(Duration time) {
    const Instant end = clock_.now() + time;
    while (clock_.now() < end) {
      auto wanted = source_.upkeep();
      const auto until = std::min({wanted.due, end}) - clock_.now();
      ::poll(wanted.descriptors.data(), wanted.descriptors.size(),
             static_cast<int>(std::max<Duration>(until, Duration(0)) / 1ms) + 1);
      source_.tend();
    }
  }
  // Asks until it is good, or the deadline has passed.
  Answer ask_until_good(Duration limit) {
    const Instant end = clock_.now() + limit;
    for (;;) {
      Answer answer = ask();
      if (!answer.error || clock_.now() > end) return answer;
      tend_for(20ms);
    }
  }
  void interrupt() {
    const std::uint64_t one = 1;
    (void)!::write(interrupt_.get(), &one, sizeof one);
  }

 private:
  SystemClock clock_;
  WorkerSource source_;
  Fd interrupt_;
};

std::size_t count_entries(const char* folder) {
  std::size_t count = 0;
  DIR* directory = ::opendir(folder);
  while (::readdir(directory) != nullptr) ++count;
  ::closedir(directory);
  return count;
}

std::vector<pid_t> children_of(pid_t parent) {
  std::ifstream file("/proc/" + std::to_string(parent) + "/task/" + std::to_string(parent) + "/children");
  std::vector<pid_t> children;
  for (pid_t pid = 0; file >> pid;) children.push_back(pid);
  return children;
}

TEST(WorkerProcess, AnswersWithAllDevices) {
  Server server("good");
  const auto answer = server.ask();
  ASSERT_FALSE(answer.error) << answer.error->context;
  ASSERT_EQ(answer.gpus.size(), 4u);
  for (unsigned i = 0; i < 4; ++i) EXPECT_EQ(answer.gpus[i].uuid, "GPU-" + std::to_string(i));
}

TEST(WorkerProcess, ADeviceThatHangsCostsOnlyItsOwnRowAndOneOverrun) {
  Server server("hang-one");
  auto answer = server.ask();
  ASSERT_FALSE(answer.error) << answer.error->context;
  ASSERT_EQ(answer.gpus.size(), 4u);
  EXPECT_EQ(answer.gpus[1].condition, Status::timed_out);
  EXPECT_EQ(answer.gpus[1].uuid, "GPU-1");
  EXPECT_EQ(answer.gpus[2].condition, Status::ok);
  EXPECT_LT(answer.took, timeout);
  for (int i = 0; i < 5; ++i) {
    answer = server.ask();
    ASSERT_FALSE(answer.error);
    EXPECT_EQ(answer.gpus[1].condition, Status::timed_out);
    EXPECT_EQ(answer.gpus[3].condition, Status::ok);
    EXPECT_LT(answer.took, timeout / 4) << "it is not asked again, so nobody waits for it";
  }
}

TEST(WorkerProcess, ADeviceThatIsSlowComesBackByItself) {
  Server server("slow-one");
  auto answer = server.ask();
  ASSERT_FALSE(answer.error);
  EXPECT_EQ(answer.gpus[1].condition, Status::timed_out);
  server.tend_for(400ms);
  answer = server.ask();
  ASSERT_FALSE(answer.error);
  EXPECT_EQ(answer.gpus[1].condition, Status::timed_out) << "slow again";
  EXPECT_GE(answer.took, timeout / 4) << "but it was asked again";
}

TEST(WorkerProcess, WhenNothingElseCanBeReadALateAnswerIsUsed) {
  Server server("slow-only");
  const auto answer = server.ask();
  // Three devices hang for ever: the list ends only when the budget does.
  ASSERT_FALSE(answer.error) << answer.error->context;
  EXPECT_EQ(answer.gpus[1].condition, Status::ok);
  EXPECT_EQ(answer.gpus[0].condition, Status::timed_out);
}

TEST(WorkerProcess, AWorkerThatAnswersNothingIsKilledAndReplaced) {
  Server server("hang-all");
  for (int i = 0; i < 3; ++i) {
    const auto answer = server.ask();
    ASSERT_TRUE(answer.error);
    EXPECT_EQ(answer.error->context, "NVML timed out after 0.8 s");
    EXPECT_LT(answer.took, timeout + 200ms);
    server.tend_for(1200ms);
  }
}

TEST(WorkerProcess, ACrashIsAnErrorAtOnceAndARespawn) {
  Server server("crash-in-read");
  const auto answer = server.ask();
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->context, "worker stopped");
  EXPECT_LT(answer.took, timeout / 2);
}

TEST(WorkerProcess, ADriverThatRefusesOrCrashesWhileOpeningIsTheDocumentsError) {
  EXPECT_EQ(Server("refuse").ask().error->context, "NVML not initialized");
  EXPECT_EQ(Server("crash-in-open").ask().error->context, "worker stopped");
  Server hanging("hang-in-open");
  const auto answer = hanging.ask();
  EXPECT_EQ(answer.error->context, "NVML not initialized");
  EXPECT_GE(answer.took, timeout);
  EXPECT_LT(answer.took, timeout + 200ms);
}

TEST(WorkerProcess, ASlowStartIsWaitedForAcrossRequests) {
  Server server("slow-start");  // four handles of 300 ms
  EXPECT_EQ(server.ask().error->context, "NVML not initialized");
  const auto answer = server.ask();
  ASSERT_FALSE(answer.error) << answer.error->context;
  EXPECT_EQ(answer.gpus.size(), 4u);
}

TEST(WorkerProcess, AStartIsNotGivenUpWhileHandlesArrive) {
  Server server("slow-start", 700ms);  // each handle within it, all of them not
  EXPECT_EQ(server.ask().error->context, "NVML not initialized");
  const auto spawner = children_of(::getpid());
  const auto worker = children_of(spawner[0]);
  EXPECT_FALSE(server.ask().error);
  EXPECT_EQ(children_of(spawner[0]), worker) << "the same one";
}

TEST(WorkerProcess, AStartWithoutAnyHandleIsGivenUp) {
  Server server("hang-in-open", 300ms);
  EXPECT_EQ(server.ask().error->context, "NVML not initialized");
  server.tend_for(100ms);
  EXPECT_EQ(server.ask().error->context, "NVML not initialized");
}

TEST(WorkerProcess, DevicesThatAreNotSelectedAreNotShown) {
  EXPECT_EQ(Server("hide-one").ask().gpus.size(), 3u);
  EXPECT_EQ(Server("hide-all").ask().error->context, "no GPUs found");
}

TEST(WorkerProcess, NonsenseOnTheStreamEndsTheWorker) {
  Server server("write-garbage");
  EXPECT_EQ(server.ask().error->context, "worker stopped");
}

TEST(WorkerProcess, AnAnswerThatWantsAFreshProcessGetsOne) {
  Server server("lose-driver");
  EXPECT_EQ(server.ask().error->context, "NVML not initialized");
  server.tend_for(400ms);
  EXPECT_EQ(server.ask().error->context, "NVML not initialized") << "asked again, by a new worker";
}

TEST(WorkerProcess, AWorkerThatCouldNotNoticeAHangDoesNotStart) {
  EXPECT_EQ(Server("few-descriptors").ask().error->context, "worker stopped");
}

TEST(WorkerProcess, AnInterruptEndsAReadAtOnce) {
  Server server("hang-all");
  server.interrupt();
  const auto answer = server.ask();
  EXPECT_TRUE(answer.error);
  EXPECT_LT(answer.took, timeout / 2);
}

TEST(WorkerProcess, KilledWorkersAreReplacedAndLeaveNoDescriptorAndNoZombie) {
  Server server("good");
  ASSERT_FALSE(server.ask_until_good(5s).error);
  const auto spawner = children_of(::getpid());
  ASSERT_EQ(spawner.size(), 1u);
  const std::size_t mine = count_entries("/proc/self/fd");
  const std::string spawners_folder = "/proc/" + std::to_string(spawner[0]) + "/fd";
  const std::size_t spawners = count_entries(spawners_folder.c_str());
  for (int i = 0; i < 30; ++i) {
    const auto workers = children_of(spawner[0]);
    ASSERT_EQ(workers.size(), 1u) << "at most one, and no zombie";
    ::kill(workers[0], SIGKILL);
    ASSERT_FALSE(server.ask_until_good(5s).error) << "cycle " << i;
  }
  EXPECT_EQ(count_entries("/proc/self/fd"), mine);
  EXPECT_EQ(count_entries(spawners_folder.c_str()), spawners);
}

TEST(WorkerProcess, NothingOutlivesTheServer) {
  std::vector<pid_t> gone;
  {
    Server server("hang-all");
    server.interrupt();
    (void)server.ask();
    gone = children_of(::getpid());
    ASSERT_EQ(gone.size(), 1u);
    const auto workers = children_of(gone[0]);
    gone.insert(gone.end(), workers.begin(), workers.end());
  }
  for (const pid_t pid : gone) EXPECT_NE(::kill(pid, 0), 0) << pid;
  EXPECT_TRUE(children_of(::getpid()).empty());
}

TEST(WorkerProcess, ALostSpawnerIsAnErrorAtOnceAndIsReplacedWithItsWorker) {
  Server server("good");
  ASSERT_FALSE(server.ask_until_good(5s).error);
  const pid_t spawner = children_of(::getpid())[0];
  ::kill(spawner, SIGKILL);
  siginfo_t info;
  ASSERT_EQ(::waitid(P_PID, static_cast<id_t>(spawner), &info, WEXITED | WNOWAIT), 0);
  const auto answer = server.ask();
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->context, "worker stopped");
  EXPECT_LT(server.ask().took, 50ms);
  const std::size_t descriptors = count_entries("/proc/self/fd");
  ASSERT_FALSE(server.ask_until_good(5s).error);
  const auto children = children_of(::getpid());
  ASSERT_EQ(children.size(), 1u) << "the old spawner and the old worker are reaped";
  EXPECT_NE(children[0], spawner);
  EXPECT_EQ(children_of(children[0]).size(), 1u);
  EXPECT_LE(count_entries("/proc/self/fd"), descriptors + 3) << "a control socket and a worker's stream";
  EXPECT_LE(count_entries(("/proc/" + std::to_string(children[0]) + "/fd").c_str()), 10u)
      << "it has none of the server's descriptors";
}

}  // namespace
}  // namespace gputach

int main(int argc, char** argv) {
  if (argc == 3 && std::string_view(argv[1]) == "worker") {
    gputach::ScriptedReader reader(argv[2]);
    constexpr rlimit few{4, 4};
    if (std::string_view(argv[2]) == "few-descriptors") ::setrlimit(RLIMIT_NOFILE, &few);
    const gputach::SystemClock clock;
    gputach::run_worker(reader, clock, {.socket = 3, .handle_overrun = std::chrono::seconds(5)});
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
