#include <gtest/gtest.h>

#include "routes/route.h"
#include "routes/routes_test_kit.h"

namespace gputach {
namespace {

using http::Entrance;

constexpr std::string_view methods[] = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE", "TRACE", "BREW"};

// The answer without the path that an error text quotes.
std::string without(const World::Answer& answer, std::string_view path) {
  std::string text = std::to_string(answer.status()) + answer.fields() + answer.body();
  for (std::size_t at; (at = text.find(path)) != std::string::npos;) text.erase(at, path.size());
  return text;
}

TEST(Exposure, WhatACommonListenerDoesNotServeIsAnUnknownPathForEveryMethod) {
  World world("*", {"contract", "read", "sensitive", "admin"});
  unsigned hidden = 0;
  for (const Route& route : routes()) {
    if (route.exposure != Exposure::admin && route.exposure != Exposure::sensitive) continue;
    ++hidden;
    for (const std::string_view method : methods)
      for (const std::string_view credentials : {"", "Bearer wrong", "Bearer admin", "Bearer sensitive"}) {
        world.fields = {{"Authorization", credentials}};
        const World::Answer answer = world.get(route.path, method);
        EXPECT_EQ(answer.status(), 404) << method << ' ' << route.path;
        EXPECT_EQ(without(answer, route.path), without(world.get("/proxy/v1/nothing", method), "/proxy/v1/nothing"));
      }
  }
  EXPECT_GE(hidden, 1u);
}

TEST(Exposure, TheListsShowWhatIsServedWhereTheyAreAskedFor) {
  World world;
  for (const std::string_view list : {"/proxy/", "/proxy/v1/"}) {
    world.entrance = Entrance::common;
    EXPECT_EQ(world.get(list).body().find("/proxy/v1/config"), std::string::npos);
    EXPECT_NE(world.get(list).body().find("/proxy/v1/daemon"), std::string::npos);
    world.entrance = Entrance::restricted;
    EXPECT_NE(world.get(list).body().find("/proxy/v1/config"), std::string::npos);
  }
}

TEST(Exposure, TheConfigurationIsShownOnTheRestrictedListener) {
  World world;
  EXPECT_EQ(world.get("/proxy/v1/config").status(), 404);
  world.entrance = Entrance::restricted;
  EXPECT_EQ(world.get("/proxy/v1/config").body(), "[]");
}

TEST(Exposure, WithoutItsTokenARouteIs401AndNothingIsRead) {
  World world("*", {"one", "two", "", ""});
  const World::Answer missing = world.get("/proxy/stats");
  EXPECT_EQ(missing.status(), 401);
  EXPECT_TRUE(missing.has("WWW-Authenticate: Bearer realm=\"gputach\"\r\n"));
  EXPECT_TRUE(missing.has("Cache-Control: no-store\r\n"));
  EXPECT_TRUE(missing.has("Access-Control-Allow-Origin: *\r\n")) << "a page has to see that it needs a token";
  EXPECT_EQ(missing.body(), R"({"error":"a bearer token is needed"})");
  world.fields = {{"Authorization", "Bearer two"}};
  const World::Answer wrong = world.get("/proxy/stats");
  EXPECT_EQ(wrong.status(), 401);
  EXPECT_TRUE(wrong.has("WWW-Authenticate: Bearer realm=\"gputach\", error=\"invalid_token\"\r\n"));
  EXPECT_EQ(wrong.body().find("two"), std::string::npos);
  EXPECT_EQ(world.get("/proxy/stats", "POST").status(), 401) << "before the method is judged";
  EXPECT_EQ(world.passes, 0u);
  world.fields = {{"Authorization", "Bearer one"}};
  EXPECT_FALSE(world.send("GET", "/proxy/stats")->given) << "waits for a pass";
  EXPECT_EQ(world.passes, 1u);
}

TEST(Exposure, EveryRouteAsksForTheTokenOfItsExposureOnBothListeners) {
  World world("*", {"contract", "read", "sensitive", "admin"});
  world.publish();
  for (const Entrance entrance : {Entrance::common, Entrance::restricted})
    for (const Route& route : routes()) {
      if (!is_served(route.exposure, entrance)) continue;
      world.entrance = entrance;
      world.fields = {};
      EXPECT_EQ(world.get(route.path).status(), 401) << route.path;
      const std::string right = "Bearer " + std::string(to_string(route.exposure));
      world.fields = {{"Authorization", right}};
      EXPECT_LT(world.get(route.path).status(), 400) << route.path;
    }
}

TEST(Exposure, ProbesAreServedWithATokenForReading) {
  World world("*", {"", "read", "", ""});
  EXPECT_EQ(world.get("/proxy/healthz").status(), 200);
  EXPECT_EQ(world.get("/proxy/readyz").status(), 200);
  EXPECT_EQ(world.get("/proxy/").status(), 401);
  EXPECT_EQ(world.get("/proxy/v1/").status(), 401);
}

TEST(Exposure, APreflightNeedsNoTokenAndNamesTheFieldThatTheAnswerWill) {
  World world("*", {"one", "", "", ""});
  const World::Answer answer = world.get("/proxy/stats", "OPTIONS");
  EXPECT_EQ(answer.status(), 204);
  EXPECT_TRUE(answer.has("Access-Control-Allow-Headers: *, Authorization\r\n"));
  world.site.set_tokens({});
  EXPECT_TRUE(world.get("/proxy/stats", "OPTIONS").has("Access-Control-Allow-Headers: *\r\n"));
}

TEST(Exposure, TokensThatChangeAreInForceForTheNextRequest) {
  World world("*", {"", "old", "", ""});
  world.fields = {{"Authorization", "Bearer new"}};
  EXPECT_EQ(world.get("/proxy/version").status(), 401);
  world.site.set_tokens({"", "new", "", ""});
  EXPECT_EQ(world.get("/proxy/version").status(), 200);
  world.fields = {{"Authorization", "Bearer old"}};
  EXPECT_EQ(world.get("/proxy/version").status(), 401);
}

}  // namespace
}  // namespace gputach
