// Purpose: the built library as a client sees it, for tests: opened afresh with dlopen, everything by name.
// Owns: the loaded library and the scenario file, if any; both go with it. No call may be inside by then.
// Threads: construct and destroy on one thread; call from any.
// Fails: tests end when the library or a symbol is missing.
#pragma once

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

#include "sources/nvml/abi.h"

namespace gputach::sim {

inline constexpr auto patience = std::chrono::seconds(20);  // for what must happen, on a slow machine as well

using SimCallsFn = unsigned long long(const char*);
using DeviceGetHandleByUuidFn = nvml::Return(const char*, nvml::Device*);

// The library that the build makes, or the one without some symbols under drivers/ beside it.
inline std::string built_library(std::string_view driver = {}) {
  const char* const path = std::getenv("GPUTACH_TEST_SIM");
  if (path == nullptr) return {};
  const std::filesystem::path whole = path;
  return driver.empty() ? whole : whole.parent_path() / "drivers" / driver / whole.filename();
}

class TestLibrary {
 public:
  explicit TestLibrary(const std::string& scenario, std::string_view driver = {}) {
    ::setenv("GPUTACH_SIM_SCENARIO", scenario.c_str(), 1);
    const std::string path = built_library(driver);
    library_ = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    if (!path.empty() && library_ != nullptr) return;
    std::fprintf(stderr, "GPUTACH_TEST_SIM must name the simulated driver: `%s`\n", path.c_str());
    std::abort();
  }
  ~TestLibrary() { ::dlclose(library_); }
  TestLibrary(const TestLibrary&) = delete;
  TestLibrary& operator=(const TestLibrary&) = delete;

  [[nodiscard]] void* find(const char* name) const { return ::dlsym(library_, name); }

  // call<DeviceGetCountFn>("nvmlDeviceGetCount_v2", &count)
  template <class Function, class... Arguments>
  auto call(const char* name, Arguments... arguments) const {
    auto* const function = reinterpret_cast<Function*>(find(name));
    if (function == nullptr) std::abort();
    return function(arguments...);
  }

  [[nodiscard]] nvml::Return init() const { return call<nvml::InitFn>("nvmlInit_v2"); }
  [[nodiscard]] nvml::Return shutdown() const { return call<nvml::ShutdownFn>("nvmlShutdown"); }
  [[nodiscard]] unsigned count() const {
    unsigned count = 0;
    EXPECT_EQ(call<nvml::DeviceGetCountFn>("nvmlDeviceGetCount_v2", &count), nvml::Return::success);
    return count;
  }
  [[nodiscard]] nvml::Device handle(unsigned index) const {
    nvml::Device device = nullptr;
    EXPECT_EQ(call<nvml::DeviceGetHandleByIndexFn>("nvmlDeviceGetHandleByIndex_v2", index, &device),
              nvml::Return::success);
    return device;
  }
  [[nodiscard]] nvml::Return power(nvml::Device device, unsigned* milliwatts) const {
    return call<nvml::DeviceGetU32Fn>("nvmlDeviceGetPowerUsage", device, milliwatts);
  }
  [[nodiscard]] nvml::Return power(nvml::Device device) const {
    unsigned milliwatts = 0;
    return power(device, &milliwatts);
  }
  [[nodiscard]] std::string text(const char* name, nvml::Device device) const {
    char buffer[nvml::name_bytes] = {};
    EXPECT_EQ(call<nvml::DeviceGetTextFn>(name, device, buffer, nvml::name_bytes), nvml::Return::success) << name;
    return buffer;
  }
  [[nodiscard]] unsigned long long calls(const char* name) const { return call<SimCallsFn>("gputach_sim_calls", name); }

 private:
  void* library_ = nullptr;
};

// A file that is replaced by rename, as a test does that starts and ends faults.
class ScenarioFile {
 public:
  explicit ScenarioFile(std::string_view text)
      : path_(::testing::TempDir() + "/gputach-sim-" + std::to_string(::getpid()) + ".toml") {
    replace(text);
  }
  ~ScenarioFile() { ::unlink(path_.c_str()); }
  ScenarioFile(const ScenarioFile&) = delete;
  ScenarioFile& operator=(const ScenarioFile&) = delete;

  void replace(std::string_view text) const {
    const std::string fresh = path_ + ".new";
    std::ofstream(fresh) << text;
    ASSERT_EQ(std::rename(fresh.c_str(), path_.c_str()), 0);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Asks again until it holds or patience ends.
template <class Condition>
[[nodiscard]] bool eventually(Condition condition) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  while (std::chrono::steady_clock::now() < deadline) {
    if (condition()) return true;
    ::usleep(2000);
  }
  return condition();
}

}  // namespace gputach::sim
