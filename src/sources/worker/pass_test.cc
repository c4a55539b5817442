#include "sources/worker/pass.h"

#include <gtest/gtest.h>

namespace gputach {
namespace {

using namespace std::chrono_literals;

constexpr Instant t0{1h};
constexpr Pass::Pace pace{2s, 500ms, 100ms};

Entity good(unsigned index) {
  Entity gpu(Scope::gpu, index);
  gpu.uuid = "GPU-" + std::to_string(index);
  gpu.condition = Status::ok;
  return gpu;
}

TEST(Pass, DevicesAreReadInOrderAndTheAnswerHoldsThemAll) {
  Pass pass(3);
  pass.begin(7, t0, pace);
  for (unsigned slot = 0; slot < 3; ++slot) {
    EXPECT_FALSE(pass.answerable());
    ASSERT_EQ(pass.take_next(t0), slot);
    pass.returned(slot, true, good(slot));
  }
  EXPECT_EQ(pass.take_next(t0), std::nullopt);
  ASSERT_TRUE(pass.answerable());
  EXPECT_EQ(pass.take_answer(t0).size(), 3u);
  EXPECT_FALSE(pass.answerable()) << "once";
}

TEST(Pass, ALateDeviceCostsOnlyItsOwnRowAndIsNotAskedAgainUntilItsCallReturned) {
  Pass pass(3);
  pass.begin(1, t0, pace);
  (void)pass.take_next(t0);
  pass.returned(0, true, good(0));
  EXPECT_EQ(pass.take_next(t0), 1u);
  EXPECT_EQ(pass.late_at(1), t0 + 500ms);
  EXPECT_EQ(pass.take_next(t0 + 500ms), 2u);  // a spare thread goes on
  pass.returned(2, true, good(2));
  EXPECT_EQ(pass.take_next(t0 + 500ms), std::nullopt);
  ASSERT_TRUE(pass.answerable());
  auto answer = pass.take_answer(t0 + 600ms);
  EXPECT_EQ(answer[1].condition, Status::timed_out);
  EXPECT_EQ(answer[1].fault, "timed out after 0.6 s");

  pass.begin(2, t0 + 1s, pace);
  EXPECT_EQ(pass.take_next(t0 + 1s), 0u);
  pass.returned(0, true, good(0));
  EXPECT_EQ(pass.take_next(t0 + 1s), 2u) << "1 is still out";
  pass.returned(2, true, good(2));
  pass.returned(1, true, good(1));  // late: its figures belong to the pass before
  (void)pass.take_next(t0 + 1s);
  answer = pass.take_answer(t0 + 1s);
  EXPECT_EQ(answer[1].condition, Status::timed_out);
  EXPECT_EQ(answer[1].uuid, "GPU-1") << "it can be named now";

  pass.begin(3, t0 + 2s, pace);
  for (unsigned slot = 0; slot < 3; ++slot) EXPECT_EQ(pass.take_next(t0 + 2s), slot);
}

TEST(Pass, ALateCallThatReturnsWithinItsOwnPassStillCounts) {
  Pass pass(1);
  pass.begin(1, t0, pace);
  (void)pass.take_next(t0);
  EXPECT_EQ(pass.take_next(t0 + 500ms), std::nullopt);
  EXPECT_FALSE(pass.answerable()) << "nothing to show: silence, and the server's deadline decides";
  pass.returned(0, true, good(0));
  ASSERT_TRUE(pass.answerable());
  EXPECT_EQ(pass.take_answer(t0 + 1s)[0].condition, Status::ok);
}

TEST(Pass, WhenTheBudgetIsSpentNoFurtherDeviceIsBegun) {
  Pass pass(3);
  pass.begin(1, t0, pace);
  (void)pass.take_next(t0);
  pass.returned(0, true, good(0));
  EXPECT_EQ(pass.take_next(t0 + 2s), std::nullopt);
  ASSERT_TRUE(pass.answerable());
  const auto answer = pass.take_answer(t0 + 2s);
  EXPECT_EQ(answer[0].condition, Status::ok);
  EXPECT_EQ(answer[2].condition, Status::timed_out);
  EXPECT_EQ(answer[2].fault, "not reached in time");
}

TEST(Pass, ACallThatIsOutWhenTheBudgetEndsIsLate) {
  Pass pass(2);
  pass.begin(1, t0, pace);
  (void)pass.take_next(t0);
  pass.returned(0, true, good(0));
  EXPECT_EQ(pass.take_next(t0 + 1900ms), 1u);
  EXPECT_EQ(pass.late_at(1), t0 + 2s) << "or what 0 said would come after the deadline";
}

TEST(Pass, WhereOneRanOutOfTimeTheNextBegins) {
  Pass pass(5);
  pass.begin(1, t0, pace);
  for (unsigned slot = 0; slot < 3; ++slot) {
    EXPECT_EQ(pass.take_next(t0), slot);
    pass.returned(slot, true, good(slot));
  }
  EXPECT_EQ(pass.take_next(t0 + 2s), std::nullopt);
  pass.begin(2, t0 + 3s, pace);
  for (const unsigned slot : {3u, 4u, 0u, 1u, 2u}) {
    EXPECT_EQ(pass.take_next(t0 + 3s), slot);
    pass.returned(slot, true, good(slot));
  }
  EXPECT_EQ(pass.take_next(t0 + 3s), std::nullopt);
  const auto answer = pass.take_answer(t0 + 3s);
  for (unsigned slot = 0; slot < 5; ++slot) EXPECT_EQ(answer[slot].index, slot) << "shown in their own order";
  pass.begin(3, t0 + 4s, pace);
  EXPECT_EQ(pass.take_next(t0 + 4s), 0u) << "everybody had a turn";
}

TEST(Pass, EachFurtherLateCallHasHalfTheTimeSoThatAllDevicesAreTriedWithinTheBudget) {
  for (const unsigned devices : {1u, 2u, 8u, 64u}) {
    Pass pass(devices);
    const auto tight = Pass::Pace::for_devices(devices, 1800ms, 500ms);
    pass.begin(1, t0, tight);
    Instant now = t0;
    for (unsigned slot = 0; slot < devices; ++slot) {
      ASSERT_EQ(pass.take_next(now), slot) << "of " << devices;
      const Instant late = pass.late_at(slot);
      EXPECT_EQ(late - now, std::max(Duration(500ms) / (1 << std::min(slot, 10u)), tight.overrun_min));
      now = late;
      pass.passed_over();
    }
    EXPECT_LE(now, t0 + 1800ms);
  }
}

TEST(Pass, AHiddenDeviceIsNeitherReadNorShownAgain) {
  Pass pass(2);
  pass.begin(0, t0, pace);
  (void)pass.take_next(t0);
  pass.returned(0, false, Entity());
  (void)pass.take_next(t0);
  pass.returned(1, true, good(1));
  EXPECT_EQ(pass.take_next(t0), std::nullopt);
  ASSERT_EQ(pass.take_answer(t0).size(), 1u);
  pass.begin(1, t0, pace);
  EXPECT_EQ(pass.take_next(t0), 1u);
  EXPECT_TRUE(pass.any_shown());
}

}  // namespace
}  // namespace gputach
