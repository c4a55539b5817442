#include "app/doctor_check.h"

#include <gtest/gtest.h>

namespace gputach {
namespace {

using namespace std::chrono_literals;

std::vector<Check> three_checks() {
  return {
      {.state = CheckState::ok, .found = "all \"well\"", .id = "library"},
      {.state = CheckState::failed, .found = "it is lost", .remedy = "Find it.", .id = "gpu_0"},
      {.state = CheckState::skipped,
       .found = "not in a pod",
       .calls = {{"nvmlDeviceGetPowerUsage", 3, 12us, 1500us}, {"nvmlInit_v2", 1, 2s, 2s}},
       .id = "driver_calls"},
  };
}

TEST(DoctorCheck, TextIsOneLineForEachCheckWithTheRemedyBelow) {
  EXPECT_EQ(checks_as_text(three_checks()),
            "ok       library         all \"well\"\n"
            "failed   gpu_0           it is lost\n"
            "                         -> Find it.\n"
            "skipped  driver_calls    not in a pod\n"
            "                         nvmlDeviceGetPowerUsage              3 calls, 12.0 us, at most 1.5 ms\n"
            "                         nvmlInit_v2                          1 call, 2.0 s, at most 2.0 s\n"
            "1 ok, 0 warnings, 1 failed, 1 skipped\n");
}

TEST(DoctorCheck, JsonHasTheSameWithStableKeys) {
  EXPECT_EQ(checks_as_json(three_checks()),
            R"([{"id":"library","state":"ok","found":"all \"well\""},)"
            "\n"
            R"( {"id":"gpu_0","state":"failed","found":"it is lost","remedy":"Find it."},)"
            "\n"
            R"( {"id":"driver_calls","state":"skipped","found":"not in a pod","calls":[)"
            R"({"call":"nvmlDeviceGetPowerUsage","count":3,"median_us":12.0,"max_us":1500.0},)"
            R"({"call":"nvmlInit_v2","count":1,"median_us":2000000.0,"max_us":2000000.0}]}])"
            "\n");
}

TEST(DoctorCheck, DurationsCarryTheUnitThatSuitsThem) {
  EXPECT_EQ(readable(0ns), "0.0 us");
  EXPECT_EQ(readable(45ns), "0.05 us");
  EXPECT_EQ(readable(999us), "999.0 us");
  EXPECT_EQ(readable(1ms), "1.0 ms");
  EXPECT_EQ(readable(1250ms), "1.25 s");
}

TEST(DoctorCheck, OnlyAFailureIsAReasonToSayNo) {
  std::vector<Check> checks = three_checks();
  EXPECT_TRUE(any_failed(checks));
  checks[1].state = CheckState::warning;
  EXPECT_FALSE(any_failed(checks));
  EXPECT_FALSE(any_failed({}));
}

}  // namespace
}  // namespace gputach
