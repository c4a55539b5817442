#include "sources/nvml/nvml_source.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "base/limits.h"
#include "sources/nvml/fake_driver.h"

namespace gputach {
namespace {

using namespace std::chrono_literals;
using nvml::FakeDriver;
using nvml::Origin;
using nvml::Return;

const std::string lost = "GPU is lost";

class Source : public ::testing::Test {
 protected:
  ManualClock clock;
  FakeDriver driver{4};
  std::unique_ptr<NvmlReader> reader;
  std::vector<Entity> entities;
  std::vector<unsigned> shown;

  // Opens and prepares as the worker does.
  Result<unsigned> start(const DeviceSelection& devices = {}, Origin origin = Origin::driver) {
    NvmlOptions options;
    options.devices = devices;
    reader = std::make_unique<NvmlReader>(driver.library(origin), options, clock);
    auto count = reader->open();
    if (!count) return count;
    entities.resize(*count);
    for (unsigned slot = 0; slot < *count; ++slot)
      if (reader->prepare_device(slot, entities[slot])) shown.push_back(slot);
    return count;
  }
  void read() {
    for (const unsigned slot : shown) reader->read_device(slot, entities[slot]);
  }
  nvml::FakeGpu& gpu(unsigned index) { return *driver.gpus[index]; }
  // Every call on the GPU and its handle fails like this.
  void break_gpu(unsigned index, Return code) {
    driver.handle_scripts[index] = {code, 1'000'000};
    for (const auto& [symbol, address] : nvml::fake::symbols()) gpu(index).always(symbol, code);
  }
  void repair_gpu(unsigned index) {
    driver.handle_scripts.erase(index);
    gpu(index).scripts.clear();
  }
};

TEST_F(Source, ReadsEveryGpuWithItsIdentity) {
  ASSERT_EQ(start(), 4u);
  EXPECT_EQ(reader->why(), "driver 999.0");
  EXPECT_EQ(entities[2].uuid, gpu(2).uuid);
  EXPECT_EQ(entities[2].condition, Status::not_read) << "prepared, and not yet read";
  read();
  for (const unsigned slot : shown) {
    EXPECT_EQ(entities[slot].index, slot);
    EXPECT_EQ(entities[slot].uuid, gpu(slot).uuid);
    EXPECT_EQ(entities[slot].name, "NVIDIA H100 80GB HBM3");
    EXPECT_EQ(entities[slot].condition, Status::ok);
    EXPECT_EQ(entities[slot][id("power_watts")], Reading::of(350.512));
  }
  EXPECT_FALSE(reader->needs_restart());
  EXPECT_FALSE(reader->simulated());
}

TEST_F(Source, FetchesHandleAndIdentityOnce) {
  ASSERT_EQ(start(), 4u);
  for (int pass = 0; pass < 5; ++pass) read();
  EXPECT_EQ(driver.handles_asked[0], 1u);
  EXPECT_EQ(gpu(0).asked["nvmlDeviceGetName"], 1u);
  EXPECT_EQ(gpu(0).asked["nvmlDeviceGetUUID"], 1u);
}

TEST_F(Source, ASimulatedDriverIsToldInTheName) {
  ASSERT_EQ(start({}, Origin::simulator), 4u);
  EXPECT_TRUE(reader->simulated());
  EXPECT_EQ(entities[0].name, "NVIDIA H100 80GB HBM3 (simulated)");
}

TEST_F(Source, AMissingLibraryIsNotInitializedAndWhySaysWhichFile) {
  NvmlReader absent({.library_path = "/nonexistent/libnvidia-ml.so.1", .devices = {}}, clock);
  const auto opened = absent.open();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error(), (Error{ErrorCode::not_initialized, "NVML not initialized"}));
  EXPECT_NE(absent.why().find("/nonexistent/libnvidia-ml.so.1"), std::string::npos);
}

TEST_F(Source, EveryRefusalOfInitIsNotInitializedExceptThatThereAreNoGpus) {
  for (int code = 1; code <= 31; ++code) {
    driver.init = code == 31 ? Return::unknown : Return{code};
    const auto opened = start();
    if (driver.init == Return::already_initialized) {
      EXPECT_TRUE(opened);
      continue;
    }
    ASSERT_FALSE(opened) << code;
    const bool none = driver.init == Return::gpu_not_found;
    EXPECT_EQ(opened.error().code, none ? ErrorCode::no_gpus : ErrorCode::not_initialized) << code;
    EXPECT_EQ(opened.error().context, none ? "no GPUs found" : "NVML not initialized") << code;
  }
  driver.init = Return::driver_not_loaded;
  EXPECT_FALSE(start());
  EXPECT_EQ(reader->why(), "nvmlInit_v2: Driver Not Loaded (9)");
}

TEST_F(Source, NoGpusIsAnErrorOfItsOwn) {
  driver.gpus.clear();
  const auto opened = start();
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error(), (Error{ErrorCode::no_gpus, "no GPUs found"}));
}

TEST_F(Source, ACountThatFailsIsNotInitialized) {
  driver.count_code = Return::unknown;
  EXPECT_EQ(start().error().code, ErrorCode::not_initialized);
  EXPECT_EQ(reader->why(), "nvmlDeviceGetCount_v2: Unknown Error (999)");
}

TEST_F(Source, MoreGpusThanTheLimitAreCutOffAndItIsSaid) {
  while (driver.gpus.size() < limits::gpus_max + 3) driver.gpus.push_back(std::make_shared<nvml::FakeGpu>());
  EXPECT_EQ(start(), limits::gpus_max);
  EXPECT_EQ(reader->why(), "driver 999.0, 67 GPUs found, the first 64 are served");
}

TEST_F(Source, SelectionByIndexDoesNotTouchTheOtherGpus) {
  ASSERT_EQ(start({.indices = {1, 3}, .uuids = {}}), 4u);
  EXPECT_EQ(shown, (std::vector{1u, 3u}));
  EXPECT_EQ(driver.handles_asked.count(0) + driver.handles_asked.count(2), 0u);
}

TEST_F(Source, SelectionByUuidAndIndexTogether) {
  ASSERT_EQ(start({.indices = {0}, .uuids = {gpu(2).uuid}}), 4u);
  EXPECT_EQ(shown, (std::vector{0u, 2u}));
}

TEST_F(Source, ASelectionThatMatchesNothingShowsNothing) {
  ASSERT_EQ(start({.indices = {9}, .uuids = {"GPU-of-somebody-else"}}), 4u);
  EXPECT_TRUE(shown.empty());
  EXPECT_FALSE(reader->needs_restart());
}

TEST_F(Source, AGpuOfUnknownUuidIsShownAsFaultUntilItTurnsOutNotToBeSelected) {
  break_gpu(1, Return::unknown);
  ASSERT_EQ(start({.indices = {}, .uuids = {gpu(2).uuid}}), 4u);
  EXPECT_EQ(shown, (std::vector{1u, 2u}));
  EXPECT_EQ(entities[1].uuid, "");
  repair_gpu(1);
  clock.advance(1s);
  read();
  EXPECT_TRUE(reader->needs_restart()) << "a new enumeration leaves it out";
}

TEST_F(Source, AHandleThatCannotBeFetchedIsAFaultOfThatGpuAlone) {
  struct Case {
    Return code;
    Status condition;
    std::string fault;
  };
  for (const Case& c :
       {Case{Return::no_permission, Status::no_permission, "GetHandleByIndex: Insufficient Permissions"},
        Case{Return::insufficient_power, Status::failed, "GetHandleByIndex: Insufficient External Power"},
        Case{Return::irq_issue, Status::failed, "GetHandleByIndex: Interrupt Request Issue"},
        Case{Return::gpu_is_lost, Status::lost, lost},
        Case{Return::unknown, Status::failed, "GetHandleByIndex: Unknown Error"}}) {
    shown.clear();
    break_gpu(1, c.code);
    ASSERT_EQ(start(), 4u);
    EXPECT_EQ(shown.size(), 4u);
    for (int round = 0; round < 2; ++round) {
      EXPECT_EQ(entities[1].condition, c.condition);
      EXPECT_EQ(entities[1].fault, c.fault);
      EXPECT_EQ(entities[1].uuid, "");
      for (const Reading& reading : entities[1].readings) EXPECT_EQ(reading, Reading::missing(c.condition));
      read();
    }
    EXPECT_EQ(entities[2].condition, Status::ok);
    EXPECT_FALSE(reader->needs_restart());
    repair_gpu(1);
    clock.advance(1s);
    read();
    EXPECT_EQ(entities[1].condition, Status::ok);
    EXPECT_EQ(entities[1].uuid, gpu(1).uuid);
  }
}

TEST_F(Source, ALostGpuIsLeftAloneForOneTwoAndFourSeconds) {
  ASSERT_EQ(start(), 4u);
  read();
  break_gpu(1, Return::gpu_is_lost);
  std::vector<int> asked_at;
  unsigned asked = driver.handles_asked[1];
  for (int second = 0; second < 20; ++second) {
    read();
    EXPECT_EQ(entities[1].condition, Status::lost);
    EXPECT_EQ(entities[1].fault, lost);
    EXPECT_EQ(entities[1].uuid, gpu(1).uuid) << "it keeps its identity";
    EXPECT_EQ(entities[0].condition, Status::ok);
    if (driver.handles_asked[1] != asked) asked_at.push_back(second);
    asked = driver.handles_asked[1];
    clock.advance(1s);
  }
  EXPECT_EQ(asked_at, (std::vector{1, 3, 7, 11, 15, 19}));
  EXPECT_FALSE(reader->needs_restart());
  repair_gpu(1);
  clock.advance(4s);
  read();
  EXPECT_EQ(entities[1].condition, Status::ok);
  EXPECT_EQ(entities[1].fault, "");
}

TEST_F(Source, AHandleThatComesBackWithoutFiguresDoesNotShortenThePause) {
  ASSERT_EQ(start(), 4u);
  gpu(1).always("nvmlDeviceGetPowerUsage", Return::gpu_is_lost);
  for (int second = 0; second < 16; ++second) {
    read();
    clock.advance(1s);
  }
  EXPECT_EQ(driver.handles_asked[1], 6u) << "at the start and after 1, 3, 7, 11 and 15 seconds";
}

TEST_F(Source, AfterAFullPassThePauseBeginsWithOneSecondAgain) {
  ASSERT_EQ(start(), 4u);
  break_gpu(1, Return::gpu_is_lost);
  for (int second = 0; second < 8; ++second) {
    read();
    clock.advance(1s);
  }
  repair_gpu(1);
  clock.advance(4s);
  read();
  ASSERT_EQ(entities[1].condition, Status::ok);
  gpu(1).next("nvmlDeviceGetPowerUsage", Return::gpu_is_lost);
  read();
  EXPECT_EQ(entities[1].condition, Status::lost);
  clock.advance(1s);
  read();
  EXPECT_EQ(entities[1].condition, Status::ok);
}

TEST_F(Source, AGpuThatComesBackIsAskedForEverythingAgain) {
  gpu(1).always("nvmlDeviceGetFanSpeed", Return::not_supported);
  ASSERT_EQ(start(), 4u);
  read();
  EXPECT_EQ(entities[1][id("fan_speed_ratio")], Reading::missing(Status::unsupported));
  gpu(1).scripts.clear();
  gpu(1).next("nvmlDeviceGetPowerUsage", Return::gpu_is_lost);
  read();
  clock.advance(1s);
  read();
  EXPECT_EQ(entities[1][id("fan_speed_ratio")], Reading::of(0.45));
}

TEST_F(Source, AnotherGpuInItsPlaceIsShownAsWhatItIs) {
  ASSERT_EQ(start(), 4u);
  break_gpu(1, Return::gpu_is_lost);
  read();
  repair_gpu(1);
  gpu(1).uuid = "GPU-replacement";
  gpu(1).name = "NVIDIA H200";
  clock.advance(1s);
  read();
  EXPECT_EQ(entities[1].condition, Status::ok);
  EXPECT_EQ(entities[1].uuid, "GPU-replacement");
  EXPECT_EQ(entities[1].name, "NVIDIA H200");
}

TEST_F(Source, GpusThatMoveUpInTheEnumerationAreNotShownTwice) {
  ASSERT_EQ(start(), 4u);
  read();
  const std::string uuid = gpu(1).uuid;
  const auto gone = driver.gpus[1];
  for (const auto& [symbol, address] : nvml::fake::symbols()) gone->always(symbol, Return::gpu_is_lost);
  driver.gpus.erase(driver.gpus.begin() + 1);
  for (int second = 0; second < 5; ++second) {
    read();
    EXPECT_EQ(entities[1].uuid, uuid);
    EXPECT_EQ(entities[1].condition, Status::lost);
    EXPECT_EQ(entities[2].condition, Status::ok);
    EXPECT_EQ(entities[3].condition, Status::ok);
    clock.advance(1s);
  }
}

TEST_F(Source, OnlyAFreshProcessHelpsWhenLibraryAndModuleHaveParted) {
  for (const Return code : {Return::uninitialized, Return::driver_not_loaded, Return::lib_rm_version_mismatch}) {
    shown.clear();
    ASSERT_EQ(start(), 4u);
    read();
    EXPECT_FALSE(reader->needs_restart());
    gpu(2).always("nvmlDeviceGetPowerUsage", code);
    read();
    EXPECT_TRUE(reader->needs_restart()) << nvml::text_of(code);
    gpu(2).scripts.clear();
  }
}

TEST_F(Source, GpusThatAreGoneNeedARestartOnlyWhenAllAre) {
  for (const Return code : {Return::gpu_not_found, Return::invalid_argument}) {
    shown.clear();
    ASSERT_EQ(start({.indices = {0, 1, 2}, .uuids = {}}), 4u);
    for (const unsigned index : {0u, 1u, 2u}) {
      EXPECT_FALSE(reader->needs_restart());
      for (const auto& [symbol, address] : nvml::fake::symbols()) gpu(index).always(symbol, code);
      read();
      EXPECT_EQ(entities[index].condition, Status::failed);
    }
    EXPECT_TRUE(reader->needs_restart()) << nvml::text_of(code);
    for (const auto& each : driver.gpus) each->scripts.clear();
  }
}

TEST_F(Source, AGpuThatWasGoneAndIsBackCountsAgain) {
  ASSERT_EQ(start({.indices = {0, 1}, .uuids = {}}), 4u);
  for (const auto& [symbol, address] : nvml::fake::symbols()) gpu(0).always(symbol, Return::gpu_not_found);
  read();
  repair_gpu(0);
  clock.advance(1s);
  read();
  EXPECT_EQ(entities[0].condition, Status::ok);
  for (const auto& [symbol, address] : nvml::fake::symbols()) gpu(1).always(symbol, Return::gpu_not_found);
  read();
  EXPECT_FALSE(reader->needs_restart());
}

TEST_F(Source, LostGpusDoNotRestartTheWorker) {
  ASSERT_EQ(start(), 4u);
  for (const unsigned slot : shown) break_gpu(slot, Return::gpu_is_lost);
  for (int second = 0; second < 10; ++second) {
    read();
    clock.advance(1s);
  }
  EXPECT_FALSE(reader->needs_restart());
}

TEST_F(Source, AnIdentityThatFailsIsTriedOnceMoreAndThenTheGpuIsDown) {
  gpu(0).next("nvmlDeviceGetUUID", Return::unknown);
  gpu(1).always("nvmlDeviceGetUUID", Return::unknown);
  gpu(2).always("nvmlDeviceGetName", Return::gpu_is_lost);
  gpu(3).always("nvmlDeviceGetName", Return::function_not_found);
  ASSERT_EQ(start(), 4u);
  read();
  EXPECT_EQ(entities[0].uuid, gpu(0).uuid);
  EXPECT_EQ(entities[0].condition, Status::ok);
  EXPECT_EQ(entities[1].condition, Status::failed);
  EXPECT_EQ(entities[1].fault, "GetUUID: Unknown Error");
  EXPECT_EQ(entities[2].fault, lost);
  EXPECT_EQ(entities[2].uuid, gpu(2).uuid) << "what is known of it is told";
  EXPECT_EQ(entities[3].condition, Status::ok) << "a GPU without a name is still a GPU";
  EXPECT_EQ(entities[3].name, "");
}

TEST_F(Source, ANameWithoutAnEndIsCut) {
  gpu(0).name = std::string(500, 'x');
  ASSERT_EQ(start(), 4u);
  EXPECT_EQ(entities[0].name, std::string(nvml::name_bytes, 'x'));
}

TEST_F(Source, DifferentSlotsAreReadOnDifferentThreads) {
  // The fake's own counters are the only thing that threads share besides the reader: they are per GPU, and the
  // handles are fetched before.
  ASSERT_EQ(start(), 4u);
  gpu(1).always("nvmlDeviceGetPowerUsage", Return::invalid_argument);
  gpu(2).always("nvmlDeviceGetUtilizationRates", Return::gpu_is_lost);
  std::vector<std::thread> threads;
  for (const unsigned slot : shown) {
    threads.emplace_back([this, slot] {
      for (int pass = 0; pass < 500; ++pass) reader->read_device(slot, entities[slot]);
    });
  }
  for (int i = 0; i < 500; ++i) EXPECT_FALSE(reader->needs_restart());
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(entities[0].condition, Status::ok);
  EXPECT_EQ(entities[1].condition, Status::failed);
  EXPECT_EQ(entities[2].condition, Status::lost);
  EXPECT_EQ(entities[3].condition, Status::ok);
}

}  // namespace
}  // namespace gputach
