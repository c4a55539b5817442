#include "app/doctor_probe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>

namespace gputach {
namespace {

using namespace std::chrono_literals;
using End = ProbeReport::End;

ProbeEvent event(ProbeEvent::Kind kind, std::string_view text = "", int gpu = -1, int code = 0, Duration took = {}) {
  ProbeEvent made{.kind = kind, .gpu = gpu, .code = code, .took_ns = took.count()};
  text.copy(made.text, sizeof made.text - 1);
  return made;
}

TEST(DoctorProbeReport, CallsAreGatheredByNameAndPhase) {
  using enum ProbeEvent::Kind;
  ProbeReport report;
  for (const ProbeEvent& one :
       {event(loading), event(loaded, "/lib/libnvidia-ml.so.580.1", -1, 1), event(calling, "nvmlInit_v2"),
        event(returned, "", -1, 0, 3ms), event(calling, "nvmlDeviceGetName", 0), event(returned, "", -1, 0, 2us),
        event(opened, "", -1, 4), event(calling, "nvmlDeviceGetName", 0), event(returned, "", -1, 0, 4us),
        event(calling, "nvmlDeviceGetName", 1), event(returned, "", -1, 0, 5us), event(finished)})
    report.take(one);
  EXPECT_EQ(report.end, End::finished);
  EXPECT_TRUE(report.loaded && report.simulated && report.opened && report.started());
  EXPECT_EQ(report.library_file, "/lib/libnvidia-ml.so.580.1");
  EXPECT_EQ(report.init_took, 3ms);
  EXPECT_EQ(report.gpus, 4U);
  ASSERT_EQ(report.calls.size(), 3U);
  EXPECT_EQ(report.calls[2].name, "nvmlDeviceGetName");
  EXPECT_THAT(report.calls[2].took, testing::ElementsAre(4us, 5us));
  EXPECT_FALSE(report.pending);
}

TEST(DoctorProbeReport, ACallWithoutAnAnswerStaysPending) {
  ProbeReport report;
  report.take(event(ProbeEvent::Kind::calling, "nvmlDeviceGetPowerUsage", 3));
  ASSERT_TRUE(report.pending);
  EXPECT_EQ(report.pending->name, "nvmlDeviceGetPowerUsage");
  EXPECT_EQ(report.pending->gpu, 3);
}

// The real child over the simulated driver.
class DoctorProbe : public testing::Test {
 protected:
  void SetUp() override { ASSERT_NE(std::getenv("GPUTACH_TEST_SIM"), nullptr) << "which simulated driver?"; }
  void TearDown() override {
    ::unsetenv("GPUTACH_SIM_SCENARIO");
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1) << "a child is left";
    EXPECT_EQ(errno, ECHILD);
  }

  ProbeReport run(const char* scenario, ProbeOptions options = {}) {
    ::setenv("GPUTACH_SIM_SCENARIO", scenario, 1);
    if (options.nvml.library_path.empty()) options.nvml.library_path = std::getenv("GPUTACH_TEST_SIM");
    Result<Probe> probe = Probe::start(options, clock_);
    EXPECT_TRUE(probe);
    return probe->collect();
  }

 private:
  SystemClock clock_;
};

const ProbeReport::Call* find(const ProbeReport& report, std::string_view name) {
  const auto found = std::ranges::find(report.calls, name, &ProbeReport::Call::name);
  return found == report.calls.end() ? nullptr : &*found;
}

TEST_F(DoctorProbe, TimesEveryCallOfEveryGpuInEveryPass) {
  const ProbeReport report = run("h100x8-busy", {.passes = 3});
  EXPECT_EQ(report.end, End::finished);
  EXPECT_TRUE(report.simulated);
  EXPECT_THAT(report.library_file, testing::HasSubstr("libnvidia-ml.so"));
  EXPECT_EQ(report.gpus, 8U);
  ASSERT_NE(find(report, "nvmlDeviceGetPowerUsage"), nullptr);
  EXPECT_EQ(find(report, "nvmlDeviceGetPowerUsage")->took.size(), 3U * 8U);
  EXPECT_EQ(find(report, "nvmlDeviceGetHandleByIndex_v2")->took.size(), 8U);
}

TEST_F(DoctorProbe, NamesTheCallThatHangsAndItsGpu) {
  const ProbeReport report = run("hang?gpu=3", {.call_max = 200ms});
  EXPECT_EQ(report.end, End::hung);
  ASSERT_TRUE(report.pending);
  EXPECT_EQ(report.pending->name, "nvmlDeviceGetPowerUsage");
  EXPECT_EQ(report.pending->gpu, 3);
  EXPECT_EQ(report.pending->waited, 200ms);
}

TEST_F(DoctorProbe, NamesAnInitThatHangs) {
  const ProbeReport report = run("hang?call=nvmlInit_v2&gpu=all", {.start_call_max = 200ms});
  EXPECT_EQ(report.end, End::hung);
  ASSERT_TRUE(report.pending);
  EXPECT_EQ(report.pending->name, "nvmlInit_v2");
  EXPECT_FALSE(report.started());
}

TEST_F(DoctorProbe, ADriverThatRefusesIsNotADriverWithoutGpus) {
  const ProbeReport refused = run("driver-not-loaded");
  EXPECT_EQ(refused.end, End::finished);
  EXPECT_EQ(refused.init, nvml::Return::driver_not_loaded);
  EXPECT_FALSE(refused.no_gpus);
  const ProbeReport none = run("no-gpus");
  EXPECT_TRUE(none.started());
  EXPECT_TRUE(none.no_gpus);
}

TEST_F(DoctorProbe, SaysWhyALibraryIsNotLoaded) {
  ProbeOptions elsewhere;
  elsewhere.nvml.library_path = "/nowhere/libnvidia-ml.so.1";
  const ProbeReport report = run("h100x8-busy", elsewhere);
  EXPECT_EQ(report.end, End::finished);
  EXPECT_FALSE(report.loaded);
  EXPECT_THAT(report.complaint, testing::HasSubstr("/nowhere/libnvidia-ml.so.1"));
}

}  // namespace
}  // namespace gputach
