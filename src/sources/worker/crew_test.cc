#include "sources/worker/crew.h"

#include <gtest/gtest.h>

namespace gputach {
namespace {

using namespace std::chrono_literals;
using Answer = Crew::Answer;

constexpr Instant t0{1h};

Entity good(unsigned index) {
  Entity gpu(Scope::gpu, index);
  gpu.condition = Status::ok;
  return gpu;
}

// A crew whose first pass is over.
Crew ready_crew(unsigned devices) {
  Crew crew(devices, t0, 20s, 3s);
  for (unsigned device = 0; device < devices; ++device) {
    EXPECT_EQ(crew.take(t0), device);
    EXPECT_TRUE(crew.deliver(0, device, true, good(device)));
  }
  EXPECT_EQ(crew.take(t0), std::nullopt);
  EXPECT_EQ(crew.answer(), Answer::ready);
  EXPECT_EQ(crew.take_answer(t0).size(), devices);
  EXPECT_FALSE(crew.starting());
  return crew;
}

void read(Crew& crew, unsigned device, Instant now) {
  ASSERT_EQ(crew.take(now), device);
  ASSERT_TRUE(crew.deliver(crew.leader(), device, true, good(device)));
}

TEST(Crew, ALateLeaderIsRelievedAndDeliversAndEnds) {
  Crew crew = ready_crew(2);
  crew.begin(1, t0, 1800ms, 500ms);
  EXPECT_EQ(crew.take(t0), 0u);
  EXPECT_EQ(crew.alarmed(t0 + 499ms), std::nullopt);
  EXPECT_EQ(crew.alarmed(t0 + 500ms), 0u);
  EXPECT_EQ(crew.leader(), 1u);
  read(crew, 1, t0 + 501ms);
  EXPECT_EQ(crew.take(t0 + 502ms), std::nullopt);
  EXPECT_EQ(crew.answer(), Answer::sample);
  EXPECT_EQ(crew.take_answer(t0 + 502ms)[0].fault, "timed out after 0.5 s");
  EXPECT_FALSE(crew.deliver(0, 0, true, good(0)));
  EXPECT_EQ(crew.answer(), Answer::none);
}

TEST(Crew, ACallThatReturnsAtLastDoesNotEndThePassWhileTheLastDeviceIsBeingRead) {
  Crew crew = ready_crew(3);
  crew.begin(1, t0, 1800ms, 500ms);
  EXPECT_EQ(crew.take(t0), 0u);
  EXPECT_EQ(crew.alarmed(t0 + 500ms), 0u);
  read(crew, 1, t0 + 500ms);
  EXPECT_EQ(crew.take(t0 + 500ms), 2u);
  EXPECT_FALSE(crew.deliver(0, 0, true, good(0)));
  EXPECT_EQ(crew.answer(), Answer::none) << "2 is not late";
  EXPECT_TRUE(crew.deliver(1, 2, true, good(2)));
  EXPECT_EQ(crew.answer(), Answer::sample);
  for (const Entity& gpu : crew.take_answer(t0 + 501ms)) EXPECT_EQ(gpu.condition, Status::ok);
}

TEST(Crew, HalfOfTheDevicesHangAndTheOthersAreShownInTheFirstAnswer) {
  Crew crew = ready_crew(8);
  crew.begin(1, t0, 1800ms, 500ms);
  Instant now = t0;
  for (unsigned device = 0; device < 4; ++device) {
    ASSERT_EQ(crew.take(now), device);
    now = crew.alarm_at();
    ASSERT_EQ(crew.alarmed(now), device);
  }
  for (unsigned device = 4; device < 8; ++device) read(crew, device, now);
  EXPECT_EQ(crew.take(now), std::nullopt);
  EXPECT_EQ(crew.answer(), Answer::sample);
  EXPECT_LT(now, t0 + 1s);
}

TEST(Crew, WhatWasReadLeavesWhenTheBudgetEndsThoughACallIsOut) {
  Crew crew = ready_crew(3);
  crew.begin(1, t0, 1800ms, 500ms);
  read(crew, 0, t0);
  ASSERT_EQ(crew.take(t0 + 1700ms), 1u);
  EXPECT_EQ(crew.alarmed(t0 + 500ms), std::nullopt) << "it was set for the first device";
  EXPECT_EQ(crew.alarm_at(), t0 + 1800ms);
  EXPECT_EQ(crew.alarmed(t0 + 1800ms), 1u);
  EXPECT_EQ(crew.take(t0 + 1800ms), std::nullopt);
  EXPECT_EQ(crew.answer(), Answer::sample);
  const auto answer = crew.take_answer(t0 + 1800ms);
  EXPECT_EQ(answer[1].fault, "timed out after 0.1 s");
  EXPECT_EQ(answer[2].fault, "not reached in time");
}

TEST(Crew, TheAlarmIsSetOnceForADozenQuickDevices) {
  Crew crew = ready_crew(12);
  crew.begin(1, t0, 1800ms, 500ms);
  for (unsigned device = 0; device < 12; ++device) {
    read(crew, device, t0 + device * 1ms);
    EXPECT_EQ(crew.alarm_at(), t0 + 500ms);
  }
  EXPECT_EQ(crew.take(t0 + 12ms), std::nullopt);
  EXPECT_EQ(crew.alarm_at(), Instant::max());
}

TEST(Crew, HandlesThatHangDoNotKeepTheOthersFromComingUp) {
  Crew crew(8, t0, 20s, 3s);
  Instant now = t0;
  for (unsigned device = 0; device < 7; ++device) {
    ASSERT_EQ(crew.take(now), device);
    now = crew.alarm_at();
    ASSERT_EQ(crew.alarmed(now), device);
  }
  EXPECT_EQ(now - t0, 20s + 10s + 5s + 4 * 3s);
  read(crew, 7, now);
  EXPECT_EQ(crew.answer(), Answer::ready);
}

TEST(Crew, WithoutADeviceToShowThereIsNothingToServe) {
  Crew crew(2, t0, 20s, 3s);
  for (unsigned device = 0; device < 2; ++device) {
    ASSERT_EQ(crew.take(t0), device);
    EXPECT_EQ(crew.answer(), Answer::none);
    EXPECT_TRUE(crew.deliver(0, device, false, Entity()));
  }
  EXPECT_EQ(crew.take(t0), std::nullopt);
  EXPECT_EQ(crew.answer(), Answer::no_devices);
}

}  // namespace
}  // namespace gputach
