#include "routes/histogram.h"

#include <gtest/gtest.h>

#include <array>

namespace gputach {
namespace {

constexpr std::array<std::uint32_t, 3> bounds = {10, 20, 50};
using Counts = std::array<std::uint64_t, 4>;

TEST(Histogram, WithoutValuesTheMedianIsZero) {
  EXPECT_EQ(estimate_median(Counts{}, bounds, 0), 0);
}

TEST(Histogram, TheMedianLiesWhereHalfOfTheValuesAreBelow) {
  EXPECT_DOUBLE_EQ(estimate_median(Counts{0, 4, 0, 0}, bounds, 20), 15);
  EXPECT_DOUBLE_EQ(estimate_median(Counts{4, 0, 0, 0}, bounds, 10), 5);
  EXPECT_DOUBLE_EQ(estimate_median(Counts{1, 0, 2, 1}, bounds, 90), 35);
  EXPECT_DOUBLE_EQ(estimate_median(Counts{2, 0, 2, 0}, bounds, 50), 10) << "the end of the lower half";
}

TEST(Histogram, TheMedianIsNeverAboveTheLongestValue) {
  EXPECT_DOUBLE_EQ(estimate_median(Counts{1, 0, 0, 0}, bounds, 2), 2);
  EXPECT_DOUBLE_EQ(estimate_median(Counts{0, 0, 100, 0}, bounds, 21), 21);
}

TEST(Histogram, AboveTheLastBoundTheLongestValueIsTheBound) {
  EXPECT_DOUBLE_EQ(estimate_median(Counts{0, 0, 0, 2}, bounds, 150), 100);
  EXPECT_DOUBLE_EQ(estimate_median(Counts{0, 0, 0, 2}, bounds, 0), 0) << "read between two counts";
}

}  // namespace
}  // namespace gputach
