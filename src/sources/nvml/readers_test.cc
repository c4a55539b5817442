#include "sources/nvml/readers.h"

#include <gtest/gtest.h>

#include "sources/nvml/readers_fixture.h"

namespace gputach::nvml {
namespace {

// Metrics that sampling computes from others.
constexpr auto derived = std::to_array<MetricId>({id("memory_used_ratio")});

TEST(ReaderTable, EveryMetricOfAGpuIsReadOrDerived) {
  for (std::size_t row = 0; row < catalogue.size(); ++row) {
    if (catalogue[row].scope != Scope::gpu) continue;
    const auto is_row = [row](MetricId metric) { return metric.row == row; };
    const auto read = std::ranges::count_if(metric_readers(), is_row, &MetricReader::metric);
    EXPECT_EQ(read + std::ranges::count_if(derived, is_row), 1) << catalogue[row].name;
  }
}

TEST_F(Readers, ConvertEveryFigureToTheCataloguesUnits) {
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ(entity.condition, Status::ok);
  EXPECT_EQ(entity.fault, "");
  EXPECT_EQ(value(id("utilization_ratio")), 0.85);
  EXPECT_EQ(value(id("memory_used_bytes")), 40000 * mebibyte) << "without the reserved memory";
  EXPECT_EQ(value(id("memory_total_bytes")), 81559 * mebibyte);
  EXPECT_EQ(value(id("temperature_celsius")), 65);
  EXPECT_EQ(value(id("power_watts")), 350.512);
  EXPECT_EQ(value(id("power_limit_watts")), 700);
  EXPECT_EQ(value(id("fan_speed_ratio")), 0.45);
  EXPECT_EQ(value(id("encoder_utilization_ratio")), 0.12);
  EXPECT_EQ(value(id("decoder_utilization_ratio")), 0.34);
  EXPECT_EQ((*this)[id("memory_used_ratio")].status, Status::not_read) << "derived elsewhere";
}

TEST_F(Readers, APassCostsOneCallPerGroup) {
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ(gpu.calls(), 9u) << "eight groups and the MIG mode";
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ(gpu.calls(), 8u);
}

TEST_F(Readers, WhatABoardDoesNotHaveIsAskedOnceInALife) {
  gpu.always("nvmlDeviceGetFanSpeed", Return::not_supported);
  gpu.always("nvmlDeviceGetMigMode", Return::not_supported);
  for (int pass = 0; pass < 20; ++pass) {
    EXPECT_EQ(read(), Return::success);
    EXPECT_EQ(entity.condition, Status::ok);
    EXPECT_EQ((*this)[id("fan_speed_ratio")], Reading::missing(Status::unsupported));
    EXPECT_EQ(gpu.calls(), pass == 0 ? 9u : 7u) << pass;
  }
}

TEST_F(Readers, StopAskingOnceTheGpuIsLost) {
  gpu.always("nvmlDeviceGetUtilizationRates", Return::gpu_is_lost);
  EXPECT_EQ(read(), Return::gpu_is_lost);
  EXPECT_EQ(gpu.calls(), 2u) << "the MIG mode and the first reading";
}

TEST_F(Readers, TellTheFirstFaultAndReadTheRest) {
  gpu.always("nvmlDeviceGetTemperatureV", Return::unknown);
  gpu.always("nvmlDeviceGetFanSpeed", Return::timeout);
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ(entity.condition, Status::failed);
  EXPECT_EQ(entity.fault, "GetTemperatureV: Unknown Error");
  EXPECT_EQ((*this)[id("fan_speed_ratio")], Reading::missing(Status::timed_out));
  EXPECT_EQ(value(id("power_watts")), 350.512);
}

TEST_F(Readers, SayThatAHandleIsStaleOnlyWhenEveryCallRefusesIt) {
  for (const CallCase& call : call_cases) gpu.always(call.symbol, Return::invalid_argument);
  EXPECT_EQ(read(), Return::invalid_argument);
  EXPECT_EQ(entity.condition, Status::failed);
  gpu.scripts.erase("nvmlDeviceGetDecoderUtilization");
  EXPECT_EQ(read(), Return::success);
}

TEST_F(Readers, FallBackToTheOlderMemoryCallWhoseUsedIncludesReserved) {
  driver.missing = {"nvmlDeviceGetMemoryInfo_v2"};
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ(value(id("memory_used_bytes")), 40480 * mebibyte);
  EXPECT_EQ(value(id("memory_total_bytes")), 81559 * mebibyte);
}

TEST_F(Readers, FallBackToTheEnforcedPowerLimit) {
  gpu.always("nvmlDeviceGetPowerManagementLimit", Return::not_supported);
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ(value(id("power_limit_watts")), 500);
}

TEST_F(Readers, NeedNoSymbolInParticular) {
  for (const auto& [symbol, address] : fake::symbols()) {
    if (symbol == "nvmlInit_v2" || symbol.ends_with("Count_v2") || symbol.ends_with("ByIndex_v2")) continue;
    driver.missing = {symbol};
    state = {};
    EXPECT_EQ(read(), Return::success) << symbol;
    EXPECT_EQ(entity.condition, Status::ok) << symbol;
    for (const CallCase& call : call_cases) {
      const bool gone = call.symbol == symbol && !call.has_fallback && call.preferred == nullptr;
      for (const MetricId metric : call.metrics) {
        if (gone) {
          EXPECT_EQ(entity[metric], Reading::missing(Status::driver_too_old)) << symbol;
        } else if (call.symbol == symbol) {
          EXPECT_TRUE(entity[metric].ok()) << symbol;
        }
      }
    }
  }
}

TEST_F(Readers, WithoutAnySymbolTheGpuAsAWholeHasNoFigures) {
  for (const auto& [symbol, address] : fake::symbols())
    if (!symbol.ends_with("_v2") || symbol.ends_with("MemoryInfo_v2")) driver.missing.insert(symbol);
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ(entity.condition, Status::driver_too_old);
  EXPECT_EQ(entity.fault, "GetUtilizationRates: Function Not Found");
  EXPECT_EQ(gpu.calls(), 0u);
}

TEST_F(Readers, AGpuThatRefusesEverythingIsNotShownWithZeros) {
  for (const CallCase& call : call_cases) gpu.always(call.symbol, Return::no_permission);
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ(entity.condition, Status::no_permission);
  EXPECT_EQ(entity.fault, "GetUtilizationRates: Insufficient Permissions");
}

TEST_F(Readers, RefuseValuesThatCannotBe) {
  constexpr std::uint32_t not_available = 0xFFFFFFFF;  // NVML_VALUE_NOT_AVAILABLE
  gpu.utilization.gpu = 101;
  gpu.memory.used = UINT64_MAX;
  gpu.memory.total = 0;
  gpu.temperature = 255;
  gpu.power_mw = not_available;
  gpu.power_limit_mw = not_available;
  gpu.fan_percent = not_available;
  gpu.encoder_percent = not_available;
  gpu.decoder_percent = 65535;
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ(entity.condition, Status::out_of_range);
  EXPECT_EQ(entity.fault, "GetUtilizationRates: value out of range");
  for (const MetricReader& reader : metric_readers())
    EXPECT_EQ(entity[reader.metric], Reading::missing(Status::out_of_range)) << reader.metric.metric().name;
  EXPECT_EQ(gpu.asked["nvmlDeviceGetPowerUsage"], 2u) << "garbage is tried once more";
}

TEST_F(Readers, AcceptTheLimitsOfWhatCanBe) {
  gpu.utilization.gpu = 100;
  gpu.memory.used = gpu.memory.total;
  gpu.temperature = -40;
  gpu.power_mw = 0;
  gpu.encoder_percent = 0;
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ(entity.condition, Status::ok);
  EXPECT_EQ(value(id("utilization_ratio")), 1);
  EXPECT_EQ(value(id("temperature_celsius")), -40);
  EXPECT_EQ(value(id("power_watts")), 0);
}

TEST_F(Readers, AFanMayRunFasterThanItsMaximum) {
  gpu.fan_percent = 1000;
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ(value(id("fan_speed_ratio")), 1);
  gpu.fan_percent = 1001;
  EXPECT_EQ(read(), Return::success);
  EXPECT_EQ((*this)[id("fan_speed_ratio")], Reading::missing(Status::out_of_range));
}

}  // namespace
}  // namespace gputach::nvml
