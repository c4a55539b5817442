// Faults as a client meets them: through the built library, started and ended by changing a file.
#include <gmock/gmock.h>
#include <algorithm>
#include <csignal>
#include <future>
#include <vector>

#include "library_fixture.h"

namespace gputach::sim {
namespace {

using namespace std::chrono_literals;
using nvml::Return;
using std::chrono::steady_clock;

constexpr std::string_view two_gpus = R"(
[[gpu]]
count = 2
memory_total_mib = 1000
memory_reserved_mib = 100
memory_used_mib = 300
utilization_percent = 50
temperature_c = 40
power_w = 100
fan_percent = 30
encoder_percent = 1
decoder_percent = 2
)";

std::string with_fault(std::string_view fault) {
  return std::string(two_gpus).append("[[fault]]\n").append(fault);
}

std::future<Return> power_in_thread(const TestLibrary& nvml, nvml::Device device) {
  return std::async(std::launch::async, [&nvml, device] { return nvml.power(device); });
}

bool answers(std::future<Return>& call) {
  return call.wait_for(patience) == std::future_status::ready;
}
bool blocks(std::future<Return>& call) {
  return call.wait_for(60ms) == std::future_status::timeout;
}

TEST(SimFault, LostGpuKeepsItsHandleAndIdentityAndNothingElse) {
  const TestLibrary nvml("one-gpu-lost");
  ASSERT_EQ(nvml.init(), Return::success);
  EXPECT_EQ(nvml.count(), 8U);
  for (unsigned gpu = 0; gpu < 8; ++gpu) {
    const nvml::Device device = nvml.handle(gpu);
    const Return expected = gpu == 2 ? Return::gpu_is_lost : Return::success;
    std::array<char, nvml::uuid_bytes> uuid{};
    EXPECT_EQ(nvml.power(device), expected) << gpu;
    EXPECT_EQ(nvml.call<nvml::DeviceGetTextFn>("nvmlDeviceGetUUID", device, uuid.data(), nvml::uuid_bytes),
              Return::success);
    EXPECT_TRUE(std::string_view(uuid.data()).starts_with("GPU-"));
  }
}

TEST(SimFault, StartsAfterAWhileAndEnds) {
  const auto opened = steady_clock::now();
  const TestLibrary nvml("one-gpu-lost?gpu=0&after_s=0.3");
  ASSERT_EQ(nvml.init(), Return::success);
  const nvml::Device device = nvml.handle(0);
  const Return first = nvml.power(device);
  EXPECT_TRUE(first == Return::success || steady_clock::now() - opened >= 300ms);
  EXPECT_TRUE(eventually([&] { return nvml.power(device) == Return::gpu_is_lost; }));
  EXPECT_GE(steady_clock::now() - opened, 300ms);
}

TEST(SimFault, ReturnsAnyCodeOnTheGpuAndCallItNames) {
  const ScenarioFile file(with_fault("gpu = 1\ncall = \"nvmlDeviceGetPowerUsage\"\nreturn = 777\n"));
  const TestLibrary nvml(file.path());
  ASSERT_EQ(nvml.init(), Return::success);
  unsigned fan = 0;
  EXPECT_EQ(nvml.power(nvml.handle(0)), Return::success);
  EXPECT_EQ(nvml.power(nvml.handle(1)), static_cast<Return>(777));
  EXPECT_EQ(nvml.call<nvml::DeviceGetU32Fn>("nvmlDeviceGetFanSpeed", nvml.handle(1), &fan), Return::success);
}

TEST(SimFault, StrikesHandlesAndInitAsWell) {
  const ScenarioFile file(with_fault("gpu = 1\ncall = \"*\"\nreturn = \"IRQ_ISSUE\"\n"));
  const TestLibrary nvml(file.path());
  ASSERT_EQ(nvml.init(), Return::success);
  nvml::Device device = nullptr;
  EXPECT_EQ(nvml.call<nvml::DeviceGetHandleByIndexFn>("nvmlDeviceGetHandleByIndex_v2", 1U, &device), Return::irq_issue);
  EXPECT_EQ(nvml.count(), 2U) << "a fault of a GPU leaves calls alone that name none";
  file.replace(with_fault("call = \"nvmlInit_v2\"\nreturn = \"LIB_RM_VERSION_MISMATCH\"\n"));
  EXPECT_TRUE(eventually([&] { return nvml.init() == Return::lib_rm_version_mismatch; }));
}

TEST(SimFault, StrikesOnlyEveryNthCall) {
  const ScenarioFile file(with_fault("call = \"nvmlDeviceGetPowerUsage\"\nevery = 3\nreturn = \"UNKNOWN\"\n"));
  const TestLibrary nvml(file.path());
  ASSERT_EQ(nvml.init(), Return::success);
  std::vector<int> codes;
  codes.reserve(7);
  for (int i = 0; i < 7; ++i) codes.push_back(static_cast<int>(nvml.power(nvml.handle(0))));
  EXPECT_THAT(codes, ::testing::ElementsAre(0, 0, 999, 0, 0, 999, 0));
}

TEST(SimFault, FalsifiesValuesInTheUnitOfTheCall) {
  const ScenarioFile file(with_fault("gpu = 0\ncall = \"*\"\nvalue = -1\n"));
  const TestLibrary nvml(file.path());
  ASSERT_EQ(nvml.init(), Return::success);
  unsigned value = 0;
  EXPECT_EQ(nvml.power(nvml.handle(0), &value), Return::success);
  EXPECT_EQ(value, 0xFFFFFFFFU);
  nvml::MemoryV2 memory{.version = nvml::memory_v2_version, .total = 0, .reserved = 0, .free = 0, .used = 0};
  ASSERT_EQ(nvml.call<nvml::DeviceGetMemoryInfoV2Fn>("nvmlDeviceGetMemoryInfo_v2", nvml.handle(0), &memory),
            Return::success);
  EXPECT_EQ(memory.used, ~std::uint64_t{0});
  EXPECT_EQ(nvml.power(nvml.handle(1), &value), Return::success);
  EXPECT_EQ(value, 100'000U);
}

TEST(SimFault, DelaysCalls) {
  const ScenarioFile file(with_fault("gpu = 0\ncall = \"nvmlDeviceGetPowerUsage\"\ndelay_ms = 80\n"));
  const TestLibrary nvml(file.path());
  ASSERT_EQ(nvml.init(), Return::success);
  const nvml::Device device = nvml.handle(0);
  const auto before = steady_clock::now();
  EXPECT_EQ(nvml.power(device), Return::success);
  EXPECT_GE(steady_clock::now() - before, 80ms);
}

TEST(SimFault, HangBlocksItsCallAloneUntilTheFileChanges) {
  const ScenarioFile file(with_fault("gpu = 0\ncall = \"nvmlDeviceGetPowerUsage\"\nhang = true\n"));
  const TestLibrary nvml(file.path());
  ASSERT_EQ(nvml.init(), Return::success);
  auto hung = power_in_thread(nvml, nvml.handle(0));
  EXPECT_TRUE(eventually([&] { return nvml.calls("nvmlDeviceGetPowerUsage") == 1; }));
  EXPECT_EQ(nvml.power(nvml.handle(1)), Return::success);
  EXPECT_TRUE(blocks(hung));
  file.replace(with_fault("gpu = 1\ncall = \"nvmlDeviceGetPowerUsage\"\nhang = true\n"));
  EXPECT_TRUE(answers(hung));
  EXPECT_EQ(hung.get(), Return::success);
}

TEST(SimFault, HangWithTheLockBlocksEveryOtherCall) {
  const ScenarioFile file(with_fault("gpu = 0\ncall = \"nvmlDeviceGetPowerUsage\"\nhang = true\nhold_lock = true\n"));
  const TestLibrary nvml(file.path());
  ASSERT_EQ(nvml.init(), Return::success);
  const nvml::Device other = nvml.handle(1);
  auto hung = power_in_thread(nvml, nvml.handle(0));
  EXPECT_TRUE(eventually([&] { return nvml.calls("nvmlDeviceGetPowerUsage") == 1; }));
  EXPECT_TRUE(blocks(hung));
  auto behind = power_in_thread(nvml, other);
  auto shutdown = std::async(std::launch::async, [&] { return nvml.shutdown(); });
  EXPECT_TRUE(blocks(behind));
  EXPECT_TRUE(blocks(shutdown));
  file.replace(two_gpus);
  EXPECT_TRUE(answers(hung));
  EXPECT_TRUE(answers(behind));
  EXPECT_TRUE(answers(shutdown));
}

TEST(SimFault, HangEndsByItselfWhenItsTimeIsOver) {
  const auto opened = steady_clock::now();
  const TestLibrary nvml("hang?call=nvmlDeviceGetPowerUsage&gpu=3&for_s=0.3");
  ASSERT_EQ(nvml.init(), Return::success);
  EXPECT_EQ(nvml.power(nvml.handle(2)), Return::success);
  EXPECT_EQ(nvml.power(nvml.handle(3)), Return::success);
  EXPECT_GE(steady_clock::now() - opened, 280ms);
}

TEST(SimFault, CrashEndsTheProcess) {
  const ScenarioFile file(with_fault("call = \"nvmlInit_v2\"\ncrash = true\n"));
  EXPECT_EXIT(
      {
        const TestLibrary nvml(file.path());
        std::_Exit(static_cast<int>(nvml.init()));
      },
      ::testing::KilledBySignal(SIGABRT), "");
}

TEST(SimFault, ProcessCanExitWhileACallHangs) {
  const ScenarioFile file(with_fault("call = \"nvmlDeviceGetPowerUsage\"\nhang = true\n"));
  EXPECT_EXIT(
      {
        const TestLibrary nvml(file.path());
        std::ignore = nvml.init();
        std::thread([&nvml] { std::ignore = nvml.power(nvml.handle(0)); }).detach();
        if (!eventually([&] { return nvml.calls("nvmlDeviceGetPowerUsage") == 1; })) std::_Exit(1);
        std::exit(7);
      },
      ::testing::ExitedWithCode(7), "");
}

TEST(SimFault, AbsentFunctionsSayFunctionNotFound) {
  const ScenarioFile file(
      std::string(two_gpus).append("[driver]\nabsent = [\"nvmlDeviceGetTemperatureV\", \"nvmlDeviceGetCount_v2\"]\n"));
  const TestLibrary nvml(file.path());
  ASSERT_EQ(nvml.init(), Return::success);
  nvml::TemperatureV1 temperature{.version = nvml::temperature_v1_version, .sensor_type = 0, .temperature = 0};
  EXPECT_EQ(nvml.call<nvml::DeviceGetTemperatureVFn>("nvmlDeviceGetTemperatureV", nvml.handle(0), &temperature),
            Return::function_not_found);
  unsigned out = 0;
  EXPECT_EQ(nvml.call<nvml::DeviceGetTemperatureFn>("nvmlDeviceGetTemperature", nvml.handle(0), 0, &out),
            Return::success);
  EXPECT_EQ(out, 40U);
  EXPECT_EQ(nvml.call<nvml::DeviceGetCountFn>("nvmlDeviceGetCount_v2", &out), Return::function_not_found);
}

TEST(SimFault, FirstHandleOfEachGpuIsSlow) {
  const TestLibrary nvml("slow-start?delay_ms=60");
  ASSERT_EQ(nvml.init(), Return::success);
  for (unsigned gpu = 0; gpu < 2; ++gpu) {
    const auto before = steady_clock::now();
    std::ignore = nvml.handle(gpu);
    EXPECT_GE(steady_clock::now() - before, 60ms) << gpu;
  }
  steady_clock::duration fastest = 1h;
  for (int i = 0; i < 10; ++i) {
    const auto before = steady_clock::now();
    std::ignore = nvml.handle(0);
    fastest = std::min(fastest, steady_clock::now() - before);
  }
  EXPECT_LT(fastest, 60ms);
}

TEST(SimScenarioFile, ValuesChangeAtOnceAndGpusWithTheNextInit) {
  const ScenarioFile file("seed = 5\n[[gpu]]\ncount = 2\npower_w = 100\n");
  const TestLibrary nvml(file.path());
  ASSERT_EQ(nvml.init(), Return::success);
  const nvml::Device device = nvml.handle(1);
  file.replace("seed = 5\n[[gpu]]\ncount = 3\npower_w = 200\n");
  unsigned milliwatts = 0;
  EXPECT_TRUE(eventually([&] { return nvml.power(device, &milliwatts) == Return::success && milliwatts == 200'000; }));
  EXPECT_EQ(nvml.count(), 2U);
  ASSERT_EQ(nvml.shutdown(), Return::success);
  ASSERT_EQ(nvml.init(), Return::success);
  EXPECT_EQ(nvml.count(), 3U);
}

TEST(SimScenarioFile, MayChangeWhileManyThreadsCall) {
  const ScenarioFile file(two_gpus);
  const TestLibrary nvml(file.path());
  ASSERT_EQ(nvml.init(), Return::success);
  std::atomic<bool> stop = false;
  std::atomic<unsigned> odd_answers = 0;
  std::vector<std::thread> readers;
  readers.reserve(4);
  for (unsigned i = 0; i < 4; ++i) {
    readers.emplace_back([&, device = nvml.handle(i % 2)] {
      while (!stop) {
        const Return answer = nvml.power(device);
        if (answer != Return::success && answer != Return::timeout) ++odd_answers;
      }
    });
  }
  const nvml::Device device = nvml.handle(0);
  for (int round = 0; round < 5; ++round) {
    file.replace(with_fault("call = \"nvmlDeviceGetPowerUsage\"\nreturn = \"TIMEOUT\"\n"));
    EXPECT_TRUE(eventually([&] { return nvml.power(device) == Return::timeout; }));
    file.replace(two_gpus);
    EXPECT_TRUE(eventually([&] { return nvml.power(device) == Return::success; }));
  }
  stop = true;
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(odd_answers, 0U);
}

TEST(SimScenarioFile, BrokenFileStopsNewInitsAndLeavesTheOldSessionAlone) {
  const ScenarioFile file(two_gpus);
  const TestLibrary nvml(file.path());
  ASSERT_EQ(nvml.init(), Return::success);
  const nvml::Device device = nvml.handle(0);
  ::testing::internal::CaptureStderr();
  file.replace("colour = 1\n");
  std::string said;
  const bool seen = eventually([&] {
    EXPECT_EQ(nvml.power(device), Return::success);
    std::fflush(stderr);
    said += ::testing::internal::GetCapturedStderr();
    ::testing::internal::CaptureStderr();
    return said.find("unknown key `colour`") != std::string::npos;
  });
  EXPECT_TRUE(seen);
  ASSERT_EQ(nvml.shutdown(), Return::success);
  EXPECT_EQ(nvml.init(), Return::unknown);
  EXPECT_EQ(::testing::internal::GetCapturedStderr(), "") << "said once";
  file.replace(two_gpus);
  EXPECT_TRUE(eventually([&] { return nvml.init() == Return::success; }));
}

}  // namespace
}  // namespace gputach::sim
