#include "scenario.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <algorithm>
#include <cmath>
#include <fstream>
#include <set>

#include "embedded.h"
#include "scenario_store.h"

namespace gputach::sim {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

Scenario parsed(std::string_view text, const std::vector<Parameter>& parameters = {}) {
  auto scenario = parse_scenario(text, "test", parameters);
  EXPECT_TRUE(scenario) << scenario.error();
  return scenario.value_or(Scenario{});
}

std::string error_of(std::string_view text, const std::vector<Parameter>& parameters = {}) {
  const auto scenario = parse_scenario(text, "test", parameters);
  return scenario ? "no error" : scenario.error();
}

TEST(ScenarioParser, ReadsEveryKindOfEntry) {
  const Scenario scenario = parsed(R"(
description = "all of it"
seed = 7
[driver]
version = "570.1"
nvml_version = "12.570.1"
init = "NO_PERMISSION"
init_delay_ms = 5
first_handle_delay_ms = 6.5
memory_v1_total = "unreserved"
process_entry_bytes = 32
absent = ["nvmlDeviceGetTemperatureV"]
[[gpu]]
name = "Board"
uuid = "GPU-1"
load = { low = 0.1, high = 0.9, period_s = 3 }
memory_total_mib = 1000
memory_reserved_mib = 10
power_w = { idle = 10, busy = 100, noise = 1, lag_s = 2 }
fan_percent = 30
mig = "enabled"
returns = { nvmlDeviceGetPowerUsage = "NO_PERMISSION" }
[[gpu.mig_instance]]
slot = 3
profile = "1g.10gb"
gpu_instance_id = 9
compute_instance_id = 1
sm_count = 16
memory_total_mib = 100
bar1_total_mib = 50
[[fault]]
gpu = [0, 2]
call = ["nvmlDeviceGetName", "nvmlDeviceGetUUID"]
after_s = 1
for_s = 2
every = 3
delay_ms = 4
value = -1
return = 998
)");
  EXPECT_EQ(scenario.description, "all of it");
  EXPECT_EQ(scenario.seed, 7U);
  EXPECT_EQ(scenario.driver.init, nvml::Return::no_permission);
  EXPECT_EQ(scenario.driver.first_handle_delay_ms, 6.5);
  EXPECT_THAT(scenario.driver.absent, ElementsAre(symbol("nvmlDeviceGetTemperatureV")));
  EXPECT_EQ(scenario.driver.memory_v1_total, MemoryV1Total::unreserved);
  EXPECT_EQ(scenario.driver.process_entry_bytes, 32U);
  ASSERT_EQ(scenario.gpus.size(), 1U);
  const Gpu& gpu = scenario.gpus[0];
  EXPECT_EQ(gpu.load.high, 0.9);
  EXPECT_EQ(gpu.curve(Metric::power)->busy, 100);
  EXPECT_EQ(gpu.curve(Metric::fan)->idle, 30);
  EXPECT_EQ(gpu.curve(Metric::fan)->busy, 30);
  EXPECT_FALSE(gpu.curve(Metric::temperature));
  EXPECT_EQ(gpu.returns.at(0).second, nvml::Return::no_permission);
  const MigInstance& mig = gpu.mig_instances.at(0);
  EXPECT_EQ(mig.slot, 3U);
  EXPECT_EQ(mig.name, "Board MIG 1g.10gb");
  EXPECT_EQ(mig.gpu_instance_id * 10 + mig.compute_instance_id, 91U);
  EXPECT_EQ(mig.sm_count, 16U);
  EXPECT_EQ(mig.bar1_total_mib, 50);
  ASSERT_EQ(scenario.faults.size(), 1U);
  const Fault& fault = scenario.faults[0];
  EXPECT_THAT(fault.gpus, ElementsAre(0, 2));
  EXPECT_THAT(fault.calls, ElementsAre(symbol("nvmlDeviceGetName"), symbol("nvmlDeviceGetUUID")));
  EXPECT_EQ(fault.every, 3U);
  EXPECT_EQ(fault.value, -1);
  EXPECT_EQ(fault.result, static_cast<nvml::Return>(998));
}

TEST(ScenarioParser, RepeatsABoardWithUuidsOfTheRealFormThatDependOnTheSeed) {
  const Scenario scenario = parsed("seed = 3\n[[gpu]]\ncount = 8\n");
  ASSERT_EQ(scenario.gpus.size(), 8U);
  std::set<std::string> uuids;
  for (const Gpu& gpu : scenario.gpus) {
    EXPECT_THAT(gpu.uuid, ::testing::MatchesRegex("GPU-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+-[0-9a-f]+"));
    EXPECT_EQ(gpu.uuid.size(), 40U);
    EXPECT_EQ(gpu.uuid.substr(12, 1) + gpu.uuid[17] + gpu.uuid[22] + gpu.uuid[27], "----");
    uuids.insert(gpu.uuid);
  }
  EXPECT_EQ(uuids.size(), 8U);
  EXPECT_EQ(parsed("seed = 3\n[[gpu]]\ncount = 8\n").gpus[5].uuid, scenario.gpus[5].uuid);
  EXPECT_NE(parsed("seed = 4\n[[gpu]]\ncount = 8\n").gpus[5].uuid, scenario.gpus[5].uuid);
}

TEST(ScenarioParser, ReadsWhatABoardIsAndHas) {
  const Scenario scenario = parsed(R"(
[[gpu]]
mig = "enabled"
ecc = "disabled"
pci_bus_id = "0000000F:1a:00.0"
pci_device_id = 0x2330
serial = "77-###"
part_number = "900"
minor_number = 4
module_id = 6
slowdown_margin_c = -2
fabric_clique = 32766
)");
  const Gpu& gpu = scenario.gpus.at(0);
  EXPECT_EQ(gpu.feature(Feature::mig), Mode::enabled);
  EXPECT_EQ(gpu.feature(Feature::ecc), Mode::disabled);
  EXPECT_EQ(gpu.feature(Feature::gpm), Mode::not_supported);
  EXPECT_EQ(gpu.pci, (PciAddress{.domain = 15, .bus = 0x1A, .device = 0}));
  EXPECT_EQ(gpu.property(Property::pci_device_id), 0x2330);
  EXPECT_EQ(gpu.property(Property::slowdown_margin), -2);
  EXPECT_EQ(gpu.property(Property::fabric_clique), 32766);
  EXPECT_FALSE(gpu.property(Property::nvlink_count));
  EXPECT_EQ(gpu.serial, "77-000");
  EXPECT_EQ(gpu.part_number, "900");
  EXPECT_EQ(gpu.minor_number, 4U);
  EXPECT_EQ(gpu.module_id, 6U);
}

TEST(ScenarioParser, TellsAlikeBoardsApartByListsOrByTheirNumber) {
  const Scenario scenario = parsed(R"(
[[gpu]]
count = 2
pci_bus_id = ["00000008:06:00.0", "00000009:06:00.0"]
module_id = [2, 1]
serial = ["77", "77"]
[[gpu]]
count = 11
serial = "8##"
)");
  ASSERT_EQ(scenario.gpus.size(), 13U);
  EXPECT_EQ(scenario.gpus[1].pci, (PciAddress{.domain = 9, .bus = 6, .device = 0}));
  EXPECT_EQ(scenario.gpus[1].module_id, 1U);
  EXPECT_EQ(scenario.gpus[0].serial, scenario.gpus[1].serial);
  EXPECT_EQ(scenario.gpus[3].serial, "803");
  EXPECT_EQ(scenario.gpus[12].serial, "812");
  EXPECT_EQ(scenario.gpus[12].minor_number, 12U);
  EXPECT_EQ(scenario.gpus[12].pci, (PciAddress{.domain = 0, .bus = 13, .device = 0}));
}

TEST(ScenarioParser, NamesTheLineOfAnUnknownKeyInEveryTable) {
  EXPECT_EQ(error_of("\ncolour = 1"), "test:2: unknown key `colour`");
  EXPECT_EQ(error_of("[driver]\ncolour = 1"), "test:2: unknown key `colour`");
  EXPECT_EQ(error_of("[[gpu]]\n\ncolour = 1"), "test:3: unknown key `colour`");
  EXPECT_EQ(error_of("[[gpu]]\npower_w = { idle = 1, colour = 2 }"), "test:2: unknown key `colour`");
  EXPECT_EQ(error_of("[[gpu]]\nload = { colour = 2 }"), "test:2: unknown key `colour`");
  EXPECT_EQ(error_of("[[gpu]]\nmig = \"enabled\"\n[[gpu.mig_instance]]\ncolour = 2"), "test:4: unknown key `colour`");
  EXPECT_EQ(error_of("[[fault]]\ncolour = 1"), "test:2: unknown key `colour`");
}

TEST(ScenarioParser, RefusesWhatCannotBeMeant) {
  EXPECT_THAT(error_of("seed = "), HasSubstr("test:1: "));
  EXPECT_THAT(error_of("seed = \"x\""), HasSubstr("test:1: expected an integer"));
  EXPECT_THAT(error_of("[[gpu]]\ncount = 65"), HasSubstr("test:2: expected an integer from 0 to 64"));
  EXPECT_THAT(error_of("[[gpu]]\ncount = 40\n[[gpu]]\ncount = 40"), HasSubstr("more than 64 GPUs"));
  EXPECT_THAT(error_of("[[gpu]]\ncount = 2\nuuid = \"GPU-1\""), HasSubstr("one uuid for more than one GPU"));
  EXPECT_THAT(error_of("[[gpu]]\npower_w = -1"), HasSubstr("test:2: expected a number from 0"));
  EXPECT_THAT(error_of("[[gpu]]\npower_w = nan"), HasSubstr("test:2: expected a number from 0"));
  EXPECT_THAT(error_of("[[gpu]]\nmemory_total_mib = 1\nmemory_reserved_mib = 2"), HasSubstr("more memory reserved"));
  EXPECT_THAT(error_of("[[gpu]]\n[[gpu.mig_instance]]\nslot = 0"), HasSubstr("mig = \"enabled\""));
  EXPECT_THAT(error_of("[[gpu]]\necc = \"on\""), HasSubstr("test:2: expected \"enabled\" or \"disabled\""));
  EXPECT_THAT(error_of("[[gpu]]\npcie_width = 33"), HasSubstr("test:2: expected an integer from 1 to 32"));
  for (const std::string_view bus_id : {"1:06:00.0", "00000008-06:00.0", "0000000G:06:00.0", "00000008:06:00.1", ""}) {
    EXPECT_THAT(error_of("[[gpu]]\npci_bus_id = \"" + std::string(bus_id) + "\""), HasSubstr("test:2: expected a PCI"));
  }
  EXPECT_THAT(error_of("[[gpu]]\ncount = 3\nmodule_id = [1, 2]"), HasSubstr("one value for each GPU"));
  EXPECT_THAT(error_of("[[gpu]]\ncount = 2\npci_bus_id = \"00000000:06:00.0\""), HasSubstr("one value for each GPU"));
  EXPECT_THAT(error_of("[[gpu]]\ncount = 3\nserial = [\"1\", \"2\"]"), HasSubstr("one value for each GPU"));
  EXPECT_THAT(error_of("[[gpu]]\n[[gpu]]\npci_bus_id = \"00000000:01:00.0\""), HasSubstr("at one PCI address"));
  EXPECT_THAT(error_of("[driver]\nmemory_v1_total = \"some\""), HasSubstr("expected \"all\" or \"unreserved\""));
  EXPECT_THAT(error_of("[driver]\nprocess_entry_bytes = 20"), HasSubstr("16, 24 or 32 bytes"));
  EXPECT_THAT(error_of("[driver]\ninit = \"BROKEN\""), HasSubstr("test:2: expected a return code"));
  EXPECT_THAT(error_of("[[fault]]\ncall = \"nvmlDeviceReset\"\nhang = true"), HasSubstr("test:2: `nvmlDeviceReset`"));
  EXPECT_THAT(error_of("[[fault]]\nhang = true"), HasSubstr("a fault names its `call`"));
  EXPECT_THAT(error_of("[[fault]]\ncall = \"*\""), HasSubstr("does nothing"));
  EXPECT_THAT(error_of("[[fault]]\ncall = \"*\"\nhang = true\nevery = 0"), HasSubstr("from 1"));
  EXPECT_THAT(error_of("[[fault]]\ngpu = \"0,x\"\ncall = \"*\"\nhang = true"), HasSubstr("expected a GPU index"));
  EXPECT_THAT(error_of("fault = 3"), HasSubstr("list of tables"));
}

constexpr std::string_view with_parameters = R"(
[parameters]
gpu = "all"
for_s = inf
call = "*"
hang = false
[[fault]]
gpu = "$gpu"
call = "$call"
for_s = "$for_s"
hang = "$hang"
)";

TEST(ScenarioParser, FillsInTheDefaultsOfParameters) {
  const Scenario scenario = parsed(with_parameters);
  const Fault& fault = scenario.faults.at(0);
  EXPECT_THAT(fault.gpus, IsEmpty());
  EXPECT_THAT(fault.calls, IsEmpty());
  EXPECT_TRUE(std::isinf(fault.for_s));
  EXPECT_FALSE(fault.hang);
}

TEST(ScenarioParser, LetsParametersBeGivenFromOutside) {
  const Scenario scenario =
      parsed(with_parameters, {{"gpu", "1,3"}, {"for_s", "2.5"}, {"call", "nvmlDeviceGetName"}, {"hang", "true"}});
  const Fault& fault = scenario.faults.at(0);
  EXPECT_THAT(fault.gpus, ElementsAre(1, 3));
  EXPECT_THAT(fault.calls, ElementsAre(symbol("nvmlDeviceGetName")));
  EXPECT_EQ(fault.for_s, 2.5);
  EXPECT_TRUE(fault.hang);
}

TEST(ScenarioParser, RefusesUnknownParametersOnBothSides) {
  EXPECT_THAT(error_of(with_parameters, {{"speed", "1"}}), HasSubstr("no parameter `speed`"));
  EXPECT_THAT(error_of("[[fault]]\ncall = \"$call\"\nhang = true"), HasSubstr("test:2: no parameter `$call`"));
  EXPECT_THAT(error_of(with_parameters, {{"for_s", "soon"}}), HasSubstr("test:10: expected a number"));
}

TEST(ScenarioSpec, SplitsNameAndParameters) {
  const auto spec = parse_scenario_spec("hang?call=nvmlDeviceGetName&gpu=3&after_s=0.5");
  ASSERT_TRUE(spec) << spec.error();
  EXPECT_EQ(spec->name, "hang");
  ASSERT_EQ(spec->parameters.size(), 3U);
  EXPECT_EQ(spec->parameters[2].name, "after_s");
  EXPECT_EQ(spec->parameters[2].text, "0.5");
  EXPECT_EQ(parse_scenario_spec("/some/file.toml")->name, "/some/file.toml");
  EXPECT_FALSE(parse_scenario_spec("hang?gpu"));
  EXPECT_FALSE(parse_scenario_spec("?gpu=1"));
}

TEST(EmbeddedScenarios, AllParseAndSayWhatTheyAre) {
  std::set<std::string_view> names;
  for (const EmbeddedScenario& scenario : embedded_scenarios()) {
    const auto parsed = parse_scenario(scenario.text, scenario.name, {});
    ASSERT_TRUE(parsed) << parsed.error();
    EXPECT_FALSE(parsed->description.empty()) << scenario.name;
    names.insert(scenario.name);
  }
  EXPECT_THAT(names, ::testing::IsSupersetOf({"h100x8-busy", "one-gpu-lost", "hang", "no-gpus", "driver-not-loaded",
                                              "slow-start", "rtx4090", "gb10", "a100-mig", "old-driver-r450"}));
}

TEST(ReadmeExample, IsAScenario) {
  std::ifstream file(GPUTACH_SIM_README);
  const std::string readme{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const std::string_view fence = "```toml\n";
  const std::size_t begin = readme.find(fence);
  ASSERT_NE(begin, std::string::npos);
  const std::size_t end = readme.find("```", begin + fence.size());
  const Scenario scenario = parsed(readme.substr(begin + fence.size(), end - begin - fence.size()));
  EXPECT_EQ(scenario.gpus.size(), 2U);
  EXPECT_EQ(scenario.faults.at(0).delay_ms, 250);
}

}  // namespace
}  // namespace gputach::sim
