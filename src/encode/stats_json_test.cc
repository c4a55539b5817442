#include "encode/stats_json.h"

#include <gtest/gtest.h>

namespace gputach {
namespace {

using namespace std::chrono;

Entity document_gpu(unsigned index) {
  Entity gpu(Scope::gpu, index);
  gpu.name = "NVIDIA H100 PCIe";
  gpu.uuid = index == 0 ? "GPU-abc123def456..." : "GPU-xyz789abc123...";
  gpu.condition = Status::ok;
  gpu[id("utilization_ratio")] = Reading::of(0.855);
  gpu[id("memory_used_bytes")] = Reading::of(40960.0 * 1048576);
  gpu[id("memory_total_bytes")] = Reading::of(81920.0 * 1048576);
  gpu[id("memory_used_ratio")] = Reading::of(0.5);
  gpu[id("temperature_celsius")] = Reading::of(65);
  gpu[id("power_watts")] = Reading::of(350.5);
  gpu[id("power_limit_watts")] = Reading::of(400);
  gpu[id("fan_speed_ratio")] = Reading::of(0.45);
  gpu[id("encoder_utilization_ratio")] = Reading::of(0);
  gpu[id("decoder_utilization_ratio")] = Reading::of(0);
  return gpu;
}

Sample sample_of(std::vector<Entity> gpus) {
  Sample sample;
  sample.collected_at = sys_days(2025y / 11 / 9) + 10h + 30min + 45s + 123456us;
  sample.entities = std::move(gpus);
  return sample;
}

constexpr std::string_view document_gpu_text =
    R"({"index":0,"name":"NVIDIA H100 PCIe","uuid":"GPU-abc123def456...","utilization_percent":85.5,)"
    R"("memory_used_mb":40960,"memory_total_mb":81920,"memory_util_percent":50.0,"temperature_c":65,)"
    R"("power_draw_w":350.5,"power_limit_w":400.0,"fan_speed_percent":45,"encoder_util_percent":0,)"
    R"("decoder_util_percent":0})";

TEST(StatsJson, TheDocumentsExampleIsReproducedToTheByte) {
  const StatsPage page = encode_stats(sample_of({document_gpu(0)}), MissingFields::in_header);
  EXPECT_FALSE(page.failed);
  EXPECT_EQ(page.body,
            R"({"timestamp":"2025-11-09T10:30:45.123456Z","gpus":[)" + std::string(document_gpu_text) + "]}");
  EXPECT_EQ(page.unsupported, "");
}

TEST(StatsJson, EveryWholePercentSurvivesTheRatio) {
  for (int percent = 0; percent <= 100; ++percent) {
    Entity gpu = document_gpu(0);
    gpu[id("utilization_ratio")] = Reading::of(percent / 100.0);
    gpu[id("fan_speed_ratio")] = Reading::of(percent / 100.0);
    const std::string body = encode_stats(sample_of({gpu}), MissingFields::in_header).body;
    const std::string text = std::to_string(percent);
    EXPECT_NE(body.find("\"utilization_percent\":" + text + ".0,"), std::string::npos) << body;
    EXPECT_NE(body.find("\"fan_speed_percent\":" + text + ","), std::string::npos) << body;
  }
}

TEST(StatsJson, MemoryIsRoundedDownToWholeMebibytes) {
  Entity gpu = document_gpu(0);
  gpu[id("memory_used_bytes")] = Reading::of(2 * 1048576.0 - 1);
  const std::string body = encode_stats(sample_of({gpu}), MissingFields::in_header).body;
  EXPECT_NE(body.find("\"memory_used_mb\":1,"), std::string::npos) << body;
}

TEST(StatsJson, AFigureTheBoardDoesNotHaveIsZeroAndNamedInTheHeader) {
  Entity first = document_gpu(0);
  Entity second = document_gpu(1);
  for (Entity* gpu : {&first, &second}) (*gpu)[id("fan_speed_ratio")] = Reading::missing(Status::unsupported);
  second[id("encoder_utilization_ratio")] = Reading::missing(Status::driver_too_old);
  const StatsPage page = encode_stats(sample_of({first, second}), MissingFields::in_header);
  EXPECT_EQ(page.unsupported, "fan_speed_percent=(0 1), encoder_util_percent=(1)");
  EXPECT_NE(page.body.find("\"fan_speed_percent\":0,"), std::string::npos);
  EXPECT_EQ(page.body.find("unsupported"), std::string::npos);
}

TEST(StatsJson, OnDemandTheBodyNamesWhatIsMissing) {
  Entity first = document_gpu(0);
  Entity second = document_gpu(1);
  first[id("fan_speed_ratio")] = Reading::missing(Status::unsupported);
  first[id("utilization_ratio")] = Reading::missing(Status::no_permission);
  const std::string body = encode_stats(sample_of({first, second}), MissingFields::listed_in_body).body;
  EXPECT_NE(body.find(R"("unsupported":["utilization_percent","fan_speed_percent"]},)"), std::string::npos) << body;
  EXPECT_NE(body.find(R"("unsupported":[]}])"), std::string::npos) << body;
}

TEST(StatsJson, AGpuThatFailsIsLeftOutAndNamedAndTheOthersKeepTheirIndex) {
  Entity lost(Scope::gpu, 0);
  lost.uuid = "GPU-1";
  lost.condition = Status::lost;
  lost.fault = "GPU is lost";
  const StatsPage page = encode_stats(sample_of({lost, document_gpu(1)}), MissingFields::in_header);
  EXPECT_FALSE(page.failed);
  EXPECT_NE(page.body.find(R"("gpus":[{"index":1,)"), std::string::npos) << page.body;
  EXPECT_TRUE(page.body.ends_with(R"(],"errors":[{"index":0,"uuid":"GPU-1","error":"GPU is lost"}]})")) << page.body;
  EXPECT_EQ(page.unsupported, "");
}

TEST(StatsJson, NoStatusThatIsAFailureEverPrintsAsZero) {
  for (const Status status :
       {Status::not_read, Status::lost, Status::timed_out, Status::out_of_range, Status::failed}) {
    Entity gpu = document_gpu(0);
    gpu[id("temperature_celsius")] = Reading::missing(status);
    const StatsPage page = encode_stats(sample_of({gpu, document_gpu(1)}), MissingFields::in_header);
    EXPECT_EQ(page.body.find("\"temperature_c\":0"), std::string::npos);
    EXPECT_NE(page.body.find("\"error\":\"temperature_c: " + std::string(to_string(status)) + "\""), std::string::npos)
        << page.body;
  }
}

TEST(StatsJson, APassWithoutAnyFigureIsTheDocumentsErrorBody) {
  Sample failure;
  failure.failure = Error{ErrorCode::not_initialized, "NVML not initialized"};
  StatsPage page = encode_stats(failure, MissingFields::in_header);
  EXPECT_TRUE(page.failed);
  EXPECT_EQ(page.body, R"({"error":"Failed to query GPU: NVML not initialized"})");

  page = encode_stats(sample_of({}), MissingFields::in_header);
  EXPECT_EQ(page.body, R"({"error":"Failed to query GPU: no GPUs found"})");

  Entity lost(Scope::gpu, 0);
  lost.condition = Status::lost;
  page = encode_stats(sample_of({lost}), MissingFields::in_header);
  EXPECT_TRUE(page.failed);
  EXPECT_EQ(page.body, R"({"error":"Failed to query GPU: all GPUs failed"})");
}

TEST(StatsJson, NamesFromTheDriverCannotBreakTheBody) {
  Entity gpu = document_gpu(0);
  gpu.name = "evil\"},\n{\xFF";
  const std::string body = encode_stats(sample_of({gpu}), MissingFields::in_header).body;
  EXPECT_NE(body.find("\"name\":\"evil\\\"},\\n{\xEF\xBF\xBD\""), std::string::npos) << body;
}

}  // namespace
}  // namespace gputach
