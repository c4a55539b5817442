// The production code over libraries in which symbols are truly missing, as in older drivers.
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sources/nvml/nvml_source.h"

namespace gputach {
namespace {

constexpr double mebibyte = 1 << 20;

// What a whole pass over one library gives, at a moment that is the same for all.
struct Page {
  std::string why;
  Result<unsigned> opened = 0u;
  std::vector<Entity> gpus;

  [[nodiscard]] Reading operator[](MetricId metric) const { return gpus.at(0)[metric]; }
};

class OldDriver : public ::testing::Test {
 protected:
  void SetUp() override {
    const char* const path = std::getenv("GPUTACH_TEST_SIM");
    if (path == nullptr) GTEST_SKIP() << "NOT RUN: GPUTACH_TEST_SIM is not set";
    whole_ = path;
    ::setenv("GPUTACH_SIM_TIME_S", "1000", 1);
  }
  void TearDown() override { ::unsetenv("GPUTACH_SIM_TIME_S"); }

  [[nodiscard]] std::filesystem::path drivers() const { return whole_.parent_path() / "drivers"; }

  // Of the library under drivers/, or of the whole one. A copy, because a library is never unloaded and reads its
  // scenario when it is loaded.
  [[nodiscard]] Page page(const std::string& scenario, const std::string& driver = {}) const {
    static int copies = 0;
    const std::string copy =
        ::testing::TempDir() + "gputach_old_" + std::to_string(::getpid()) + "_" + std::to_string(copies++) + ".so.1";
    std::filesystem::copy_file(driver.empty() ? whole_ : drivers() / driver / whole_.filename(), copy);
    ::setenv("GPUTACH_SIM_SCENARIO", scenario.c_str(), 1);
    const ManualClock clock;
    NvmlReader reader(NvmlOptions{.library_path = copy, .devices = {}, .meminfo_path = "/proc/meminfo"}, clock);
    Page page{.why = {}, .opened = reader.open(), .gpus = {}};
    std::filesystem::remove(copy);
    page.why = reader.why();
    page.gpus.resize(page.opened.value_or(0));
    for (unsigned slot = 0; slot < page.gpus.size(); ++slot) {
      EXPECT_TRUE(reader.prepare_device(slot, page.gpus[slot]));
      reader.read_device(slot, page.gpus[slot]);
      EXPECT_EQ(page.gpus[slot].condition, Status::ok) << driver << ": " << page.gpus[slot].fault;
    }
    return page;
  }

 private:
  std::filesystem::path whole_;
};

TEST_F(OldDriver, R450HasEveryFigureByItsOlderCalls) {
  const Page page = this->page("old-driver-r450", "old-driver-r450");
  ASSERT_EQ(page.opened, 1u) << page.why;
  EXPECT_EQ(page.why, "driver 450.80.02");
  EXPECT_EQ(page[id("memory_total_bytes")], Reading::of((40960 - 424) * mebibyte)) << "without what is reserved";
  EXPECT_GT(page[id("memory_used_bytes")].value, 34000 * mebibyte);
  EXPECT_TRUE(page[id("temperature_celsius")].ok());
  EXPECT_EQ(page[id("power_limit_watts")], Reading::of(400));
  EXPECT_EQ(page[id("fan_speed_ratio")], Reading::missing(Status::unsupported));
}

TEST_F(OldDriver, R510ToR565LackOnlyTheNewerTemperatureCall) {
  for (const char* const name : {"old-driver-r510", "old-driver-r535", "old-driver-r565"}) {
    const Page page = this->page(name, name);
    ASSERT_TRUE(page.opened) << page.why;
    EXPECT_TRUE(page[id("temperature_celsius")].ok()) << name;
    EXPECT_GT(page[id("temperature_celsius")].value, 29) << name;
    EXPECT_EQ(page[id("memory_total_bytes")], Reading::of((page.why == "driver 510.47.03" ? 40960 : 81559) * mebibyte));
  }
}

TEST_F(OldDriver, AMissingFunctionAndOneThatSaysSoAreTheSame) {
  unsigned drivers_seen = 0;
  for (const auto& entry : std::filesystem::directory_iterator(drivers())) {
    const std::string name = entry.path().filename().string();
    if (!name.starts_with("old-driver-")) continue;
    ++drivers_seen;
    const Page missing = page(name, name);
    const Page refusing = page(name);
    ASSERT_EQ(missing.opened, refusing.opened) << name;
    for (unsigned slot = 0; slot < missing.gpus.size(); ++slot) {
      EXPECT_EQ(missing.gpus[slot].readings, refusing.gpus[slot].readings) << name;
      EXPECT_EQ(missing.gpus[slot].uuid, refusing.gpus[slot].uuid) << name;
    }
  }
  EXPECT_GE(drivers_seen, 4u);
}

// rtx4090 answers every metric. Each symbol takes away the metric named here, or nothing.
TEST_F(OldDriver, OneMissingSymbolCostsOneFigureAtMost) {
  const std::map<std::string_view, MetricId> costs{
      {"nvmlDeviceGetUtilizationRates", id("utilization_ratio")},
      {"nvmlDeviceGetPowerUsage", id("power_watts")},
      {"nvmlDeviceGetFanSpeed", id("fan_speed_ratio")},
      {"nvmlDeviceGetEncoderUtilization", id("encoder_utilization_ratio")},
      {"nvmlDeviceGetDecoderUtilization", id("decoder_utilization_ratio")},
  };
  const Page whole = page("rtx4090");
  unsigned symbols = 0;
  for (const auto& entry : std::filesystem::directory_iterator(drivers())) {
    const std::string driver = entry.path().filename().string();
    if (!driver.starts_with("without-")) continue;
    const std::string symbol = driver.substr(8);
    if (symbol == "nvmlInit_v2" || symbol == "nvmlDeviceGetCount_v2" || symbol == "nvmlDeviceGetHandleByIndex_v2") {
      continue;
    }
    ++symbols;
    const Page page = this->page("rtx4090", driver);
    ASSERT_EQ(page.opened, 1u) << symbol << ": " << page.why;
    EXPECT_EQ(page.why, symbol == "nvmlSystemGetDriverVersion" ? "" : "driver 580.105.08") << symbol;
    EXPECT_EQ(page.gpus[0].uuid, symbol == "nvmlDeviceGetUUID" ? "" : whole.gpus[0].uuid);
    EXPECT_EQ(page.gpus[0].name, symbol == "nvmlDeviceGetName" ? " (simulated)" : whole.gpus[0].name);
    std::vector<Reading> expected = whole.gpus[0].readings;
    if (const auto cost = costs.find(symbol); cost != costs.end()) {
      expected[cost->second.column] = Reading::missing(Status::driver_too_old);
    }
    // The first memory structure counts what is reserved as used.
    if (symbol == "nvmlDeviceGetMemoryInfo_v2") expected[id("memory_used_bytes").column].value += 346 * mebibyte;
    EXPECT_EQ(page.gpus[0].readings, expected) << symbol;
  }
  EXPECT_GE(symbols, 17u);
}

TEST_F(OldDriver, ThreeSymbolsAreIndispensable) {
  for (const std::string symbol : {"nvmlInit_v2", "nvmlDeviceGetCount_v2", "nvmlDeviceGetHandleByIndex_v2"}) {
    const Page page = this->page("rtx4090", "without-" + symbol);
    ASSERT_FALSE(page.opened) << symbol;
    EXPECT_EQ(page.opened.error(), (Error{ErrorCode::not_initialized, "NVML not initialized"}));
    EXPECT_TRUE(page.why.ends_with("no symbol " + symbol)) << page.why;
  }
}

}  // namespace
}  // namespace gputach
