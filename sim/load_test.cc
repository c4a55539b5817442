#include "load.h"

#include <gtest/gtest.h>
#include <cmath>

namespace gputach::sim {
namespace {

Scenario two_boards() {
  const auto scenario = parse_scenario(R"(
seed = 11
[[gpu]]
count = 2
load = { low = 0.2, high = 1.0, period_s = 10 }
utilization_percent = { idle = 0, busy = 100, noise = 2 }
power_w = { idle = 60, busy = 600 }
temperature_c = { idle = 30, busy = 70, lag_s = 30 }
power_limit_w = 700
)",
                                       "test", {});
  return scenario.value();
}

TEST(Load, IsAPureFunctionOfSeedBoardAndTime) {
  const Scenario scenario = two_boards();
  const Scenario again = two_boards();
  Scenario other_seed = two_boards();
  other_seed.seed = 12;
  int seed_differs = 0;
  int board_differs = 0;
  for (double t = 0; t < 100; t += 0.7) {
    const double power = figure_at(scenario, 0, Metric::power, t);
    EXPECT_EQ(power, figure_at(again, 0, Metric::power, t)) << t;
    seed_differs += power != figure_at(other_seed, 0, Metric::power, t) ? 1 : 0;
    board_differs += power != figure_at(scenario, 1, Metric::power, t) ? 1 : 0;
  }
  EXPECT_GT(seed_differs, 100);
  EXPECT_GT(board_differs, 100);
}

TEST(Load, MovesWithinItsBoundsAndWithoutJumps) {
  const Load load{.low = 0.2, .high = 0.9, .period_s = 5};
  double lowest = 1;
  double highest = 0;
  for (double t = 0; t < 500; t += 0.05) {
    const double now = load_at(load, 1, 0, t);
    EXPECT_GE(now, 0.2);
    EXPECT_LE(now, 0.9);
    EXPECT_LT(std::abs(load_at(load, 1, 0, t + 0.05) - now), 0.02) << t;
    lowest = std::min(lowest, now);
    highest = std::max(highest, now);
  }
  EXPECT_LT(lowest, 0.3);
  EXPECT_GT(highest, 0.8);
}

TEST(Load, FigureStaysTheSameWithinOneSampleOfTheDriver) {
  const Scenario scenario = two_boards();
  EXPECT_EQ(figure_at(scenario, 0, Metric::utilization, 50.01), figure_at(scenario, 0, Metric::utilization, 50.09));
  EXPECT_NE(figure_at(scenario, 0, Metric::utilization, 50.01), figure_at(scenario, 0, Metric::utilization, 50.11));
}

TEST(Load, LaggingFigureMovesLessThanThePromptOne) {
  const Scenario scenario = two_boards();
  double prompt = 0;
  double lagging = 0;
  for (double t = 100; t < 300; t += 1) {
    prompt += std::abs(figure_at(scenario, 0, Metric::power, t + 1) - figure_at(scenario, 0, Metric::power, t)) / 540;
    lagging +=
        std::abs(figure_at(scenario, 0, Metric::temperature, t + 1) - figure_at(scenario, 0, Metric::temperature, t)) /
        40;
  }
  EXPECT_LT(lagging, prompt / 3);
}

TEST(Load, ConstantStaysConstant) {
  const Scenario scenario = two_boards();
  for (double t = 0; t < 30; t += 0.9) EXPECT_EQ(figure_at(scenario, 1, Metric::power_limit, t), 700);
}

}  // namespace
}  // namespace gputach::sim
