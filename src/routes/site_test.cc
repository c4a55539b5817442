#include "routes/site.h"

#include <gtest/gtest.h>

#include <array>

#include "routes/routes_test_kit.h"

namespace gputach {
namespace {

constexpr unsigned gpus_enough = 8;  // for a page that is worth coding

World::Answer get(World& world, std::string_view accepted, std::string_view target = "/proxy/stats") {
  world.fields = {{"Accept-Encoding", accepted}};
  return world.get(target);
}

bool is_gzip(const World::Answer& answer) {
  return answer.has("Content-Encoding: gzip\r\n") && answer.body().starts_with("\x1F\x8B");
}

TEST(Site, AThousandClientsAndOneSnapshotMakeEachFormOnce) {
  World world;
  world.publish(true, false, gpus_enough);
  const World::Answer plain = get(world, "");
  const World::Answer coded = get(world, "gzip");
  ASSERT_TRUE(is_gzip(coded));
  EXPECT_FALSE(is_gzip(plain));
  EXPECT_LT(coded.body().size(), plain.body().size());
  for (int i = 0; i < 1000; ++i) {
    ASSERT_EQ(get(world, "gzip").response.content, coded.response.content);
    ASSERT_EQ(get(world, "br").response.content, plain.response.content);
  }
  EXPECT_EQ(world.site.gzip_pages(), 1u);
  (void)get(world, "gzip", "/proxy/stats?missing=list");
  (void)get(world, "gzip", "/proxy/stats?missing=list");
  EXPECT_EQ(world.site.gzip_pages(), 2u) << "one for each form";
  world.publish(true, false, gpus_enough);
  EXPECT_NE(get(world, "gzip").response.content, coded.response.content);
  EXPECT_EQ(world.site.gzip_pages(), 3u);
}

TEST(Site, WhoAcceptsNothingCausesNoCoding) {
  World world;
  world.publish(true, false, gpus_enough);
  EXPECT_FALSE(is_gzip(world.get("/proxy/stats")));
  EXPECT_EQ(world.site.gzip_pages(), 0u);
}

TEST(Site, EveryAnswerSaysThatItDependsOnWhatIsAccepted) {
  for (const bool good : {true, false}) {
    World world;
    const World::AnswerPtr miss = world.send("GET", "/proxy/stats");
    world.publish(good, false, gpus_enough);
    EXPECT_TRUE(miss->has("X-Cache: MISS\r\n") && miss->has("Vary: Accept-Encoding\r\n"));
    for (const std::string_view accepted : {"", "gzip", "gzip;q=0"})
      EXPECT_TRUE(get(world, accepted).has("Vary: Accept-Encoding\r\n")) << accepted;
  }
}

TEST(Site, ACodedAnswerHasTheFieldsOfThePlainOne) {
  World world;
  world.publish(true, true, gpus_enough);
  const World::Answer plain = get(world, "");
  const World::Answer coded = get(world, "gzip");
  EXPECT_EQ(coded.response.content->fields, plain.response.content->fields + "Content-Encoding: gzip\r\n");
  EXPECT_EQ(coded.status(), plain.status());
}

TEST(Site, ARequestThatWaitedGetsWhatItAccepted) {
  World world;
  world.fields = {{"Accept-Encoding", "gzip"}};
  const World::AnswerPtr coded = world.send("GET", "/proxy/stats");
  world.fields = {};
  const World::AnswerPtr plain = world.send("GET", "/proxy/stats");
  world.publish(true, false, gpus_enough);
  EXPECT_TRUE(is_gzip(*coded));
  EXPECT_FALSE(is_gzip(*plain));
}

TEST(Site, AnOriginThatChangesIsNamedByTheNextAnswerToTheSameSnapshot) {
  World world("https://old.example");
  world.publish(true, false, gpus_enough);
  EXPECT_TRUE(get(world, "").has("Access-Control-Allow-Origin: https://old.example\r\n"));
  EXPECT_TRUE(get(world, "gzip").has("Access-Control-Allow-Origin: https://old.example\r\n"));
  world.site.set_cors_origin("https://new.example");
  for (const std::string_view accepted : {"", "gzip"})
    EXPECT_TRUE(get(world, accepted).has("Access-Control-Allow-Origin: https://new.example\r\n"));
  EXPECT_TRUE(world.get("/proxy/stats", "POST").has("Access-Control-Allow-Origin: https://new.example\r\n"));
  world.site.set_cors_origin("");
  EXPECT_FALSE(get(world, "gzip").has("Access-Control-"));
}

TEST(Site, ErrorsAreNotCoded) {
  World world;
  world.publish(false);
  const World::Answer answer = get(world, "gzip");
  EXPECT_EQ(answer.status(), 500);
  EXPECT_EQ(answer.response.content, get(world, "").response.content) << "the same bytes for both";
}

}  // namespace
}  // namespace gputach
