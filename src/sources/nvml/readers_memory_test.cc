// Whose memory it is: the GPU's, its visible instances', or the machine's.
#include <gtest/gtest.h>

#include <fstream>

#include "sources/nvml/readers_fixture.h"

namespace gputach::nvml {
namespace {

// Partitioned GPUs.
class ReadersMig : public Readers {
 protected:
  void SetUp() override {
    gpu.mig_mode = mig_enabled;
    gpu.always("nvmlDeviceGetUtilizationRates", Return::not_supported);
    gpu.always("nvmlDeviceGetEncoderUtilization", Return::not_supported);
    gpu.always("nvmlDeviceGetDecoderUtilization", Return::not_supported);
    gpu.instances.resize(7);
    for (const unsigned slot : {1u, 4u}) {
      gpu.instances[slot] = std::make_unique<FakeGpu>();
      gpu.instances[slot]->memory = {
          .version = 0, .total = 9984ULL << 20, .reserved = 0, .free = 0, .used = (100ULL + slot) << 20};
    }
  }
  void refuse_parent(Return code) {
    gpu.always("nvmlDeviceGetMemoryInfo_v2", code);
    gpu.always("nvmlDeviceGetMemoryInfo", code);
  }
};

TEST_F(ReadersMig, MemoryComesFromTheParentWhereItAnswers) {
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ(entity.condition, Status::ok);
  EXPECT_EQ((*this)[id("utilization_ratio")], Reading::missing(Status::unsupported));
  EXPECT_EQ(value(id("memory_total_bytes")), 81559 * mebibyte);
  EXPECT_EQ(gpu.asked["nvmlDeviceGetMaxMigDeviceCount"], 0u);
}

TEST_F(ReadersMig, OtherwiseItIsTheSumOfTheVisibleInstances) {
  for (const Return code : {Return::no_permission, Return::not_supported}) {
    refuse_parent(code);
    state = {};
    EXPECT_EQ(read(), Return::success);
    EXPECT_EQ(entity.condition, Status::ok);
    EXPECT_EQ(value(id("memory_used_bytes")), 205 * mebibyte);
    EXPECT_EQ(value(id("memory_total_bytes")), 2 * 9984 * mebibyte);
  }
}

TEST_F(ReadersMig, InstancesOfSomebodyElseDoNotCount) {
  refuse_parent(Return::no_permission);
  gpu.instances[4]->always("nvmlDeviceGetMemoryInfo_v2", Return::no_permission);
  gpu.instances[4]->always("nvmlDeviceGetMemoryInfo", Return::no_permission);
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ(value(id("memory_used_bytes")), 101 * mebibyte);
}

TEST_F(ReadersMig, WithoutAVisibleInstanceTheParentsRefusalCounts) {
  refuse_parent(Return::no_permission);
  gpu.instances.clear();
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ((*this)[id("memory_used_bytes")], Reading::missing(Status::no_permission));
}

TEST_F(ReadersMig, InstancesThatComeAndGoAreFollowedEachPass) {
  refuse_parent(Return::no_permission);
  EXPECT_EQ(read(), Return::success);
  gpu.instances[1].reset();
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ(value(id("memory_used_bytes")), 104 * mebibyte);
}

TEST_F(ReadersMig, AFailingInstanceIsAFailureAndNoSmallerSum) {
  refuse_parent(Return::no_permission);
  gpu.instances[4]->always("nvmlDeviceGetMemoryInfo_v2", Return::unknown);
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ(entity.condition, Status::failed);
  EXPECT_EQ(entity.fault, "memory of MIG instances: Unknown Error");
}

TEST_F(ReadersMig, AnAbsurdNumberOfSlotsIsBounded) {
  refuse_parent(Return::no_permission);
  gpu.instances.resize(1000);
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ(gpu.asked["nvmlDeviceGetMigDeviceHandleByIndex"], mig_slots_max);
}

TEST_F(ReadersMig, AnInstancesMemoryIsNeverThatOfTheMachine) {
  meminfo = "/proc/meminfo";
  refuse_parent(Return::not_supported);
  gpu.instances.clear();
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ((*this)[id("memory_total_bytes")], Reading::missing(Status::unsupported));
}

TEST_F(ReadersMig, AChangeOfTheModeVoidsWhatWasRefused) {
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ((*this)[id("utilization_ratio")].status, Status::unsupported);
  gpu.mig_mode = mig_disabled;
  gpu.scripts.clear();
  int passes = 0;
  for (; passes < 10 && !entity[id("utilization_ratio")].ok(); ++passes) EXPECT_EQ(read(), Return::success);
  EXPECT_TRUE((*this)[id("utilization_ratio")].ok());
  EXPECT_EQ(passes, 5) << "the mode is asked for every five seconds";
}

// Parts whose GPU and CPU share one memory.
class ReadersUnified : public Readers {
 protected:
  void SetUp() override {
    meminfo = ::testing::TempDir() + "gputach_meminfo";
    std::ofstream(meminfo) << "MemTotal: 125606412 kB\nMemFree: 1 kB\nMemAvailable: 100606412 kB\n";
    gpu.always("nvmlDeviceGetMemoryInfo_v2", Return::not_supported);
    gpu.always("nvmlDeviceGetMemoryInfo", Return::not_supported);
    gpu.always("nvmlDeviceGetMigMode", Return::not_supported);
  }
};

TEST_F(ReadersUnified, MemoryIsThatOfTheMachine) {
  for (int pass = 0; pass < 2; ++pass) {
    EXPECT_EQ(read(), Return::success);
    EXPECT_EQ(value(id("memory_total_bytes")), 125606412.0 * 1024);
    EXPECT_EQ(value(id("memory_used_bytes")), 25000000.0 * 1024);
  }
  EXPECT_EQ(gpu.asked["nvmlDeviceGetMemoryInfo"], 0u);
}

TEST_F(ReadersUnified, AlsoWithADriverThatHasTheOlderCallOnly) {
  driver.missing = {"nvmlDeviceGetMemoryInfo_v2", "nvmlDeviceGetMaxMigDeviceCount"};
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ(value(id("memory_total_bytes")), 125606412.0 * 1024);
}

TEST_F(ReadersUnified, ARefusalForWantOfRightsIsNoUnifiedMemory) {
  gpu.always("nvmlDeviceGetMemoryInfo", Return::no_permission);
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ((*this)[id("memory_total_bytes")], Reading::missing(Status::no_permission));
}

TEST_F(ReadersUnified, AnUnreadableFileLeavesItUnsupported) {
  meminfo = "/nonexistent";
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ((*this)[id("memory_total_bytes")], Reading::missing(Status::unsupported));
  EXPECT_EQ(entity.condition, Status::ok);
}

}  // namespace
}  // namespace gputach::nvml
