// Each board's scenario held against a table of what real boards answer, written down apart from the scenarios.
#include <gmock/gmock.h>
#include <array>
#include <map>
#include <set>
#include <string>
#include <string_view>

#include "embedded.h"
#include "library_fixture.h"
#include "scenario.h"

namespace gputach::sim {
namespace {

using nvml::PciInfo;
using nvml::Return;
using ::testing::ElementsAre;

constexpr std::uint64_t mib = 1 << 20;

// A column of the table of refusals below.
enum class Kind : unsigned char { t4, a100, l40s, hopper, b200, grace, geforce };

struct Board {
  std::string_view scenario;
  Kind kind;
  std::string_view driver;
  unsigned gpus;
  std::string_view name;
  unsigned total_mib;
  unsigned reserved_mib;
  std::array<unsigned, 3> limits_w;  // least, default, most
  unsigned device_id;
  std::string_view bus_id;  // of the first GPU; empty where none was captured
};

// clang-format off
constexpr auto boards = std::to_array<Board>({
    {"t4",        Kind::t4,      "595.91",        1, "Tesla T4",                    15360, 448, {60, 70, 70},     0x1EB8, ""},
    {"a100-40",   Kind::a100,    "570.148.08",    1, "NVIDIA A100-SXM4-40GB",       40960, 518, {100, 400, 400},  0x20B0, ""},
    {"a100-80",   Kind::a100,    "570.148.08",    1, "NVIDIA A100-SXM4-80GB",       81920, 869, {100, 500, 500},  0x20B2, ""},
    {"a100-mig",  Kind::a100,    "570.148.08",    1, "NVIDIA A100-SXM4-40GB",       40960, 518, {100, 400, 400},  0x20B0, ""},
    {"l40s",      Kind::l40s,    "595.91",        1, "NVIDIA L40S",                 46068, 609, {100, 350, 350},  0x26B9, ""},
    {"h100-pcie", Kind::hopper,  "580.105.08",    1, "NVIDIA H100 PCIe",            81559, 480, {200, 350, 350},  0x2331, ""},
    {"h100-sxm",  Kind::hopper,  "580.105.08",    8, "NVIDIA H100 80GB HBM3",       81559, 480, {200, 700, 700},  0x2330, ""},
    {"h100-mig",  Kind::hopper,  "590.48.01",     1, "NVIDIA H100 80GB HBM3",       81559, 480, {200, 700, 700},  0x2330, ""},
    {"h100x64",   Kind::hopper,  "580.105.08",   64, "NVIDIA H100 80GB HBM3",       81559, 480, {200, 700, 700},  0x2330, ""},
    {"h200",      Kind::hopper,  "590.48.01",     1, "NVIDIA H200",                143771, 614, {200, 700, 700},  0x2335, ""},
    {"b200",      Kind::b200,    "580.105.08",    8, "NVIDIA B200",                183359, 728, {200, 1000, 1000}, 0x2901, ""},
    {"gb200",     Kind::grace,   "580.173.02",    4, "NVIDIA GB200",               189471, 742, {200, 1200, 1200}, 0x2941, "00000008:06:00.0"},
    {"gb300",     Kind::grace,   "580.173.02",    4, "NVIDIA GB300",               284208, 947, {200, 1400, 1400}, 0x31C2, ""},
    {"rtx4090",   Kind::geforce, "580.105.08",    1, "NVIDIA GeForce RTX 4090",     24564, 346, {10, 450, 600},   0x2684, ""},
});
// clang-format on

Scenario scenario_named(std::string_view name) {
  for (const EmbeddedScenario& embedded : embedded_scenarios()) {
    if (embedded.name == name) return parse_scenario(embedded.text, name, {}).value();
  }
  ADD_FAILURE() << "no scenario " << name;
  return {};
}

unsigned u32(const TestLibrary& nvml, const char* function, nvml::Device device) {
  unsigned out = 0;
  EXPECT_EQ(nvml.call<nvml::DeviceGetU32Fn>(function, device, &out), Return::success) << function;
  return out;
}

PciInfo pci_of(const TestLibrary& nvml, nvml::Device device) {
  PciInfo pci{};
  EXPECT_EQ((nvml.call<Return(nvml::Device, PciInfo*)>("nvmlDeviceGetPciInfo_v3", device, &pci)), Return::success);
  return pci;
}

TEST(Boards, HaveTheNamesMemoryAndLimitsOfRealOnes) {
  for (const Board& board : boards) {
    SCOPED_TRACE(board.scenario);
    const TestLibrary nvml{std::string(board.scenario)};
    ASSERT_EQ(nvml.init(), Return::success);
    std::array<char, nvml::driver_version_bytes> driver{};
    ASSERT_EQ(nvml.call<nvml::SystemGetTextFn>("nvmlSystemGetDriverVersion", driver.data(), 80U), Return::success);
    EXPECT_EQ(driver.data(), board.driver);
    ASSERT_EQ(nvml.count(), board.gpus);
    for (unsigned index = 0; index < board.gpus; ++index) {
      const nvml::Device gpu = nvml.handle(index);
      EXPECT_EQ(nvml.text("nvmlDeviceGetName", gpu), board.name);
      nvml::MemoryV2 memory{.version = nvml::memory_v2_version, .total = 0, .reserved = 0, .free = 0, .used = 0};
      ASSERT_EQ(nvml.call<nvml::DeviceGetMemoryInfoV2Fn>("nvmlDeviceGetMemoryInfo_v2", gpu, &memory), Return::success);
      EXPECT_EQ(memory.total, board.total_mib * mib);
      EXPECT_EQ(memory.reserved, board.reserved_mib * mib);
      EXPECT_GT(memory.used, 0U);
      EXPECT_EQ(memory.total, memory.reserved + memory.used + memory.free);
      EXPECT_EQ(u32(nvml, "nvmlDeviceGetPowerManagementLimit", gpu), board.limits_w[1] * 1000);
      EXPECT_EQ(u32(nvml, "nvmlDeviceGetEnforcedPowerLimit", gpu), board.limits_w[1] * 1000);
      EXPECT_LE(u32(nvml, "nvmlDeviceGetPowerUsage", gpu), board.limits_w[2] * 1000);
      EXPECT_EQ(pci_of(nvml, gpu).pci_device_id, board.device_id << 16U | nvml::nvidia_vendor_id);
    }
    const Scenario scenario = scenario_named(board.scenario);
    EXPECT_EQ(scenario.gpus[0].property(Property::power_limit_min), board.limits_w[0]);
    EXPECT_EQ(scenario.gpus[0].property(Property::power_limit_default), board.limits_w[1]);
    EXPECT_EQ(scenario.gpus[0].property(Property::power_limit_max), board.limits_w[2]);
    if (!board.bus_id.empty()) {
      EXPECT_EQ(pci_of(nvml, nvml.handle(0)).bus_id.data(), board.bus_id);
    }
  }
}

bool has(const Gpu& gpu, Metric metric) {
  return gpu.curve(metric).has_value();
}
bool has(const Gpu& gpu, Property property) {
  return gpu.property(property).has_value();
}
bool has(const Gpu& gpu, Feature feature) {
  return gpu.feature(feature) != Mode::not_supported;
}

template <auto what>
bool answers(const Gpu& gpu) {
  return has(gpu, what);
}

struct Query {
  std::string_view name;
  bool (*answers)(const Gpu&);
  std::string_view columns;  // by Kind: + answers, - NOT_SUPPORTED
};

// clang-format off
constexpr auto queries = std::to_array<Query>({
    {"fan",                 answers<Metric::fan>,                    "------+"},
    {"memory temperature",  answers<Metric::memory_temperature>,     "-+-+++-"},
    {"absolute thresholds", answers<Property::slowdown_temperature>, "++----+"},
    {"relative thresholds", answers<Property::slowdown_margin>,      "--++++-"},
    {"margin",              answers<Metric::margin_temperature>,     "--++++-"},
    {"average power",       answers<Metric::average_power>,          "--+++++"},
    {"instant power",       answers<Metric::instant_power>,          "+++++++"},
    {"memory power",        answers<Metric::memory_power>,           "---+++-"},
    {"module power",        answers<Metric::module_power>,           "-----+-"},
    {"ECC",                 answers<Feature::ecc>,                   "++++++-"},
    {"SRAM ECC detail",     answers<Feature::sram_ecc_detail>,       "-+++++-"},
    {"retired pages",       answers<Property::retired_pages>,        "+------"},
    {"row remapping",       answers<Property::remap_banks>,          "-+++++-"},
    {"MIG mode",            answers<Feature::mig>,                   "-+-+++-"},
    {"GPM",                 answers<Feature::gpm>,                   "---+++-"},
    {"C2C",                 answers<Feature::c2c>,                   "---+++-"},
});
constexpr auto link_queries = std::to_array<Query>({
    {"NVLink",              answers<Property::nvlink_count>,         "-+-+++-"},
    {"fabric",              answers<Property::fabric_state>,         "---+++-"},
});
// clang-format on

TEST(Boards, RefuseWhatRealOnesRefuse) {
  for (const Board& board : boards) {
    const Scenario scenario = scenario_named(board.scenario);
    const auto expect = [&](const Query& query) {
      const bool answers = query.columns[static_cast<std::size_t>(board.kind)] == '+';
      for (const Gpu& gpu : scenario.gpus) {
        EXPECT_EQ(query.answers(gpu), answers) << board.scenario << ": " << query.name;
      }
    };
    for (const Query& query : queries) expect(query);
    // Without bridges there is no link, and without a switch no fabric.
    if (board.scenario == "h100-pcie") continue;
    for (const Query& query : link_queries) expect(query);
  }
}

TEST(Boards, AnswerTheirRefusalsThroughTheLibrary) {
  for (const Board& board : boards) {
    SCOPED_TRACE(board.scenario);
    const TestLibrary nvml{std::string(board.scenario)};
    ASSERT_EQ(nvml.init(), Return::success);
    const nvml::Device gpu = nvml.handle(0);
    const bool geforce = board.kind == Kind::geforce;
    const bool no_mig = board.kind == Kind::t4 || board.kind == Kind::l40s || geforce;
    const bool mig_on = board.scenario.ends_with("-mig");
    unsigned out = 0;
    unsigned pending = 0;
    EXPECT_EQ(nvml.call<nvml::DeviceGetU32Fn>("nvmlDeviceGetFanSpeed", gpu, &out),
              geforce ? Return::success : Return::not_supported);
    EXPECT_EQ(nvml.call<nvml::DeviceGetU32PairFn>("nvmlDeviceGetMigMode", gpu, &out, &pending),
              no_mig ? Return::not_supported : Return::success);
    if (!no_mig) {
      EXPECT_EQ(out, mig_on ? nvml::mig_enabled : nvml::mig_disabled);
    }
    nvml::Utilization utilization{};
    const Return engines = mig_on ? Return::not_supported : Return::success;
    EXPECT_EQ(nvml.call<nvml::DeviceGetUtilizationRatesFn>("nvmlDeviceGetUtilizationRates", gpu, &utilization),
              engines);
    EXPECT_EQ(nvml.call<nvml::DeviceGetU32PairFn>("nvmlDeviceGetEncoderUtilization", gpu, &out, &pending), engines);
    EXPECT_EQ(nvml.call<nvml::DeviceGetU32PairFn>("nvmlDeviceGetDecoderUtilization", gpu, &out, &pending), engines);
    std::array<char, nvml::serial_bytes> serial{};
    EXPECT_EQ(nvml.call<nvml::DeviceGetTextFn>("nvmlDeviceGetSerial", gpu, serial.data(), nvml::serial_bytes),
              geforce ? Return::not_supported : Return::success);
    EXPECT_EQ(scenario_named(board.scenario).gpus[0].part_number.empty(), geforce);
  }
}

TEST(Boards, OfOneTrayHaveDomainsAboveZeroAndShareSerialsByPairs) {
  for (const char* const name : {"gb200", "gb300"}) {
    const TestLibrary nvml(name);
    ASSERT_EQ(nvml.init(), Return::success);
    std::vector<std::string> serials;
    std::set<unsigned> domains;
    for (unsigned index = 0; index < 4; ++index) {
      const nvml::Device gpu = nvml.handle(index);
      serials.push_back(nvml.text("nvmlDeviceGetSerial", gpu));
      const PciInfo pci = pci_of(nvml, gpu);
      domains.insert(pci.domain);
      EXPECT_EQ(std::string(pci.bus_id.data()).substr(4), pci.bus_id_legacy.data());
    }
    EXPECT_EQ(serials[0], serials[1]);
    EXPECT_EQ(serials[2], serials[3]);
    EXPECT_NE(serials[0], serials[2]);
    EXPECT_GE(*domains.begin(), 8U);
    EXPECT_EQ(domains.size(), 4U);
  }
}

TEST(Boards, AreToldApartByUuidPciAddressAndDeviceNode) {
  for (const Board& board : boards) {
    const Scenario scenario = scenario_named(board.scenario);
    std::set<std::string> uuids;
    std::set<std::array<std::uint32_t, 3>> addresses;
    std::set<unsigned> minors;
    for (const Gpu& gpu : scenario.gpus) {
      uuids.insert(gpu.uuid);
      addresses.insert({gpu.pci.domain, gpu.pci.bus, gpu.pci.device});
      minors.insert(gpu.minor_number);
    }
    EXPECT_EQ(uuids.size(), board.gpus) << board.scenario;
    EXPECT_EQ(addresses.size(), board.gpus) << board.scenario;
    EXPECT_EQ(minors.size(), board.gpus) << board.scenario;
    EXPECT_TRUE(std::ranges::is_sorted(addresses)) << board.scenario << ": NVML counts in the order of the bus";
  }
  const TestLibrary b200("b200");
  ASSERT_EQ(b200.init(), Return::success);
  EXPECT_EQ(u32(b200, "nvmlDeviceGetMinorNumber", b200.handle(0)), 5U) << "need not be the index";
}

TEST(Boards, InstancesOfTheH100AreThoseOfTheCapture) {
  const Scenario scenario = scenario_named("h100-mig");
  std::vector<std::string> rows;
  for (const MigInstance& mig : scenario.gpus[0].mig_instances) {
    rows.push_back(mig.name + " gi " + std::to_string(mig.gpu_instance_id) + " sm " + std::to_string(mig.sm_count) +
                   " mib " + std::to_string(static_cast<int>(mig.memory_total_mib)) + " bar1 " +
                   std::to_string(static_cast<int>(mig.bar1_total_mib)));
  }
  EXPECT_THAT(rows, ElementsAre("NVIDIA H100 80GB HBM3 MIG 3g.40gb gi 2 sm 60 mib 40448 bar1 24739",
                                "NVIDIA H100 80GB HBM3 MIG 2g.20gb gi 3 sm 32 mib 20096 bar1 12369",
                                "NVIDIA H100 80GB HBM3 MIG 1g.10gb gi 9 sm 16 mib 9984 bar1 6184",
                                "NVIDIA H100 80GB HBM3 MIG 1g.10gb gi 10 sm 16 mib 9984 bar1 6184"));
  double used_mib = 0;
  for (const MigInstance& mig : scenario.gpus[0].mig_instances) used_mib += mig.memory_used_mib;
  EXPECT_EQ(used_mib, 11125) << "what the whole board says";
  const MigInstance a100 = scenario_named("a100-mig").gpus[0].mig_instances.at(0);
  EXPECT_EQ(a100.profile, "3g.20gb");
  EXPECT_EQ(a100.gpu_instance_id, 1U);
  EXPECT_EQ(a100.sm_count, 42U);
  EXPECT_EQ(a100.memory_total_mib, 19968);
}

TEST(Boards, SharedMemoryPartRefusesMemoryLimitAndFan) {
  const TestLibrary gb10("gb10");
  ASSERT_EQ(gb10.init(), Return::success);
  const nvml::Device gpu = gb10.handle(0);
  EXPECT_STREQ(pci_of(gb10, gpu).bus_id.data(), "0000000F:01:00.0");
  unsigned out = 0;
  for (const char* const function :
       {"nvmlDeviceGetPowerManagementLimit", "nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetFanSpeed"}) {
    EXPECT_EQ(gb10.call<nvml::DeviceGetU32Fn>(function, gpu, &out), Return::not_supported) << function;
  }
  nvml::MemoryV2 memory{.version = nvml::memory_v2_version, .total = 0, .reserved = 0, .free = 0, .used = 0};
  EXPECT_EQ(gb10.call<nvml::DeviceGetMemoryInfoV2Fn>("nvmlDeviceGetMemoryInfo_v2", gpu, &memory),
            Return::not_supported);
}

TEST(Boards, EnforcedLimitMayBeBelowTheOneAskedFor) {
  const TestLibrary nvml("h100-sxm?enforced_w=500");
  ASSERT_EQ(nvml.init(), Return::success);
  EXPECT_EQ(u32(nvml, "nvmlDeviceGetPowerManagementLimit", nvml.handle(0)), 700'000U);
  EXPECT_EQ(u32(nvml, "nvmlDeviceGetEnforcedPowerLimit", nvml.handle(0)), 500'000U);
}

// Links, fabric, remapping banks and memory clocks: nothing reads them yet, the numbers stand here for the day when.
TEST(Boards, HaveTheLinksBanksAndClocksOfRealOnes) {
  struct Row {
    std::int64_t banks, links, link_mb_s, clique, memory_mhz, sm_mhz;
  };
  const std::map<std::string_view, Row> rows{
      {"a100-40", {640, 12, 25781, -1, 1215, 1410}},     {"l40s", {192, -1, -1, -1, 9001, 2520}},
      {"h100-sxm", {2560, 18, 26562, 0, 2619, 1980}},    {"h200", {3072, 18, 26562, 0, 3201, 1980}},
      {"b200", {3840, 18, 53125, 0, 3996, 1965}},        {"gb200", {3968, 18, 53125, 2, 3996, 2062}},
      {"gb300", {5952, 18, 53125, 32766, 3996, 2070}},   {"t4", {-1, -1, -1, -1, 5001, 1590}},
      {"h100x8-busy", {2560, 18, 26562, 0, 2619, 1980}},
  };
  for (const auto& [name, row] : rows) {
    const Gpu gpu = scenario_named(name).gpus.at(0);
    EXPECT_EQ(gpu.property(Property::remap_banks).value_or(-1), row.banks) << name;
    EXPECT_EQ(gpu.property(Property::nvlink_count).value_or(-1), row.links) << name;
    EXPECT_EQ(gpu.property(Property::nvlink_rate).value_or(-1), row.link_mb_s) << name;
    EXPECT_EQ(gpu.property(Property::fabric_clique).value_or(-1), row.clique) << name;
    EXPECT_EQ(gpu.property(Property::memory_clock_max), row.memory_mhz) << name;
    EXPECT_EQ(gpu.property(Property::sm_clock_max), row.sm_mhz) << name;
    EXPECT_EQ(gpu.property(Property::performance_state), 0) << name;
  }
}

}  // namespace
}  // namespace gputach::sim
