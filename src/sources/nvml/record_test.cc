#include "sources/nvml/record.h"

#include <gtest/gtest.h>

#include <map>

#include "sources/nvml/fake_driver.h"
#include "sources/nvml/record_scenario.h"

namespace gputach::nvml {
namespace {

constexpr std::size_t at(Query query) {
  return static_cast<std::size_t>(query);
}

bool contains(const std::string& text, std::string_view part) {
  return text.find(part) != std::string::npos;
}

Recording one_gpu() {
  Recording recording;
  recording.gpus.resize(1);
  recording.gpus[0].uuid = "GPU-secret";
  recording.gpus[0].serial = "1652323000007";
  return recording;
}

void tell(RecordedGpu& gpu, Figure figure, double low, double high) {
  gpu.figures[static_cast<std::size_t>(figure)] = FigureRange{low, high};
}

std::string text_of_one(const Recording& recording) {
  return scenario_text(recording, Identities::replaced);
}

TEST(ScenarioText, OnlyARecordingOfTheDriverSaysThatItsGpusAreReal) {
  Recording recording = one_gpu();
  EXPECT_TRUE(contains(text_of_one(recording), "\"A recording of real GPUs: 1 GPU, "));
  recording.origin = Origin::simulator;
  EXPECT_TRUE(contains(text_of_one(recording), "\"A recording of the SIMULATED driver, not of real GPUs: 1 GPU, "));
  EXPECT_FALSE(contains(text_of_one(recording), "A recording of real GPUs"));
}

TEST(ScenarioText, IdentitiesAreWrittenOnlyWhenTheyMayBe) {
  const Recording recording = one_gpu();
  EXPECT_FALSE(contains(text_of_one(recording), "secret"));
  EXPECT_TRUE(contains(text_of_one(recording), "serial = \"0000000000000\"\n"));
  EXPECT_TRUE(
      contains(scenario_text(recording, Identities::real), "uuid = \"GPU-secret\"\nserial = \"1652323000007\""));
}

TEST(ScenarioText, WhatTheLanguageCannotSayIsBroughtWithinItsBounds) {
  Recording recording = one_gpu();
  RecordedGpu& gpu = recording.gpus[0];
  gpu.name = "a \"b\" \\ \n" + std::string(200, 'x');
  tell(gpu, Figure::temperature, -5, -5);
  tell(gpu, Figure::memory_used, 1e13, 1e13);
  const std::string text = text_of_one(recording);
  EXPECT_TRUE(contains(text, R"(name = "a \"b\" \\ \n)" + std::string(70, 'x') + "\"\n")) << text;
  EXPECT_TRUE(contains(text, "temperature_c = 0\n"));
  EXPECT_TRUE(contains(text, "memory_used_mib = 1000000000000\n"));
}

TEST(ScenarioText, ARangeFollowsALoadAndASizeDoesNot) {
  Recording recording = one_gpu();
  tell(recording.gpus[0], Figure::power, 60.5, 300);
  tell(recording.gpus[0], Figure::memory_total, 80, 81);
  const std::string text = text_of_one(recording);
  EXPECT_TRUE(contains(text, "power_w = { idle = 60.5, busy = 300 }\n"));
  EXPECT_TRUE(contains(text, "load = { low = 0, high = 1, period_s = 10 }\n"));
  EXPECT_TRUE(contains(text, "memory_total_mib = 80\n"));
}

TEST(ScenarioText, ARefusalIsWrittenUnlessTheKeysImplyIt) {
  Recording recording = one_gpu();
  RecordedGpu& gpu = recording.gpus[0];
  gpu.codes[at(Query::fan)] = Return::not_supported;  // implied: there is no fan_percent
  gpu.codes[at(Query::power)] = Return{1234};         // newer than any table
  gpu.codes[at(Query::temperature_v)] = Return::not_supported;
  gpu.codes[at(Query::temperature)] = Return::success;
  tell(gpu, Figure::temperature, 40, 40);
  const std::string text = text_of_one(recording);
  EXPECT_FALSE(contains(text, "FanSpeed"));
  EXPECT_TRUE(contains(text, "nvmlDeviceGetPowerUsage = 1234  # unknown error 1234\n"));
  EXPECT_TRUE(contains(text, "nvmlDeviceGetTemperatureV = 3  # Not Supported\n"));
}

TEST(ScenarioText, AFunctionIsAbsentWhenNoGpuKnowsItAndRefusedWhenSomeDo) {
  Recording recording = one_gpu();
  recording.gpus.push_back(recording.gpus[0]);
  for (RecordedGpu& gpu : recording.gpus) {
    gpu.codes[at(Query::mig_mode)] = Return::function_not_found;
    gpu.codes[at(Query::fan)] = Return::function_not_found;
  }
  recording.gpus[1].codes[at(Query::fan)] = Return::not_supported;
  const std::string text = text_of_one(recording);
  EXPECT_TRUE(contains(text, "absent = [\"nvmlDeviceGetMigMode\"]\n")) << text;
  EXPECT_TRUE(contains(text, "nvmlDeviceGetFanSpeed = 13  # Function Not Found\n"));
}

TEST(ScenarioText, AFirstMemoryStructureThatLeavesOutWhatIsReservedIsNoticed) {
  Recording recording = one_gpu();
  RecordedGpu& gpu = recording.gpus[0];
  tell(gpu, Figure::memory_total, 40960, 40960);
  tell(gpu, Figure::memory_reserved, 424, 424);
  gpu.memory_v1_total_mib = 40960;
  EXPECT_FALSE(contains(text_of_one(recording), "memory_v1_total"));
  gpu.memory_v1_total_mib = 40536;
  EXPECT_TRUE(contains(text_of_one(recording), "memory_v1_total = \"unreserved\"\n"));
}

TEST(ScenarioText, AFaultNamesAGpuByItsPlaceInTheRecordingAndNoneThatIsLeftOut) {
  Recording recording = one_gpu();
  recording.gpus[0].index = 5;
  recording.stuck = {{.symbol = "nvmlDeviceGetName", .gpu = 5, .how = Stuck::hung},
                     {.symbol = "nvmlDeviceGetUUID", .gpu = 6, .how = Stuck::crashed},
                     {.symbol = "nvmlDeviceGetCount_v2", .gpu = {}, .how = Stuck::crashed}};
  const std::string text = text_of_one(recording);
  EXPECT_TRUE(contains(text, "[[fault]]\ngpu = 0\ncall = \"nvmlDeviceGetName\"\nhang = true\n"));
  EXPECT_TRUE(contains(text, "[[fault]]\ncall = \"nvmlDeviceGetCount_v2\"\ncrash = true\n"));
  EXPECT_FALSE(contains(text, "nvmlDeviceGetUUID"));
}

// Lets through all but one call, and counts.
struct Doorman final : CallWitness {
  std::string refused;
  std::map<std::string, unsigned> calls;
  unsigned inside = 0;

  bool may_call(const char* symbol, std::optional<unsigned> /*gpu*/, Pace /*pace*/) override {
    if (refused == symbol) return false;
    ++calls[symbol];
    ++inside;
    return true;
  }
  void returned() override { --inside; }
};

Library with_lookup(const FakeDriver& driver) {
  return {driver.functions(), Origin::driver, [](const char* symbol) -> void* {
            const auto found = fake::symbols().find(symbol);
            return found == fake::symbols().end() ? nullptr : found->second;
          }};
}

TEST(Recorder, ACallThatIsNotAllowedIsNeitherMadeNorCounted) {
  const FakeDriver driver(2);
  Doorman doorman;
  doorman.refused = "nvmlDeviceGetPowerUsage";
  Recorder recorder(with_lookup(driver), doorman);
  recorder.identify({});
  recorder.read_figures();
  ASSERT_EQ(recorder.recording().gpus.size(), 2u);
  const RecordedGpu& gpu = recorder.recording().gpus[1];
  EXPECT_EQ(gpu.code(Query::power), std::nullopt);
  EXPECT_EQ(gpu.figure(Figure::power), std::nullopt);
  EXPECT_EQ(gpu.figure(Figure::power_limit), (FigureRange{700, 700}));
  EXPECT_EQ(driver.gpus[1]->asked.count("nvmlDeviceGetPowerUsage"), 0u);
  EXPECT_EQ(doorman.calls["nvmlDeviceGetHandleByIndex_v2"], 2u);
  EXPECT_EQ(doorman.inside, 0u);
}

TEST(Recorder, LaterPassesWidenRangesAndKeepTheFirstCodes) {
  const FakeDriver driver;
  Doorman doorman;
  Recorder recorder(with_lookup(driver), doorman);
  recorder.identify({});
  recorder.read_figures();
  driver.gpus[0]->power_mw = 400'000;
  driver.gpus[0]->always("nvmlDeviceGetFanSpeed", Return::gpu_is_lost);
  recorder.read_figures();
  driver.gpus[0]->power_mw = 100'000;
  recorder.read_figures();
  const RecordedGpu& gpu = recorder.recording().gpus[0];
  EXPECT_EQ(gpu.figure(Figure::power), (FigureRange{100, 400}));
  EXPECT_EQ(gpu.code(Query::fan), Return::success);
  EXPECT_EQ(gpu.figure(Figure::fan), (FigureRange{45, 45}));
}

}  // namespace
}  // namespace gputach::nvml
