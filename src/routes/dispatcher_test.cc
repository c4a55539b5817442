#include "routes/dispatcher.h"

#include <gtest/gtest.h>

#include "routes/route.h"
#include "routes/routes_test_kit.h"

namespace gputach {
namespace {

using namespace std::chrono_literals;

TEST(Dispatcher, StatsWaitsForAPassAndLaterAnswersAreHitsOfTheSameBytes) {
  World world;
  const World::AnswerPtr waiting = world.send("GET", "/proxy/stats");
  EXPECT_FALSE(waiting->given);
  world.publish();
  ASSERT_TRUE(waiting->given);
  const World::Answer& first = *waiting;
  EXPECT_EQ(first.status(), 200);
  EXPECT_TRUE(first.has("X-Cache: MISS\r\n"));
  EXPECT_TRUE(first.has("Content-Type: application/json\r\n"));
  EXPECT_TRUE(first.has("Cache-Control: no-store\r\n"));
  EXPECT_TRUE(first.has("Gputach-Unsupported: fan_speed_percent=(3)\r\n"));
  EXPECT_FALSE(first.has("Gputach-Simulated: "));
  const World::Answer second = world.get("/proxy/stats/?x=1");
  EXPECT_TRUE(second.has("X-Cache: HIT\r\n"));
  EXPECT_EQ(second.response.content, first.response.content) << "made once";
  EXPECT_EQ(world.passes, 1u);
}

TEST(Dispatcher, SimulatedFiguresSaySo) {
  World world;
  (void)world.get("/proxy/stats");
  world.publish(true, true);
  EXPECT_TRUE(world.get("/proxy/stats").has("Gputach-Simulated: ?1\r\n"));
}

TEST(Dispatcher, AFailedPassIs500AndItsRepetitionAHit) {
  World world;
  const World::AnswerPtr waiting = world.send("GET", "/proxy/stats");
  world.publish(false);
  const World::Answer& first = *waiting;
  EXPECT_EQ(first.status(), 500);
  EXPECT_EQ(first.body(), R"({"error":"Failed to query GPU: NVML not initialized"})");
  EXPECT_TRUE(first.has("X-Cache: MISS") && first.has("Access-Control-Allow-Origin: *"));
  EXPECT_TRUE(world.get("/proxy/stats").has("X-Cache: HIT"));
}

TEST(Dispatcher, TheBodyListsWhatIsMissingOnlyWhenAsked) {
  World world;
  (void)world.get("/proxy/stats");
  world.publish();
  EXPECT_EQ(world.get("/proxy/stats?missing=lis").body().find("unsupported"), std::string::npos);
  EXPECT_EQ(world.get("/proxy/stats?xmissing=list").body().find("unsupported"), std::string::npos);
  EXPECT_NE(world.get("/proxy/stats?missing=list").body().find(R"("unsupported":["fan_speed_percent"])"),
            std::string::npos);
  EXPECT_NE(world.get("/proxy/stats?a=b&missing=list&c").body().find("unsupported"), std::string::npos);
  EXPECT_EQ(world.get("/proxy/stats").body().find("unsupported"), std::string::npos);
}

TEST(Dispatcher, BeyondTheBoundOfWaitersTheAnswerIs503WithRetryAfter) {
  World world;
  const World::AnswerPtr waiting[] = {world.send("GET", "/proxy/stats"), world.send("GET", "/proxy/stats")};
  const World::Answer refused = world.get("/proxy/stats");
  ASSERT_TRUE(refused.given);
  EXPECT_EQ(refused.status(), 503);
  EXPECT_TRUE(refused.has("Retry-After: 1\r\n") && refused.has("Access-Control-Allow-Origin: *"));
  world.publish();
  EXPECT_TRUE(waiting[0]->given && waiting[1]->given);
}

TEST(Dispatcher, OnlyStatsMayBeReadByPagesOfOtherOrigins) {
  World world;
  (void)world.get("/proxy/stats");
  world.publish();
  for (const Route& route : routes()) {
    const bool open = route.path == "/proxy/stats";
    for (const std::string_view method : {"GET", "POST", "OPTIONS"})
      EXPECT_EQ(world.get(route.path, method).has("Access-Control-Allow-Origin: *"), open) << method << route.path;
  }
  EXPECT_TRUE(world.get("/proxy/stats").has("Access-Control-Expose-Headers: X-Cache"));
  EXPECT_TRUE(world.get("/proxy/stats", "OPTIONS").has("Access-Control-Allow-Methods: GET, HEAD, OPTIONS"));
}

TEST(Dispatcher, TheOriginIsConfigurable) {
  World closed("");
  EXPECT_FALSE(closed.get("/proxy/stats", "OPTIONS").has("Access-Control"));
  World one("https://example.org");
  EXPECT_TRUE(one.get("/proxy/stats", "OPTIONS").has("Access-Control-Allow-Origin: https://example.org\r\n"));
}

TEST(Dispatcher, UnknownPathsAre404InTheErrorShape) {
  World world;
  for (const std::string_view path : {"/proxy/nothing", "/proxy/stats/deeper", "/proxy/v1/nothing", "/health", "//"}) {
    const World::Answer answer = world.get(path);
    EXPECT_EQ(answer.status(), 404) << path;
    EXPECT_TRUE(answer.body().starts_with(R"({"error":"Not found: )")) << answer.body();
  }
  const std::string evil = "/proxy/\"}" + std::string(5000, 'x');
  const World::Answer answer = world.get(evil);
  EXPECT_LT(answer.body().size(), 300u);
  EXPECT_NE(answer.body().find("/proxy/\\\"}xxx"), std::string::npos);
}

TEST(Dispatcher, OtherMethodsAre405AndSayWhichAreAllowed) {
  World world;
  for (const std::string_view method : {"POST", "PUT", "DELETE", "PATCH", "get"}) {
    const World::Answer answer = world.get("/proxy/stats", method);
    EXPECT_EQ(answer.status(), 405);
    EXPECT_TRUE(answer.has("Allow: GET, HEAD, OPTIONS\r\n"));
    EXPECT_TRUE(answer.body().starts_with(R"({"error":)"));
  }
  EXPECT_EQ(world.passes, 0u) << "no pass for a refusal";
}

TEST(Dispatcher, OptionsAnswersWithoutAPass) {
  World world;
  EXPECT_EQ(world.get("/proxy/stats", "OPTIONS").status(), 204);
  EXPECT_EQ(world.get("*", "OPTIONS").status(), 204);
  EXPECT_EQ(world.get("/nothing", "OPTIONS").status(), 404);
  EXPECT_EQ(world.passes, 0u);
}

TEST(Dispatcher, EveryRouteOfTheTableAnswersAndTheListNamesItOnce) {
  World world;
  world.entrance = http::Entrance::restricted;
  (void)world.get("/proxy/stats");
  world.publish();
  const std::string list = world.get("/proxy/v1/").body();
  const std::string page = world.get("/proxy/").body();
  for (const Route& route : routes()) {
    EXPECT_LT(world.get(route.path).status(), 400) << route.path;
    const std::string quoted = "{\"path\":\"" + std::string(route.path) + "\"";
    EXPECT_NE(list.find(quoted), std::string::npos) << route.path;
    EXPECT_NE(page.find("href=\"" + std::string(route.path) + "\""), std::string::npos) << route.path;
    EXPECT_EQ(route.help.find_first_of("<>&\""), std::string::npos) << "goes into the page as it is";
    EXPECT_TRUE(route.help.ends_with('.'));
  }
  EXPECT_TRUE(world.get("/").has("Location: /proxy/\r\n"));
  EXPECT_EQ(world.get("/proxy").status(), 200) << "with and without the slash";
}

TEST(Dispatcher, APassThatTheEndCutsShortIs503AndNotAnErrorOfTheGpus) {
  World world;
  const World::AnswerPtr waiting = world.send("GET", "/proxy/stats");
  world.site.drain();
  world.publish(false);
  EXPECT_EQ(waiting->status(), 503);
  EXPECT_TRUE(waiting->has("Retry-After: 5\r\n") && waiting->has("Access-Control-Allow-Origin: *"));
  EXPECT_EQ(world.get("/proxy/stats").status(), 503);
  world.clock.advance(1h);
  const World::Answer late = world.get("/proxy/stats");
  EXPECT_TRUE(late.given) << "nobody waits for a pass that will not come";
  EXPECT_EQ(late.status(), 503);
  EXPECT_EQ(world.passes, 1u);
}

TEST(Dispatcher, TheDaemonsOwnFiguresAreWhatWasCounted) {
  World world;
  world.clock.advance(1500ms);
  world.counters.passes = 7;
  world.counters.passes_failed[static_cast<std::size_t>(ErrorCode::timed_out)] = 2;
  world.counters.passes_failed[static_cast<std::size_t>(ErrorCode::all_failed)] = 1;
  world.counters.out_of_range[id("power_watts").row] = 5;
  world.counters.workers_started = 4;
  world.counters.workers_not_started = 8;
  world.counters.workers_given_up = 3;
  world.counters.workers_exited = 2;
  world.http_counters.accepted = 10;
  world.http_counters.active = 1;
  world.http_counters.refused = 11;
  world.http_counters.requests = 12;
  world.http_counters.rejected = 13;
  world.http_counters.head_timeouts = 1;
  world.http_counters.idle_timeouts = 20;
  world.http_counters.heads_too_large = 14;
  world.http_counters.bodies_too_large = 15;
  world.http_counters.used_up = 16;
  world.http_counters.yields = 17;
  world.http_counters.body_timeouts = 18;
  world.http_counters.write_timeouts = 21;
  world.http_counters.tls_handshakes = 22;
  world.http_counters.tls_failures = 23;
  world.http_counters.tls_reload_failures = 24;
  world.http_counters.accept_failures = 25;
  world.http_counters.handler_failures = 26;
  world.http_counters.session_failures = 27;
  world.http_counters.work_failures = 28;
  world.http_counters.stalls.turns[0] = 6;
  world.http_counters.stalls.turns[2] = 2;
  world.http_counters.stalls.turns.back() = 2;
  world.http_counters.stalls.total_ns = 3'000'000'123;
  world.http_counters.stalls.longest_ns = 2'000'000'001;
  world.access_lines_dropped = 9;
  world.http_counters.responses[2] = 30;
  world.http_counters.responses[5] = 40;
  const std::string body = world.get("/proxy/v1/daemon").body();
  EXPECT_EQ(
      body.substr(body.find(R"("passes")")),
      R"("passes":{"total":7,"failed":{"timed_out":2,"stopped":0,"not_initialized":0,"no_gpus":0,"all_failed":1}},)"
      R"("out_of_range":{"utilization_ratio":0,"memory_used_bytes":0,"memory_total_bytes":0,"memory_used_ratio":0,)"
      R"("temperature_celsius":0,"power_watts":5,"power_limit_watts":0,"fan_speed_ratio":0,)"
      R"("encoder_utilization_ratio":0,"decoder_utilization_ratio":0},)"
      R"("worker":{"started":4,"not_started":8,"given_up":3,"exited":2},)"
      R"("http":{"accepted":10,"active":1,"refused":11,"requests":12,"rejected":13,"timeouts":60,)"
      R"("responses":{"1xx":0,"2xx":30,"3xx":0,"4xx":0,"5xx":40},)"
      R"("limits":{"connections_max":11,"head_bytes_max":14,"body_bytes_max":15,"requests_per_connection_max":16,)"
      R"("pipelined_before_yield":17,"head_timeout":1,"body_timeout":18,"idle_timeout":20,"write_timeout":21},)"
      R"("tls":{"handshakes":22,"failures":23,"reload_failures":24},)"
      R"("failures":{"accept":25,"handler":26,"session":27,"work":28}},)"
      R"("loop_stalls":{"unit":"us","buckets":[{"le":5,"count":6},{"le":10,"count":6},{"le":20,"count":8},)"
      R"({"le":50,"count":8},{"le":100,"count":8},{"le":200,"count":8},{"le":500,"count":8},{"le":1000,"count":8},)"
      R"({"le":2000,"count":8},{"le":5000,"count":8},{"le":10000,"count":8},{"le":50000,"count":8},)"
      R"({"le":200000,"count":8},{"le":1000000,"count":8}],"count":10,"total":3000000.123,"longest":2000000.001,)"
      R"("median":4.167},"access_log":{"dropped":9},"gzip":{"pages":0}})");
  EXPECT_TRUE(body.starts_with(R"({"uptime_s":3601.5,)")) << body;
}

TEST(Dispatcher, ReadinessEndsWhenTheDaemonDrains) {
  World world;
  EXPECT_EQ(world.get("/proxy/readyz").status(), 200);
  world.site.drain();
  EXPECT_EQ(world.get("/proxy/readyz").status(), 503);
  EXPECT_TRUE(world.get("/proxy/readyz").has("Retry-After: 5\r\n"));
  EXPECT_EQ(world.get("/proxy/healthz").status(), 200);
}

}  // namespace
}  // namespace gputach
