// The libraries that lack symbols: what the loader does not find in them, and what is left.
#include <algorithm>
#include <array>
#include <string>
#include <vector>

#include "embedded.h"
#include "library_fixture.h"
#include "scenario.h"

namespace gputach::sim {
namespace {

using nvml::Return;

std::vector<std::string> names_not_found(const TestLibrary& library) {
  std::vector<std::string> names;
  for (const std::string_view name : symbol_names) {
    if (library.find(std::string(name).c_str()) == nullptr) names.emplace_back(name);
  }
  return names;
}

struct OldDriver {
  std::string_view scenario;
  std::string_view version;
  std::vector<std::string> absent;
};

// By the first header that declares a function: the second memory structure came with R510, the temperature call with
// a version word with R570. Everything else here is older than R450.
std::vector<OldDriver> old_drivers() {
  const std::string memory = "nvmlDeviceGetMemoryInfo_v2";
  const std::string temperature = "nvmlDeviceGetTemperatureV";
  return {
      {"old-driver-r450", "450.80.02", {memory, temperature}},
      {"old-driver-r510", "510.47.03", {temperature}},
      {"old-driver-r535", "535.54.03", {temperature}},
      {"old-driver-r565", "565.57.01", {temperature}},
  };
}

TEST(OldDrivers, LackWhatCameLaterAndNothingElse) {
  for (const OldDriver& old : old_drivers()) {
    SCOPED_TRACE(old.scenario);
    const std::string scenario(old.scenario);
    const TestLibrary nvml(scenario, scenario);
    EXPECT_EQ(names_not_found(nvml), old.absent);
    EXPECT_TRUE(names_not_found(TestLibrary(scenario)).empty()) << "the whole library has every name";
    ASSERT_EQ(nvml.init(), Return::success);
    std::array<char, nvml::driver_version_bytes> version{};
    ASSERT_EQ(nvml.call<nvml::SystemGetTextFn>("nvmlSystemGetDriverVersion", version.data(), 80U), Return::success);
    EXPECT_EQ(version.data(), old.version);
  }
}

TEST(OldDrivers, AreAllInTheTableAbove) {
  const auto known = old_drivers();
  for (const EmbeddedScenario& embedded : embedded_scenarios()) {
    if (!embedded.name.starts_with("old-driver-")) continue;
    const auto row = std::ranges::find(known, embedded.name, &OldDriver::scenario);
    ASSERT_NE(row, known.end()) << embedded.name;
    std::vector<std::string> listed;
    const Scenario scenario = parse_scenario(embedded.text, embedded.name, {}).value();
    for (const Symbol symbol : scenario.driver.absent) listed.emplace_back(name_of(symbol));
    EXPECT_EQ(listed, row->absent) << embedded.name;
  }
}

TEST(OldDrivers, AnySymbolCanBeTheOnlyOneMissing) {
  for (const std::string_view name : symbol_names) {
    const TestLibrary library("rtx4090", "without-" + std::string(name));
    EXPECT_EQ(names_not_found(library), std::vector{std::string(name)});
    EXPECT_NE(library.find(nvml::simulated_symbol), nullptr);
  }
}

TEST(OldDrivers, FirstMemoryStructureLeavesOutWhatIsReservedBeforeR510) {
  constexpr std::uint64_t mib = 1 << 20;
  const TestLibrary r450("old-driver-r450", "old-driver-r450");
  ASSERT_EQ(r450.init(), Return::success);
  nvml::Memory memory{};
  ASSERT_EQ(r450.call<nvml::DeviceGetMemoryInfoFn>("nvmlDeviceGetMemoryInfo", r450.handle(0), &memory),
            Return::success);
  EXPECT_EQ(memory.total, (40960 - 424) * mib);
  EXPECT_EQ(memory.used + memory.free, memory.total);
  const TestLibrary r510("old-driver-r510", "old-driver-r510");
  ASSERT_EQ(r510.init(), Return::success);
  ASSERT_EQ(r510.call<nvml::DeviceGetMemoryInfoFn>("nvmlDeviceGetMemoryInfo", r510.handle(0), &memory),
            Return::success);
  EXPECT_EQ(memory.total, 40960 * mib);
}

}  // namespace
}  // namespace gputach::sim
