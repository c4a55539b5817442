// GPUTACH_SIMULATE_SEEDS=N runs N schedules, GPUTACH_SIMULATE_SEED=S the one that failed.
#include <gtest/gtest.h>

#include <cstdlib>

#include "simulate/world.h"

namespace gputach::simulate {
namespace {

std::uint64_t setting(const char* name, std::uint64_t otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::strtoull(text, nullptr, 10);
}

std::string told(const World& world, const std::vector<std::string>& broken) {
  std::string text;
  for (const std::string& sentence : broken) text += "broken: " + sentence + "\n";
  const auto& trace = world.trace();
  for (std::size_t i = trace.size() > 40 ? trace.size() - 40 : 0; i < trace.size(); ++i) text += trace[i] + "\n";
  return text;
}

TEST(Simulation, EveryInvariantHoldsInEverySchedule) {
  const std::uint64_t one = setting("GPUTACH_SIMULATE_SEED", 0);
  const std::uint64_t count = one != 0 ? 1 : setting("GPUTACH_SIMULATE_SEEDS", 2000);
  World::Tally all;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t seed = one != 0 ? one : i + 1;
    World world(seed);
    const auto broken = world.run();
    ASSERT_TRUE(broken.empty()) << "./dev simulate --seed " << seed << "\n" << told(world, broken);
    all += world.tally();
  }
  std::printf(
      "%llu schedules: %llu requests, %llu hits, %llu passes, %llu good answers and %llu failed, "
      "%llu passes with a part of the GPUs, %llu withdrawn, %llu spawns, %llu kills\n",
      static_cast<unsigned long long>(count), all.requests, all.hits, all.passes, all.good, all.failed, all.partial,
      all.withdrawn, all.spawns, all.kills);
  // The world has to be bad enough for the invariants to mean something.
  if (count < 100) return;
  EXPECT_GT(all.kills, count);
  EXPECT_GT(all.failed, all.good / 50);
  EXPECT_GT(all.hits, all.passes / 4);
}

TEST(Simulation, ASeedReproducesItsScheduleExactly) {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    World first(seed);
    World second(seed);
    EXPECT_EQ(first.run(), second.run());
    EXPECT_EQ(first.trace(), second.trace());
    EXPECT_FALSE(first.trace().empty());
  }
}

}  // namespace
}  // namespace gputach::simulate
