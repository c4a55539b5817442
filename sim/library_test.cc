// The built library through its C interface: NVML's rules, and what each scenario shows.
#include <elf.h>
#include <gmock/gmock.h>
#include <array>
#include <atomic>
#include <cstring>
#include <iterator>
#include <set>
#include <thread>
#include <vector>

#include "embedded.h"
#include "library_fixture.h"
#include "symbols.h"

namespace gputach::sim {
namespace {

using nvml::Return;
using ::testing::UnorderedElementsAreArray;

constexpr std::uint64_t mib = 1 << 20;

// Names of the defined symbols in .dynsym, straight from the file: what any process that loads it would see.
std::vector<std::string> exported_symbols(const char* path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  const auto read_at = [&]<class T>(std::size_t offset, T& out) {
    ASSERT_LE(offset + sizeof(T), bytes.size());
    std::memcpy(&out, bytes.data() + offset, sizeof(T));
  };
  Elf64_Ehdr header{};
  read_at(0, header);
  const auto section_at = [&](std::size_t index) {
    Elf64_Shdr section{};
    read_at(header.e_shoff + index * header.e_shentsize, section);
    return section;
  };
  std::vector<std::string> names;
  for (std::size_t i = 0; i < header.e_shnum; ++i) {
    const Elf64_Shdr section = section_at(i);
    if (section.sh_type != SHT_DYNSYM) continue;
    const std::size_t strings = section_at(section.sh_link).sh_offset;
    for (std::size_t at = 0; at < section.sh_size; at += sizeof(Elf64_Sym)) {
      Elf64_Sym entry{};
      read_at(section.sh_offset + at, entry);
      if (entry.st_shndx != SHN_UNDEF) names.emplace_back(bytes.c_str() + strings + entry.st_name);
    }
  }
  return names;
}

TEST(SimLibrary, ExportsItsTableOfSymbolsAndNothingElse) {
  std::vector<std::string> expected(symbol_names.begin(), symbol_names.end());
  expected.insert(expected.end(), {"gputach_simulated", "gputach_sim_calls"});
  EXPECT_THAT(exported_symbols(std::getenv("GPUTACH_TEST_SIM")), UnorderedElementsAreArray(expected));
}

TEST(SimLibrary, EveryEmbeddedScenarioStartsOrSaysWhyNot) {
  for (const EmbeddedScenario& scenario : embedded_scenarios()) {
    const TestLibrary nvml{std::string(scenario.name)};
    const Return expected = scenario.name == "driver-not-loaded" ? Return::driver_not_loaded : Return::success;
    EXPECT_EQ(nvml.init(), expected) << scenario.name;
  }
}

TEST(SimLibrary, AnswersUninitializedUntilInitAndAfterTheLastShutdown) {
  const TestLibrary nvml("h100x8-busy");
  unsigned count = 0;
  const auto get_count = [&] { return nvml.call<nvml::DeviceGetCountFn>("nvmlDeviceGetCount_v2", &count); };
  EXPECT_EQ(get_count(), Return::uninitialized);
  EXPECT_EQ(nvml.shutdown(), Return::uninitialized);
  EXPECT_EQ(nvml.init(), Return::success);
  EXPECT_EQ(nvml.call<nvml::InitFn>("nvmlInit"), Return::success);
  EXPECT_EQ(nvml.call<Return(unsigned)>("nvmlInitWithFlags", 1U), Return::success);
  EXPECT_EQ(nvml.shutdown(), Return::success);
  EXPECT_EQ(nvml.shutdown(), Return::success);
  EXPECT_EQ(get_count(), Return::success);
  EXPECT_EQ(count, 8U);
  const nvml::Device device = nvml.handle(0);
  EXPECT_EQ(nvml.shutdown(), Return::success);
  EXPECT_EQ(get_count(), Return::uninitialized);
  EXPECT_EQ(nvml.power(device), Return::uninitialized);
}

TEST(SimLibrary, RefusesHandlesItDidNotGiveAndThoseOfAnEarlierSession) {
  const TestLibrary nvml("h100x8-busy");
  ASSERT_EQ(nvml.init(), Return::success);
  const nvml::Device device = nvml.handle(1);
  EXPECT_EQ(nvml.power(device), Return::success);
  EXPECT_EQ(nvml.power(nullptr), Return::invalid_argument);
  int outside = 0;
  EXPECT_EQ(nvml.power(reinterpret_cast<nvml::Device>(&outside)), Return::invalid_argument);
  nvml::Device none = nullptr;
  EXPECT_EQ(nvml.call<nvml::DeviceGetHandleByIndexFn>("nvmlDeviceGetHandleByIndex_v2", 8U, &none),
            Return::invalid_argument);
  ASSERT_EQ(nvml.shutdown(), Return::success);
  ASSERT_EQ(nvml.init(), Return::success);
  EXPECT_EQ(nvml.power(device), Return::invalid_argument);
  EXPECT_EQ(nvml.power(nvml.handle(1)), Return::success);
}

TEST(SimLibrary, RefusesNullPointers) {
  const TestLibrary nvml("h100x8-busy");
  ASSERT_EQ(nvml.init(), Return::success);
  const nvml::Device device = nvml.handle(0);
  constexpr auto bad = Return::invalid_argument;
  unsigned one = 0;
  EXPECT_EQ(nvml.call<nvml::DeviceGetCountFn>("nvmlDeviceGetCount_v2", nullptr), bad);
  EXPECT_EQ(nvml.call<nvml::DeviceGetHandleByIndexFn>("nvmlDeviceGetHandleByIndex_v2", 0U, nullptr), bad);
  EXPECT_EQ(nvml.call<nvml::SystemGetTextFn>("nvmlSystemGetDriverVersion", nullptr, 80U), bad);
  EXPECT_EQ(nvml.call<nvml::DeviceGetTextFn>("nvmlDeviceGetName", device, nullptr, 96U), bad);
  EXPECT_EQ(nvml.call<nvml::DeviceGetUtilizationRatesFn>("nvmlDeviceGetUtilizationRates", device, nullptr), bad);
  EXPECT_EQ(nvml.call<nvml::DeviceGetMemoryInfoFn>("nvmlDeviceGetMemoryInfo", device, nullptr), bad);
  EXPECT_EQ(nvml.call<nvml::DeviceGetMemoryInfoV2Fn>("nvmlDeviceGetMemoryInfo_v2", device, nullptr), bad);
  EXPECT_EQ(nvml.call<nvml::DeviceGetTemperatureVFn>("nvmlDeviceGetTemperatureV", device, nullptr), bad);
  EXPECT_EQ(nvml.call<nvml::DeviceGetTemperatureFn>("nvmlDeviceGetTemperature", device, 0, nullptr), bad);
  EXPECT_EQ(nvml.call<nvml::DeviceGetU32Fn>("nvmlDeviceGetFanSpeed", device, nullptr), bad);
  EXPECT_EQ(nvml.call<nvml::DeviceGetU32PairFn>("nvmlDeviceGetEncoderUtilization", device, &one, nullptr), bad);
  EXPECT_EQ(nvml.call<nvml::DeviceGetU32PairFn>("nvmlDeviceGetMigMode", device, nullptr, &one), bad);
  EXPECT_EQ(nvml.call<DeviceGetHandleByUuidFn>("nvmlDeviceGetHandleByUUID", nullptr, nullptr), bad);
}

TEST(SimLibrary, RefusesShortBuffersAndUnknownStructureVersions) {
  const TestLibrary nvml("h100x8-busy");
  ASSERT_EQ(nvml.init(), Return::success);
  const nvml::Device device = nvml.handle(0);
  const std::string name = nvml.text("nvmlDeviceGetName", device);
  EXPECT_EQ(name, "NVIDIA H100 80GB HBM3");
  const auto size = static_cast<std::uint32_t>(name.size());
  std::array<char, nvml::name_bytes> buffer{};
  EXPECT_EQ(nvml.call<nvml::DeviceGetTextFn>("nvmlDeviceGetName", device, buffer.data(), size),
            Return::insufficient_size);
  EXPECT_EQ(nvml.call<nvml::DeviceGetTextFn>("nvmlDeviceGetName", device, buffer.data(), size + 1), Return::success);

  nvml::MemoryV2 memory{.version = 2, .total = 0, .reserved = 0, .free = 0, .used = 0};
  EXPECT_EQ(nvml.call<nvml::DeviceGetMemoryInfoV2Fn>("nvmlDeviceGetMemoryInfo_v2", device, &memory),
            Return::argument_version_mismatch);
  nvml::TemperatureV1 temperature{.version = 1, .sensor_type = 0, .temperature = 0};
  EXPECT_EQ(nvml.call<nvml::DeviceGetTemperatureVFn>("nvmlDeviceGetTemperatureV", device, &temperature),
            Return::argument_version_mismatch);
  temperature = {.version = nvml::temperature_v1_version, .sensor_type = 7, .temperature = 0};
  EXPECT_EQ(nvml.call<nvml::DeviceGetTemperatureVFn>("nvmlDeviceGetTemperatureV", device, &temperature),
            Return::invalid_argument);
}

TEST(SimLibrary, MemoryVersionsAgreeAboutWhatIsReserved) {
  ::setenv("GPUTACH_SIM_TIME_S", "100", 1);  // both answers are of one moment
  const TestLibrary nvml("h100x8-busy");
  ::unsetenv("GPUTACH_SIM_TIME_S");
  ASSERT_EQ(nvml.init(), Return::success);
  const nvml::Device device = nvml.handle(0);
  nvml::MemoryV2 v2{.version = nvml::memory_v2_version, .total = 0, .reserved = 0, .free = 0, .used = 0};
  nvml::Memory v1{};
  ASSERT_EQ(nvml.call<nvml::DeviceGetMemoryInfoV2Fn>("nvmlDeviceGetMemoryInfo_v2", device, &v2), Return::success);
  ASSERT_EQ(nvml.call<nvml::DeviceGetMemoryInfoFn>("nvmlDeviceGetMemoryInfo", device, &v1), Return::success);
  EXPECT_EQ(v2.total, 81559 * mib);
  EXPECT_EQ(v2.reserved, 480 * mib);
  EXPECT_EQ(v2.total, v2.reserved + v2.used + v2.free);
  EXPECT_GT(v2.used, 70000 * mib);
  EXPECT_EQ(v1.total, v2.total);
  EXPECT_EQ(v1.total, v1.used + v1.free);
  EXPECT_GT(v1.used, v2.used + 400 * mib);
}

TEST(SimLibrary, FrozenClockGivesTheSamePageInAnotherLoad) {
  ::setenv("GPUTACH_SIM_TIME_S", "100", 1);
  std::array<std::vector<unsigned>, 2> pages;
  for (auto& page : pages) {
    const TestLibrary nvml("h100x8-busy");
    ASSERT_EQ(nvml.init(), Return::success);
    for (unsigned gpu = 0; gpu < nvml.count(); ++gpu) {
      unsigned milliwatts = 0;
      ASSERT_EQ(nvml.power(nvml.handle(gpu), &milliwatts), Return::success);
      page.push_back(milliwatts);
    }
  }
  ::unsetenv("GPUTACH_SIM_TIME_S");
  EXPECT_EQ(pages[0], pages[1]);
  EXPECT_EQ(std::set(pages[0].begin(), pages[0].end()).size(), 8U);
}

TEST(SimLibrary, FindsDevicesByUuidAndSaysTheirIndex) {
  const TestLibrary nvml("h100x8-busy");
  ASSERT_EQ(nvml.init(), Return::success);
  const std::string uuid = nvml.text("nvmlDeviceGetUUID", nvml.handle(5));
  nvml::Device device = nullptr;
  unsigned index = 0;
  ASSERT_EQ(nvml.call<DeviceGetHandleByUuidFn>("nvmlDeviceGetHandleByUUID", uuid.c_str(), &device), Return::success);
  ASSERT_EQ(nvml.call<nvml::DeviceGetU32Fn>("nvmlDeviceGetIndex", device, &index), Return::success);
  EXPECT_EQ(index, 5U);
  EXPECT_EQ(nvml.call<DeviceGetHandleByUuidFn>("nvmlDeviceGetHandleByUUID", "GPU-none", &device), Return::not_found);
}

TEST(SimLibrary, SaysWhichDriverItPretendsToBeAndWhatItsCodesMean) {
  const TestLibrary nvml("h100x8-busy");
  EXPECT_NE(nvml.find(nvml::simulated_symbol), nullptr);
  ASSERT_EQ(nvml.init(), Return::success);
  std::array<char, nvml::driver_version_bytes> version{};
  ASSERT_EQ(nvml.call<nvml::SystemGetTextFn>("nvmlSystemGetDriverVersion", version.data(),
                                             static_cast<std::uint32_t>(version.size())),
            Return::success);
  EXPECT_STREQ(version.data(), "580.105.08");
  const auto text = [&](int code) {
    return std::string(nvml.call<nvml::ErrorStringFn>("nvmlErrorString", static_cast<Return>(code)));
  };
  EXPECT_EQ(text(3), "Not Supported");
  EXPECT_EQ(text(15), "GPU is lost");
  EXPECT_EQ(text(999), "Unknown Error");
  EXPECT_EQ(text(12345), "Unknown Error");
}

TEST(SimLibrary, BoardsRefuseWhatTheyLack) {
  constexpr auto u32 = [](const TestLibrary& nvml, const char* name, unsigned& out) {
    return nvml.call<nvml::DeviceGetU32Fn>(name, nvml.handle(0), &out);
  };
  unsigned out = 0;
  {
    const TestLibrary h100("h100x8-busy");
    ASSERT_EQ(h100.init(), Return::success);
    EXPECT_EQ(u32(h100, "nvmlDeviceGetFanSpeed", out), Return::not_supported);
    EXPECT_EQ(u32(h100, "nvmlDeviceGetPowerManagementLimit", out), Return::success);
    EXPECT_EQ(out, 700'000U);
    EXPECT_EQ(u32(h100, "nvmlDeviceGetMaxMigDeviceCount", out), Return::success);
    EXPECT_EQ(out, 0U);
  }
  {
    const TestLibrary geforce("rtx4090");
    ASSERT_EQ(geforce.init(), Return::success);
    EXPECT_EQ(u32(geforce, "nvmlDeviceGetFanSpeed", out), Return::success);
    EXPECT_LE(out, 52U);
    EXPECT_EQ(u32(geforce, "nvmlDeviceGetMaxMigDeviceCount", out), Return::not_supported);
  }
  const TestLibrary gb10("gb10");
  ASSERT_EQ(gb10.init(), Return::success);
  nvml::Memory memory{};
  EXPECT_EQ(gb10.call<nvml::DeviceGetMemoryInfoFn>("nvmlDeviceGetMemoryInfo", gb10.handle(0), &memory),
            Return::not_supported);
  EXPECT_EQ(u32(gb10, "nvmlDeviceGetPowerManagementLimit", out), Return::not_supported);
}

TEST(SimLibrary, MigInstancesAreSparseAndHaveMemoryOnly) {
  const TestLibrary nvml("a100-mig?memory_return=NO_PERMISSION");
  ASSERT_EQ(nvml.init(), Return::success);
  const nvml::Device parent = nvml.handle(0);
  unsigned current = 0;
  unsigned pending = 0;
  ASSERT_EQ(nvml.call<nvml::DeviceGetU32PairFn>("nvmlDeviceGetMigMode", parent, &current, &pending), Return::success);
  EXPECT_EQ(current, nvml::mig_enabled);
  nvml::Memory memory{};
  EXPECT_EQ(nvml.call<nvml::DeviceGetMemoryInfoFn>("nvmlDeviceGetMemoryInfo", parent, &memory), Return::no_permission);
  nvml::Utilization utilization{};
  EXPECT_EQ(nvml.call<nvml::DeviceGetUtilizationRatesFn>("nvmlDeviceGetUtilizationRates", parent, &utilization),
            Return::not_supported);
  const auto slot = [&](unsigned index, nvml::Device& out) {
    return nvml.call<nvml::DeviceGetMigDeviceHandleByIndexFn>("nvmlDeviceGetMigDeviceHandleByIndex", parent, index,
                                                              &out);
  };
  nvml::Device instance = nullptr;
  EXPECT_EQ(slot(2, instance), Return::not_found);
  EXPECT_EQ(slot(7, instance), Return::invalid_argument);
  ASSERT_EQ(slot(3, instance), Return::success);
  EXPECT_EQ(nvml.text("nvmlDeviceGetName", instance), "NVIDIA A100-SXM4-40GB MIG 1g.5gb");
  EXPECT_EQ(nvml.text("nvmlDeviceGetUUID", instance).substr(0, 4), "MIG-");
  EXPECT_EQ(nvml.call<nvml::DeviceGetMemoryInfoFn>("nvmlDeviceGetMemoryInfo", instance, &memory), Return::success);
  EXPECT_EQ(memory.total, 4864 * mib);
  EXPECT_EQ(memory.used, 2048 * mib);
  EXPECT_EQ(nvml.power(instance), Return::not_supported);
  EXPECT_EQ(slot(0, instance), Return::success);
  EXPECT_EQ(nvml.call<nvml::DeviceGetMigDeviceHandleByIndexFn>("nvmlDeviceGetMigDeviceHandleByIndex", nvml.handle(0),
                                                               0U, nullptr),
            Return::invalid_argument);
}

TEST(SimLibrary, UnreadableScenarioStopsInitWithUnknown) {
  for (const char* const spec : {"no-such-name", "/no/such/file.toml", "hang?speed=1", "hang?speed"}) {
    const TestLibrary nvml(spec);
    ::testing::internal::CaptureStderr();
    EXPECT_EQ(nvml.init(), Return::unknown) << spec;
    EXPECT_EQ(nvml.init(), Return::unknown) << spec;
    EXPECT_EQ(::testing::internal::GetCapturedStderr(), "") << "said once, when loaded";
  }
}

TEST(SimLibrary, CallsAreCountedAndLogged) {
  const std::string log = ::testing::TempDir() + "/gputach-sim-calls-" + std::to_string(::getpid());
  ::setenv("GPUTACH_SIM_CALL_LOG", log.c_str(), 1);
  {
    const TestLibrary nvml("h100x8-busy");
    ASSERT_EQ(nvml.init(), Return::success);
    const nvml::Device device = nvml.handle(6);
    EXPECT_EQ(nvml.power(device), Return::success);
    EXPECT_EQ(nvml.power(device), Return::success);
    EXPECT_EQ(nvml.power(nullptr), Return::invalid_argument);
    EXPECT_EQ(nvml.calls("nvmlDeviceGetPowerUsage"), 3U);
    EXPECT_EQ(nvml.calls("nvmlInit_v2"), 1U);
    EXPECT_EQ(nvml.calls("nvmlDeviceGetFanSpeed"), 0U);
    EXPECT_EQ(nvml.calls("no such name"), 0U);
  }
  ::unsetenv("GPUTACH_SIM_CALL_LOG");
  std::ifstream lines(log);
  std::vector<std::string> calls;
  unsigned long long last_ns = 0;
  for (unsigned long long ns = 0; lines >> ns;) {
    std::string name;
    std::string gpu;
    lines >> name >> gpu;
    EXPECT_GE(ns, last_ns);
    last_ns = ns;
    calls.push_back(name.append(" ").append(gpu));
  }
  ::unlink(log.c_str());
  EXPECT_THAT(calls,
              ::testing::ElementsAre("nvmlInit_v2 -", "nvmlDeviceGetHandleByIndex_v2 6", "nvmlDeviceGetPowerUsage 6",
                                     "nvmlDeviceGetPowerUsage 6", "nvmlDeviceGetPowerUsage -"));
}

TEST(SimLibrary, ManyThreadsMayCallAtOnce) {
  const TestLibrary nvml("h100x8-busy");
  ASSERT_EQ(nvml.init(), Return::success);
  constexpr unsigned threads = 8;
  constexpr unsigned rounds = 50;
  std::atomic<unsigned> failures = 0;
  std::vector<std::thread> readers;
  readers.reserve(threads);
  for (unsigned gpu = 0; gpu < threads; ++gpu) {
    readers.emplace_back([&, gpu] {
      for (unsigned round = 0; round < rounds; ++round) {
        if (nvml.init() != Return::success) ++failures;
        if (nvml.power(nvml.handle(gpu)) != Return::success) ++failures;
        if (nvml.shutdown() != Return::success) ++failures;
      }
    });
  }
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(failures, 0U);
  EXPECT_EQ(nvml.calls("nvmlDeviceGetPowerUsage"), threads * rounds);
  EXPECT_EQ(nvml.shutdown(), Return::success);
  EXPECT_EQ(nvml.shutdown(), Return::uninitialized);
}

}  // namespace
}  // namespace gputach::sim
