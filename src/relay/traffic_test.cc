#include "relay/traffic.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "relay/traffic_test_kit.h"

namespace gputach::relay {
namespace {

using namespace std::chrono_literals;

TEST(Traffic, EveryFamilyNamesItsUnitAndExplainsItself) {
  std::set<std::string_view> names;
  for (const FamilyRow& row : families()) {
    EXPECT_TRUE(names.insert(row.name).second) << row.name;
    EXPECT_TRUE(row.help.ends_with('.')) << row.name;
    EXPECT_EQ(row.name.ends_with("_total"), row.kind == FamilyKind::counter) << row.name;
    EXPECT_EQ(row.name.ends_with("_seconds"), row.kind == FamilyKind::histogram) << row.name;
  }
}

TEST(Traffic, AModelIsALabelOnlyWhileTheEngineReportsIt) {
  Traffic traffic;
  EXPECT_TRUE(traffic.model("a").is_other());
  traffic.set_models(std::vector<std::string>{"a", "b", "", "a", std::string(model_name_bytes_max + 1, 'x')});
  EXPECT_FALSE(traffic.model("a").is_other());
  EXPECT_FALSE(traffic.model("b").is_other());
  for (const std::string& name : {std::string("A"), std::string("c"), std::string(), std::string(129, 'x')})
    EXPECT_TRUE(traffic.model(name).is_other()) << name;

  traffic.tokens(traffic.model("a"), {1, 2});
  traffic.set_models(std::vector<std::string>{"c", "b"});
  EXPECT_TRUE(traffic.model("a").is_other());
  traffic.tokens(traffic.model("c"), {10, 20});
  traffic.tokens(traffic.model("a"), {100, 200});
  EXPECT_EQ(series(traffic),
            "prompt_tokens_total a: 1\nprompt_tokens_total c: 10\nprompt_tokens_total other: 100\n"
            "completion_tokens_total a: 2\ncompletion_tokens_total c: 20\ncompletion_tokens_total other: 200\n");
}

TEST(Traffic, ThereAreNeverMoreThanSixteenModelsAndOther) {
  Traffic traffic;
  for (int i = 0; i < 100; ++i) {
    const std::string name = "m" + std::to_string(i);
    traffic.set_models(std::vector<std::string>{name});
    EXPECT_EQ(traffic.model(name).is_other(), i >= 16) << name;
    traffic.tokens(traffic.model(name), {1, {}});
  }
  const std::string text = series(traffic);
  EXPECT_EQ(std::ranges::count_if(text, [](char c) { return c == '\n'; }), 17);
  EXPECT_NE(text.find("prompt_tokens_total other: 84"), std::string::npos) << text;
}

TEST(Traffic, StrangeStatusCodesAndNegativeDurationsAreCountedWithoutHarm) {
  Traffic traffic;
  for (const int status : {-1, 0, 99, 600, 999, 100000}) traffic.exchange(RouteClass::other, status, -1s, 0, 0);
  EXPECT_EQ(series(traffic), "requests_total other none: 6\nduration_seconds other none: 6/0\n");
}

TEST(Traffic, FaultsWithOneErrorTypeShareItsLabel) {
  Traffic traffic;
  for (std::size_t i = 0; i < gateway_fault_count; ++i) traffic.gateway_error(static_cast<GatewayFault>(i));
  const std::string text = series(traffic);
  std::set<std::string_view> types;
  for (std::size_t i = 0; i < gateway_fault_count; ++i) types.insert(describe(static_cast<GatewayFault>(i)).error);
  EXPECT_EQ(static_cast<std::size_t>(std::ranges::count_if(text, [](char c) { return c == '\n'; })), types.size());
  EXPECT_NE(text.find("gateway_errors_total connection_refused: 2\n"), std::string::npos) << text;
}

TEST(Traffic, JsonHasEveryFamilyAndTheSeriesThatCounted) {
  Traffic traffic;
  const std::string empty = traffic_json(traffic);
  for (const FamilyRow& row : families())
    EXPECT_NE(empty.find('"' + std::string(row.name) + "\":"), std::string::npos) << row.name;
  EXPECT_TRUE(empty.starts_with(R"({"active_requests":0,"queued_requests":0,"requests_total":[],"duration_seconds":)"
                                R"({"bounds":[0.001,0.002,0.005,0.01,)"))
      << empty;
  EXPECT_TRUE(empty.ends_with(R"("gateway_errors_total":[]})")) << empty;

  traffic.set_models(std::vector<std::string>{"q\"m"});
  traffic.add_queued();
  traffic.exchange(RouteClass::chat, 200, 1500us, 10, 20);
  traffic.exchange(RouteClass::models, 404, 3h, 0, 5);
  traffic.tokens(traffic.model("q\"m"), {3, 4});
  const std::string json = traffic_json(traffic);
  for (const char* part :
       {R"("queued_requests":1,)",
        R"("requests_total":[{"route":"chat","status":"2xx","value":1},{"route":"models","status":"4xx","value":1}])",
        R"("series":[{"route":"chat","status":"2xx","count":1,"sum":0.0015,"buckets":[0,1,0,)",
        R"({"route":"models","status":"4xx","count":1,"sum":10800.0,"buckets":[0,0,)", R"(,0,0,1]}]})",
        R"("request_body_bytes_total":[{"route":"chat","status":"2xx","value":10}])",
        R"("prompt_tokens_total":[{"model":"q\"m","value":3}])"})
    EXPECT_NE(json.find(part), std::string::npos) << part << "\n" << json;
}

TEST(Traffic, AnyThreadMayReadWhileTheOwnerWrites) {
  Traffic traffic;
  std::atomic<bool> done{false};
  std::atomic<int> pages{0};
  std::jthread reader([&] {
    for (; !done.load(); ++pages) EXPECT_TRUE(traffic_json(traffic).ends_with('}'));
  });
  const auto deadline = std::chrono::steady_clock::now() + 20s;
  for (int i = 0; i < 2000 || (pages.load() < 10 && std::chrono::steady_clock::now() < deadline); ++i) {
    const std::string name = "m" + std::to_string(i % 20);
    traffic.set_models(std::vector<std::string>{name});
    traffic.token_gap(traffic.model(name), 1ms * i);
    traffic.exchange(RouteClass::chat, 200, 1ms, 1, 1);
  }
  done.store(true);
  EXPECT_GE(pages.load(), 10);
}

}  // namespace
}  // namespace gputach::relay
