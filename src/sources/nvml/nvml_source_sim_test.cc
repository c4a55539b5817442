// The production code, from dlopen on, over the simulated driver's scenarios.
#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "sources/nvml/nvml_source.h"

namespace gputach {
namespace {

using namespace std::chrono_literals;

constexpr double mebibyte = 1 << 20;

class SimulatedDriver : public ::testing::Test {
 protected:
  ManualClock clock;
  std::unique_ptr<NvmlReader> reader;
  std::vector<Entity> entities;
  std::string meminfo_path = "/proc/meminfo";

  void SetUp() override {
    if (std::getenv("GPUTACH_TEST_SIM") == nullptr) GTEST_SKIP() << "NOT RUN: GPUTACH_TEST_SIM is not set";
  }
  void TearDown() override { std::filesystem::remove(copy_); }

  // A library is never unloaded and reads its scenario when it is loaded: each test loads a copy of its own.
  Result<unsigned> open(const std::string& scenario, const DeviceSelection& devices = {}) {
    static int copies = 0;
    copy_ =
        ::testing::TempDir() + "gputach_sim_" + std::to_string(::getpid()) + "_" + std::to_string(copies++) + ".so.1";
    std::filesystem::copy_file(std::getenv("GPUTACH_TEST_SIM"), copy_);
    ::setenv("GPUTACH_SIM_SCENARIO", scenario.c_str(), 1);
    reader = std::make_unique<NvmlReader>(
        NvmlOptions{.library_path = copy_, .devices = devices, .meminfo_path = meminfo_path}, clock);
    auto count = reader->open();
    entities.resize(count.value_or(0));
    return count;
  }
  void prepare() {
    for (unsigned slot = 0; slot < entities.size(); ++slot) EXPECT_TRUE(reader->prepare_device(slot, entities[slot]));
  }
  void read() {
    for (unsigned slot = 0; slot < entities.size(); ++slot) reader->read_device(slot, entities[slot]);
  }

 private:
  std::string copy_;
};

TEST_F(SimulatedDriver, EightBusyBoards) {
  ASSERT_EQ(open("h100x8-busy"), 8u) << reader->why();
  EXPECT_EQ(reader->why(), "driver 580.105.08");
  EXPECT_TRUE(reader->simulated());
  prepare();
  read();
  for (const Entity& gpu : entities) {
    EXPECT_EQ(gpu.condition, Status::ok) << gpu.fault;
    EXPECT_EQ(gpu.name, "NVIDIA H100 80GB HBM3 (simulated)");
    EXPECT_TRUE(gpu.uuid.starts_with("GPU-")) << gpu.uuid;
    EXPECT_EQ(gpu[id("memory_total_bytes")], Reading::of(81559 * mebibyte));
    EXPECT_GT(gpu[id("memory_used_bytes")].value, 70000 * mebibyte);
    EXPECT_EQ(gpu[id("power_limit_watts")], Reading::of(700));
    EXPECT_TRUE(gpu[id("power_watts")].ok());
    EXPECT_TRUE(gpu[id("temperature_celsius")].ok());
    EXPECT_TRUE(gpu[id("utilization_ratio")].ok());
    EXPECT_EQ(gpu[id("encoder_utilization_ratio")], Reading::of(0));
    EXPECT_EQ(gpu[id("decoder_utilization_ratio")], Reading::of(0));
    EXPECT_EQ(gpu[id("fan_speed_ratio")], Reading::missing(Status::unsupported)) << "passive boards";
  }
  EXPECT_NE(entities[0].uuid, entities[1].uuid);
  EXPECT_FALSE(reader->needs_restart());
}

TEST_F(SimulatedDriver, OneLostGpuLeavesTheOthersAlone) {
  ASSERT_EQ(open("one-gpu-lost"), 8u);
  prepare();
  for (int pass = 0; pass < 6; ++pass) {
    read();
    for (const Entity& gpu : entities) {
      EXPECT_EQ(gpu.condition, gpu.index == 2 ? Status::lost : Status::ok);
      EXPECT_EQ(gpu.fault, gpu.index == 2 ? "GPU is lost" : "");
    }
    clock.advance(1s);
  }
  EXPECT_FALSE(reader->needs_restart());
}

TEST_F(SimulatedDriver, NoGpus) {
  EXPECT_EQ(open("no-gpus").error(), (Error{ErrorCode::no_gpus, "no GPUs found"}));
}

TEST_F(SimulatedDriver, DriverNotLoaded) {
  EXPECT_EQ(open("driver-not-loaded").error(), (Error{ErrorCode::not_initialized, "NVML not initialized"}));
  EXPECT_EQ(reader->why(), "nvmlInit_v2: Driver Not Loaded (9)");
}

TEST_F(SimulatedDriver, ASlowFirstHandleIsPaidOnceAndOnlyForSelectedGpus) {
  ASSERT_EQ(open("slow-start?delay_ms=150", {.indices = {3}, .uuids = {}}), 8u);
  const auto timed = [](auto what) {
    const auto begin = std::chrono::steady_clock::now();
    what();
    return std::chrono::steady_clock::now() - begin;
  };
  EXPECT_LT(timed([&] { EXPECT_FALSE(reader->prepare_device(2, entities[2])); }), 150ms);
  EXPECT_GE(timed([&] { EXPECT_TRUE(reader->prepare_device(3, entities[3])); }), 150ms);
  EXPECT_LT(timed([&] { reader->read_device(3, entities[3]); }), 150ms);
  EXPECT_EQ(entities[3].condition, Status::ok);
}

TEST_F(SimulatedDriver, AGpuThatHangsHoldsUpNoOther) {
  ASSERT_EQ(open("hang?for_s=2"), 8u);
  prepare();
  std::atomic<bool> returned = false;
  std::thread stuck([&] {
    reader->read_device(3, entities[3]);
    returned = true;
  });
  for (unsigned slot = 0; slot < entities.size(); ++slot) {
    if (slot == 3) continue;
    reader->read_device(slot, entities[slot]);
    EXPECT_EQ(entities[slot].condition, Status::ok);
  }
  EXPECT_FALSE(returned);
  EXPECT_FALSE(reader->needs_restart());
  stuck.join();
  EXPECT_EQ(entities[3].condition, Status::ok);
}

TEST_F(SimulatedDriver, APartitionedBoardHasMemoryAndNoUtilization) {
  ASSERT_EQ(open("a100-mig"), 1u);
  prepare();
  read();
  EXPECT_EQ(entities[0].condition, Status::ok) << entities[0].fault;
  EXPECT_EQ(entities[0][id("memory_total_bytes")], Reading::of(40960 * mebibyte));
  EXPECT_EQ(entities[0][id("utilization_ratio")], Reading::missing(Status::unsupported));
  EXPECT_EQ(entities[0][id("encoder_utilization_ratio")], Reading::missing(Status::unsupported));
}

TEST_F(SimulatedDriver, WithoutRightsItsMemoryIsThatOfTheVisibleInstances) {
  ASSERT_EQ(open("a100-mig?memory_return=NO_PERMISSION"), 1u);
  prepare();
  read();
  EXPECT_EQ(entities[0].condition, Status::ok) << entities[0].fault;
  EXPECT_EQ(entities[0][id("memory_total_bytes")], Reading::of((19968 + 9856 + 4864) * mebibyte));
  EXPECT_EQ(entities[0][id("memory_used_bytes")], Reading::of((12288 + 6144 + 2048) * mebibyte));
}

TEST_F(SimulatedDriver, APartWithoutItsOwnMemoryShowsTheMachines) {
  ASSERT_EQ(open("gb10"), 1u);
  prepare();
  read();
  EXPECT_EQ(entities[0].condition, Status::ok) << entities[0].fault;
  EXPECT_GT(entities[0][id("memory_total_bytes")].value, 256 * mebibyte);
  EXPECT_EQ(entities[0][id("power_limit_watts")], Reading::missing(Status::unsupported));
}

TEST_F(SimulatedDriver, ABoardWithAFan) {
  ASSERT_EQ(open("rtx4090"), 1u);
  prepare();
  read();
  EXPECT_EQ(entities[0].condition, Status::ok) << entities[0].fault;
  EXPECT_TRUE(entities[0][id("fan_speed_ratio")].ok());
}

TEST_F(SimulatedDriver, SlotsAreReadOnTheirOwnThreads) {
  ASSERT_EQ(open("one-gpu-lost"), 8u);
  std::vector<std::thread> threads;
  for (unsigned slot = 0; slot < entities.size(); ++slot) {
    threads.emplace_back([this, slot] {
      EXPECT_TRUE(reader->prepare_device(slot, entities[slot]));
      for (int pass = 0; pass < 50; ++pass) reader->read_device(slot, entities[slot]);
    });
  }
  for (int i = 0; i < 50; ++i) EXPECT_FALSE(reader->needs_restart());
  for (std::thread& thread : threads) thread.join();
  for (const Entity& gpu : entities) EXPECT_EQ(gpu.condition, gpu.index == 2 ? Status::lost : Status::ok);
}

}  // namespace
}  // namespace gputach
