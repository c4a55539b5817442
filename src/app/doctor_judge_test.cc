#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <set>

#include "app/doctor_test_kit.h"

namespace gputach {
namespace {

std::vector<Situation> situations() {
  std::vector<Situation> all;
  for (auto part : {machine_situations(), container_situations(), driver_situations(), answer_situations()})
    std::ranges::move(part, std::back_inserter(all));
  return all;
}

bool complains(const Check& check) {
  return check.state == CheckState::failed || check.state == CheckState::warning;
}

TEST(DoctorJudge, EachSituationIsToldApartWithItsRemedy) {
  for (const Situation& situation : situations()) {
    SCOPED_TRACE(situation.name);
    std::vector<Check> complaints;
    std::ranges::copy_if(judge(situation.findings), std::back_inserter(complaints), complains);
    ASSERT_EQ(complaints.size(), situation.said.size()) << checks_as_text(judge(situation.findings));
    for (std::size_t i = 0; i < complaints.size(); ++i) {
      SCOPED_TRACE(situation.said[i].id);
      EXPECT_EQ(complaints[i].id, situation.said[i].id);
      EXPECT_EQ(complaints[i].state, situation.said[i].state);
      EXPECT_THAT(complaints[i].found, testing::HasSubstr(situation.said[i].found));
      EXPECT_THAT(complaints[i].remedy, testing::HasSubstr(situation.said[i].remedy));
    }
  }
}

TEST(DoctorJudge, TwoSituationsNeverGetTheSameDiagnosis) {
  std::map<std::string, std::string> seen;
  for (const Situation& situation : situations()) {
    std::string diagnosis;
    for (const Check& check : judge(situation.findings))
      if (complains(check)) diagnosis += check.id + ": " + check.found + " -> " + check.remedy + "\n";
    if (diagnosis.empty()) continue;
    const auto [before, fresh] = seen.emplace(diagnosis, situation.name);
    EXPECT_TRUE(fresh) << situation.name << " and " << before->second << ":\n" << diagnosis;
  }
}

TEST(DoctorJudge, EveryComplaintHasOneRemedyAndNothingElseHasOne) {
  for (const Situation& situation : situations()) {
    SCOPED_TRACE(situation.name);
    std::set<std::string> ids;
    for (const Check& check : judge(situation.findings)) {
      SCOPED_TRACE(check.id);
      EXPECT_TRUE(ids.insert(check.id).second);
      EXPECT_FALSE(check.found.empty());
      EXPECT_EQ(check.remedy.empty(), !complains(check));
      EXPECT_TRUE(!complains(check) || check.remedy.ends_with('.')) << check.remedy;
    }
  }
}

TEST(DoctorJudge, AFigureThatAGpuDoesNotHaveIsNamedAndNoFault) {
  Entity entity = gpu(0);
  entity[id("fan_speed_ratio")] = Reading::missing(Status::unsupported);
  const Check check = checks::gpu(entity);
  EXPECT_EQ(check.state, CheckState::ok);
  EXPECT_EQ(check.found, "NVIDIA H100 80GB HBM3, GPU-00000000; without fan_speed_ratio (unsupported)");
}

TEST(DoctorJudge, TheOrderOfTheChecksIsFixed) {
  std::vector<std::string> ids;
  for (const Check& check : judge(healthy())) ids.push_back(check.id);
  EXPECT_THAT(ids, testing::ElementsAre("hardware", "library", "kernel_driver", "version_match", "device_nodes",
                                        "container", "pod_resources", "driver_start", "gpus", "gpu_0", "gpu_1",
                                        "driver_calls", "pass_latency", "cache", "clock"));
}

TEST(DoctorJudge, AWorkerIsStartedWhereItCanComeUp) {
  EXPECT_TRUE(worth_passes(healthy().probe));
  EXPECT_TRUE(worth_passes(hangs("nvmlDeviceGetPowerUsage", 1, 2s).probe));
  EXPECT_FALSE(worth_passes(without_library().probe));
  EXPECT_FALSE(worth_passes(init_answers(Return::driver_not_loaded).probe));
  EXPECT_FALSE(worth_passes(no_gpus().probe));
  ProbeReport hung = hangs("nvmlInit_v2", -1, 20s).probe;
  hung.opened = false;
  EXPECT_FALSE(worth_passes(hung));
}

}  // namespace
}  // namespace gputach
