#include "publish/single_flight.h"

#include <gtest/gtest.h>

namespace gputach {
namespace {

using namespace std::chrono_literals;
using Verdict = SingleFlight::Verdict;

constexpr Instant t0{1h};

SingleFlight flight(std::size_t waiters_max = 100) {
  return SingleFlight({.ttl = 1s, .wait_max = 3s, .waiters_max = waiters_max});
}

TEST(SingleFlight, AnyNumberOfSimultaneousRequestsCauseOnePass) {
  auto f = flight();
  EXPECT_EQ(f.request(t0), Verdict::started);
  for (int i = 0; i < 50; ++i) EXPECT_EQ(f.request(t0 + 1ms * i), Verdict::joined);
  EXPECT_EQ(f.waiters(), 51u);
  f.finished(t0 + 60ms, t0 + 1ms, false);
  EXPECT_EQ(f.waiters(), 0u);
  EXPECT_EQ(f.request(t0 + 61ms), Verdict::hit);
}

TEST(SingleFlight, AResultHoldsForTheTtlCountedFromTheStartOfItsCollection) {
  auto f = flight();
  (void)f.request(t0);
  f.finished(t0 + 400ms, t0, false);
  EXPECT_EQ(f.request(t0 + 999ms), Verdict::hit);
  EXPECT_EQ(f.request(t0 + 1s), Verdict::started);
}

TEST(SingleFlight, AResultThatTookLongerThanTheTtlIsNeverAHit) {
  auto f = flight();
  (void)f.request(t0);
  f.finished(t0 + 1500ms, t0, false);
  EXPECT_EQ(f.request(t0 + 1500ms), Verdict::started);
}

TEST(SingleFlight, AnErrorIsRememberedForOneTtlFromItsEnd) {
  auto f = flight();
  (void)f.request(t0);
  f.finished(t0 + 2s, t0, true);
  EXPECT_EQ(f.request(t0 + 2999ms), Verdict::hit);
  EXPECT_EQ(f.request(t0 + 3s), Verdict::started);
}

TEST(SingleFlight, BeyondTheBoundRequestsAreRefusedAndHitsAreNot) {
  auto f = flight(2);
  EXPECT_EQ(f.request(t0), Verdict::started);
  EXPECT_EQ(f.request(t0), Verdict::joined);
  EXPECT_EQ(f.request(t0), Verdict::refused);
  f.finished(t0, t0, false);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(f.request(t0), Verdict::hit);
}

TEST(SingleFlight, APassThatNeverEndsIsGivenUpForTheWaitersAndNotDoubled) {
  auto f = flight();
  (void)f.request(t0);
  EXPECT_FALSE(f.overdue(t0 + 2999ms));
  EXPECT_TRUE(f.overdue(t0 + 3s));
  EXPECT_FALSE(f.overdue(t0 + 3s)) << "once";
  EXPECT_EQ(f.request(t0 + 3500ms), Verdict::hit) << "the error is remembered";
  EXPECT_EQ(f.request(t0 + 4s), Verdict::joined) << "the pass is still out";
  f.finished(t0 + 5s, t0, false);
  EXPECT_EQ(f.request(t0 + 5s), Verdict::started) << "its figures are five seconds old";
}

TEST(SingleFlight, ANewTtlJudgesTheResultThatIsThere) {
  auto f = flight();
  (void)f.request(t0);
  f.finished(t0, t0, false);
  EXPECT_FALSE(f.fresh(t0 + 1s));
  f.set_ttl(5s);
  EXPECT_TRUE(f.fresh(t0 + 4999ms));
  f.set_ttl(500ms);
  EXPECT_FALSE(f.fresh(t0 + 500ms));
}

TEST(SingleFlight, AZeroTtlNeverHits) {
  SingleFlight f({.ttl = 0s, .wait_max = 3s, .waiters_max = 9});
  (void)f.request(t0);
  f.finished(t0, t0, false);
  EXPECT_EQ(f.request(t0), Verdict::started);
}

}  // namespace
}  // namespace gputach
