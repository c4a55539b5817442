#include "sampling/derive.h"

#include <gtest/gtest.h>

namespace gputach {
namespace {

Sample memory(Reading used, Reading total) {
  Sample sample;
  Entity gpu(Scope::gpu, 0);
  gpu.condition = Status::ok;
  gpu[id("memory_used_bytes")] = used;
  gpu[id("memory_total_bytes")] = total;
  sample.entities.push_back(gpu);
  derive(sample);
  return sample;
}

Reading ratio_of(Reading used, Reading total) {
  return memory(used, total).entities[0][id("memory_used_ratio")];
}

TEST(Derive, MemoryShareIsUsedOverTotalInBytes) {
  EXPECT_EQ(ratio_of(Reading::of(1), Reading::of(4)), Reading::of(0.25));
  EXPECT_EQ(ratio_of(Reading::of(0), Reading::of(4)), Reading::of(0));
}

TEST(Derive, WhatIsMissingStaysMissingForTheSameReason) {
  EXPECT_EQ(ratio_of(Reading::missing(Status::unsupported), Reading::of(4)).status, Status::unsupported);
  EXPECT_EQ(ratio_of(Reading::of(1), Reading::missing(Status::timed_out)).status, Status::timed_out);
}

TEST(Derive, AnImpossibleShareIsOutOfRange) {
  EXPECT_EQ(ratio_of(Reading::of(5), Reading::of(4)).status, Status::out_of_range);
  EXPECT_EQ(ratio_of(Reading::of(0), Reading::of(0)).status, Status::out_of_range);
}

TEST(Derive, AnEntityThatFailedIsLeftAlone) {
  Sample sample;
  sample.entities.emplace_back(Scope::gpu, 0u);
  sample.entities[0].condition = Status::lost;
  derive(sample);
  EXPECT_EQ(sample.entities[0][id("memory_used_ratio")].status, Status::not_read);
}

}  // namespace
}  // namespace gputach
