#include "encode/stats_table.h"

#include <gtest/gtest.h>

namespace gputach {
namespace {

Entity gpu(unsigned index, std::string name) {
  Entity gpu(Scope::gpu, index);
  gpu.name = std::move(name);
  gpu.condition = Status::ok;
  for (Reading& reading : gpu.readings) reading = Reading::of(0.29);
  gpu[id("power_watts")] = Reading::of(350.512);
  gpu[id("fan_speed_ratio")] = Reading::missing(Status::unsupported);
  return gpu;
}

TEST(StatsTable, FiguresAreAlignedWhatIsMissingIsADashAndFailuresHaveALine) {
  Sample sample;
  sample.entities = {gpu(0, "A"), gpu(10, "Long name")};
  Entity& lost = sample.entities.emplace_back(Scope::gpu, 11u);
  lost.uuid = "GPU-1";
  lost.condition = Status::lost;
  lost.fault = "GPU is lost";
  EXPECT_EQ(encode_stats_table(sample),
            "GPU  name       util %  used MiB  total MiB  temp C  power W  limit W  fan %  enc %  dec %\n"
            "  0  A              29         0          0       0    350.5      0.3      -     29     29\n"
            " 10  Long name      29         0          0       0    350.5      0.3      -     29     29\n"
            "GPU 11 GPU-1: GPU is lost\n");
}

TEST(StatsTable, AFailedPassIsItsReason) {
  Sample sample;
  sample.failure = Error{ErrorCode::no_gpus, "no GPUs found"};
  EXPECT_EQ(encode_stats_table(sample), "Failed to query GPU: no GPUs found\n");
}

}  // namespace
}  // namespace gputach
