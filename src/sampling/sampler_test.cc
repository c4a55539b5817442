#include "sampling/sampler.h"

#include <gtest/gtest.h>
#include <sys/eventfd.h>

#include <atomic>
#include <condition_variable>
#include <mutex>

namespace gputach {
namespace {

using namespace std::chrono_literals;

// A source that does what the test says, and an upkeep descriptor that the test can raise.
class ScriptedSource final : public Source {
 public:
  std::atomic<bool> fails = false;
  Status condition = Status::ok;
  std::atomic<bool> hangs = false;
  std::atomic<bool> throws = false;
  std::atomic<unsigned> reads = 0;
  std::atomic<unsigned> tended = 0;
  Fd upkeep_event{::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};

  std::string_view name() const override { return "scripted"; }
  Result<void> read(Sample& draft, Instant deadline, int interrupt) override {
    ++reads;
    if (hangs) {
      pollfd wait{interrupt, POLLIN, 0};
      const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - SystemClock().now());
      ::poll(&wait, 1, static_cast<int>(left.count()));
      return fail(ErrorCode::stopped, "worker stopped");
    }
    if (throws) throw std::runtime_error("no memory, say");
    if (fails) return fail(ErrorCode::no_gpus, "no GPUs found");
    Entity gpu(Scope::gpu, 0);
    gpu.condition = condition;
    gpu[id("power_watts")] = Reading::missing(condition);
    gpu[id("memory_used_bytes")] = Reading::of(1);
    gpu[id("memory_total_bytes")] = Reading::of(2);
    draft.entities.push_back(gpu);
    return {};
  }
  Upkeep upkeep() const override { return {{{upkeep_event.get(), POLLIN, 0}}, Instant::max()}; }
  void tend() override {
    std::uint64_t count = 0;
    (void)!::read(upkeep_event.get(), &count, sizeof count);
    ++tended;
  }
};

struct World {
  SystemClock clock;
  Counters counters;
  std::mutex mutex;
  std::condition_variable changed;
  std::vector<Sample> samples;
  ScriptedSource* source = nullptr;
  std::unique_ptr<Sampler> sampler;

  World() {
    auto owned = std::make_unique<ScriptedSource>();
    source = owned.get();
    std::vector<std::unique_ptr<Source>> sources;
    sources.push_back(std::move(owned));
    sampler = std::make_unique<Sampler>(std::move(sources), 5s, clock, counters, [this](Sample sample) {
      const std::lock_guard lock(mutex);
      samples.push_back(std::move(sample));
      changed.notify_all();
    });
  }
  bool wait_for(std::size_t count) {
    std::unique_lock lock(mutex);
    return changed.wait_for(lock, 10s, [&] { return samples.size() >= count; });
  }
};

void wait_until(const std::function<bool()>& condition) {
  const Instant end = SystemClock().now() + 10s;
  while (!condition() && SystemClock().now() < end) std::this_thread::yield();
  ASSERT_TRUE(condition());
}

TEST(Sampler, ARequestLeadsToASampleWithDerivedFigures) {
  World world;
  const Instant before = world.clock.now();
  world.sampler->start();
  world.sampler->request();
  ASSERT_TRUE(world.wait_for(1));
  const Sample& sample = world.samples[0];
  EXPECT_FALSE(sample.failure);
  EXPECT_EQ(sample.entities[0][id("memory_used_ratio")], Reading::of(0.5));
  EXPECT_GE(sample.collected, before);
  EXPECT_GE(sample.finished, sample.collected);
}

TEST(Sampler, NobodyAskingMeansNothingIsRead) {
  World world;
  world.sampler->start();
  const std::uint64_t one = 1;
  ASSERT_EQ(::write(world.source->upkeep_event.get(), &one, sizeof one), 8);
  wait_until([&] { return world.source->tended == 1; });
  EXPECT_EQ(world.source->reads, 0u) << "tending is not reading";
}

TEST(Sampler, ASourceThatFailsIsTheSamplesFailure) {
  World world;
  world.source->fails = true;
  world.sampler->start();
  world.sampler->request();
  ASSERT_TRUE(world.wait_for(1));
  ASSERT_TRUE(world.samples[0].failure);
  EXPECT_EQ(world.samples[0].failure->context, "no GPUs found");
}

TEST(Sampler, PassesAreCountedByTheirOutcome) {
  World world;
  world.sampler->start();
  std::size_t passes = 0;
  const auto pass = [&] {
    world.sampler->request();
    ASSERT_TRUE(world.wait_for(++passes));
  };
  pass();
  EXPECT_EQ(world.counters.passes, 1u);
  for (const auto& count : world.counters.passes_failed) EXPECT_EQ(count, 0u);
  world.source->condition = Status::out_of_range;
  pass();
  world.source->fails = true;
  pass();
  pass();
  EXPECT_EQ(world.counters.passes, 4u);
  EXPECT_EQ(world.counters.passes_failed[static_cast<std::size_t>(ErrorCode::all_failed)], 1u);
  EXPECT_EQ(world.counters.passes_failed[static_cast<std::size_t>(ErrorCode::no_gpus)], 2u);
  EXPECT_EQ(world.counters.out_of_range[id("power_watts").row], 1u) << "the one reading that was dropped";
  EXPECT_EQ(world.counters.out_of_range[id("memory_used_bytes").row], 0u);
}

TEST(Sampler, AnExceptionIsAFailedPassAndTheNextOneWorks) {
  World world;
  world.source->throws = true;
  world.sampler->start();
  world.sampler->request();
  ASSERT_TRUE(world.wait_for(1));
  EXPECT_EQ(world.samples[0].failure->context, "worker stopped");
  world.source->throws = false;
  world.sampler->request();
  ASSERT_TRUE(world.wait_for(2));
  EXPECT_FALSE(world.samples[1].failure);
}

TEST(Sampler, StopEndsAReadThatHangsAndItsWaitersGetASample) {
  World world;
  world.source->hangs = true;
  world.sampler->start();
  world.sampler->request();
  wait_until([&] { return world.source->reads == 1; });
  const Instant begin = world.clock.now();
  world.sampler->stop();
  EXPECT_LT(world.clock.now() - begin, 2s);
  ASSERT_EQ(world.samples.size(), 1u);
  EXPECT_EQ(world.samples[0].failure->context, "worker stopped");
}

TEST(Sampler, StopBeforeStartIsHarmless) {
  World world;
  world.sampler->stop();
  world.sampler->stop();
}

}  // namespace
}  // namespace gputach
