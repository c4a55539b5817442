#include "relay/histogram.h"

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>

namespace gputach::relay {
namespace {

TEST(Histogram, AValueOnABoundBelongsToTheBucketThatEndsThere) {
  constexpr std::array<std::uint64_t, 3> bounds = {10, 20, 50};
  Histogram histogram(bounds);
  for (const std::uint64_t value : std::initializer_list<std::uint64_t>{0, 10, 11, 20, 21, 50, 51, 1'000'000})
    histogram.record(value);
  histogram.record(15, 3);
  std::string buckets;
  for (const Count& bucket : histogram.buckets()) buckets += std::to_string(bucket.value()) + " ";
  EXPECT_EQ(buckets, "2 5 2 2 ");
  EXPECT_EQ(histogram.count(), 11U);
  EXPECT_EQ(histogram.sum(), 1'000'163U + 45);
}

}  // namespace
}  // namespace gputach::relay
