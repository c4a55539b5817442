#include "app/setup.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace gputach {
namespace {

using namespace std::chrono_literals;
using Names = std::vector<std::string_view>;

TEST(Setup, WithoutAFileWhatWasGivenHolds) {
  const Given outside[] = {{"cache-ttl", "2s", "--cache-ttl"}};
  const auto setup = make_setup(outside, FlagUse::serving);
  ASSERT_TRUE(setup);
  EXPECT_EQ(setup->given.size(), 1U);
  EXPECT_EQ(setup->config.cache_ttl, 2s);
}

class SetupWithFile : public testing::Test {
 protected:
  ~SetupWithFile() override { ::unlink(path_.c_str()); }
  Result<gputach::Setup> setup(std::string_view file, std::vector<Given> more = {}, FlagUse least = FlagUse::serving) {
    std::ofstream(path_) << file;
    more.push_back({"config", path_, "GPUTACH_CONFIG"});
    return make_setup(more, least);
  }

  std::string path_ = testing::TempDir() + "gputach-setup-" + std::to_string(::getpid());
};

TEST_F(SetupWithFile, TheFileGoesBeforeTheDefaultAndBehindWhatWasGiven) {
  const auto made = setup("cache-ttl = '3s'\ncors-origin = 'a'\n", {{"cache-ttl", "2s", "--cache-ttl"}});
  ASSERT_TRUE(made) << made.error().context;
  EXPECT_EQ(made->config.cache_ttl, 2s);
  EXPECT_EQ(made->config.cors_origin, "a");
  EXPECT_EQ(made->config.nvml_timeout, 2s);
  EXPECT_EQ(made->given.size(), 3U) << "what is overruled does not count as given";
}

TEST_F(SetupWithFile, AnErrorNamesFileLineAndKey) {
  EXPECT_EQ(setup("\ncache-ttl = 'soon'").error().context,
            path_ + ":2 cache-ttl: \"soon\" is not a duration with its unit between 0s and 60s");
  EXPECT_EQ(setup("\nnope = 1").error().context,
            "GPUTACH_CONFIG: " + path_ + ":2: \"nope\" is no flag (gputach docs flags lists them)");
}

TEST_F(SetupWithFile, ACommandLooksAtItsOwnFlagsOnly) {
  constexpr std::string_view file = "listen = 'nonsense'\ndevices = '3'\n";
  EXPECT_FALSE(setup(file));
  const auto made = setup(file, {}, FlagUse::asking);
  ASSERT_TRUE(made) << made.error().context;
  EXPECT_EQ(made->config.devices.indices, std::vector<unsigned>{3});
}

TEST(Changes, NothingChangedIsNothing) {
  const Given given[] = {{"cache-ttl", "2s", "--cache-ttl"}};
  const Changes changes = changes_between(given, given);
  EXPECT_EQ(changes.live, Names{});
  EXPECT_EQ(changes.restart, Names{});
}

TEST(Changes, AreToldApartByWhatAReloadMayDo) {
  const Given before[] = {{"cache-ttl", "2s", ""}, {"listen", "[::]:1", ""}, {"devices", "1", ""}};
  const Given after[] = {{"listen", "[::]:2", ""}, {"devices", "1", ""}, {"log-level", "debug", ""}};
  const Changes changes = changes_between(before, after);
  EXPECT_EQ(changes.live, (Names{"cache-ttl", "log-level"})) << "one went back to its default";
  EXPECT_EQ(changes.restart, Names{"listen"});
}

TEST(Changes, TheDefaultInWordsIsNoChange) {
  const Given after[] = {{"cache-ttl", "1s", "g.toml:1 cache-ttl"}};
  EXPECT_EQ(changes_between({}, after).live, Names{});
}

TEST(Changes, WhatNeedsARestartStaysWantedUntilThen) {
  const Given before[] = {{"cache-ttl", "2s", ""}, {"listen", "[::]:1", ""}};
  const Given fresh[] = {{"cache-ttl", "3s", ""}, {"listen", "[::]:2", ""}, {"devices", "1", ""}};
  const std::vector<Given> running = after_reload(before, fresh);
  ASSERT_EQ(running.size(), 2U);
  EXPECT_EQ(running[0].value, "[::]:1");
  EXPECT_EQ(running[1].value, "3s");
  const Changes again = changes_between(running, fresh);
  EXPECT_EQ(again.live, Names{});
  EXPECT_EQ(again.restart, (Names{"listen", "devices"}));
}

TEST(SetupJson, ShowsEveryFlagWithItsOrigin) {
  const Given given[] = {{"cache-ttl", "2s", "/a \"b\".toml:3 cache-ttl"}};
  const std::string json = setup_json(given);
  EXPECT_TRUE(json.starts_with(R"({"flags":{"listen":{"value":"[::]:8080","origin":"default","reload":"restart"},)"));
  EXPECT_NE(json.find(R"("cache-ttl":{"value":"2s","origin":"/a \"b\".toml:3 cache-ttl","reload":"live"})"),
            std::string::npos);
  for (const Flag& flag : flags()) EXPECT_NE(json.find("\"" + std::string(flag.name) + "\":{"), std::string::npos);
}

}  // namespace
}  // namespace gputach
