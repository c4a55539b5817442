#include "app/config_file.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <fstream>

namespace gputach {
namespace {

std::string error_of(std::string_view text) {
  const auto given = parse_config_file(text, "g.toml");
  return given ? "none" : given.error().context;
}

std::string value_of(std::string_view text) {
  const auto given = parse_config_file(text, "g.toml");
  return given && given->size() == 1 ? given->front().value : "not one value: " + error_of(text);
}

TEST(ConfigFile, EachKeyIsAFlagAndKnowsItsLine) {
  const auto given = parse_config_file("# a comment\ncache-ttl = '2s'\n\ndevices = '1'\nlisten = '[::]:1'\n", "g.toml");
  ASSERT_TRUE(given) << given.error().context;
  ASSERT_EQ(given->size(), 3U);
  EXPECT_EQ(given->at(0).flag, "cache-ttl");
  EXPECT_EQ(given->at(0).value, "2s");
  EXPECT_EQ(given->at(0).origin, "g.toml:2 cache-ttl");
  EXPECT_EQ(given->at(1).origin, "g.toml:4 devices");
  EXPECT_EQ(given->at(2).origin, "g.toml:5 listen");
}

TEST(ConfigFile, AnEmptyFileSaysNothing) {
  EXPECT_TRUE(parse_config_file("", "g.toml")->empty());
  EXPECT_TRUE(parse_config_file("\n# nothing\n", "g.toml")->empty());
}

TEST(ConfigFile, AValueIsTheTextThatTheFlagWouldHave) {
  EXPECT_EQ(value_of("connections-max = 100"), "100");
  EXPECT_EQ(value_of("connections-max = -1"), "-1") << "the flag refuses it in its own words";
  EXPECT_EQ(value_of("cache-ttl = 1.5"), "1.5");
  EXPECT_EQ(value_of("log-level = true"), "true");
  EXPECT_EQ(value_of("log-level = ''"), "");
  EXPECT_EQ(value_of("cors-origin = \"a\\tb\""), "a\tb");
}

TEST(ConfigFile, AnArrayIsAList) {
  EXPECT_EQ(value_of("listen = ['[::]:1', 'localhost:2']"), "[::]:1,localhost:2");
  EXPECT_EQ(value_of("listen = '[::]:1,localhost:2'"), "[::]:1,localhost:2");
  EXPECT_EQ(value_of("devices = [0, 'GPU-a', 3]"), "0,GPU-a,3");
  EXPECT_EQ(value_of("devices = []"), "");
}

TEST(ConfigFile, WhatNoFlagCanSayIsRefused) {
  constexpr const char* wanted =
      "g.toml:2: \"devices\" takes a string, a number, or an array of those whose elements have no comma";
  for (const char* bad : {"['0,1']", "['']", "[[0]]", "{a = 1}", "1979-05-27", "07:32:00", "\"a\\u0000b\"", "[{}]"})
    EXPECT_EQ(error_of("\ndevices = " + std::string(bad)), wanted) << bad;
  EXPECT_EQ(error_of("\n[devices]\n"), wanted);
}

TEST(ConfigFile, AKeyOutsideTheTableIsRefusedWithItsLine) {
  EXPECT_EQ(error_of("cache-ttl = '1s'\nnope = 1\n"), "g.toml:2: \"nope\" is no flag (gputach docs flags lists them)");
  EXPECT_EQ(error_of("[serve]\ncache-ttl = '1s'\n"), "g.toml:1: \"serve\" is no flag (gputach docs flags lists them)");
  EXPECT_EQ(error_of("cache.ttl = '1s'"), "g.toml:1: \"cache\" is no flag (gputach docs flags lists them)");
  EXPECT_EQ(error_of("\"a\\nb\" = 1"), "g.toml:1: \"a\\nb\" is no flag (gputach docs flags lists them)");
  EXPECT_EQ(error_of("config = 'other.toml'"), "g.toml:1: \"config\" cannot stand in the file itself");
}

TEST(ConfigFile, OfSeveralErrorsTheFirstLineIsTold) {
  EXPECT_EQ(error_of("zzz = 1\naaa = 1\n"), "g.toml:1: \"zzz\" is no flag (gputach docs flags lists them)");
  EXPECT_EQ(error_of("aaa = 1\nzzz = 1\n"), "g.toml:1: \"aaa\" is no flag (gputach docs flags lists them)");
}

TEST(ConfigFile, WhatIsNotTomlIsRefusedWithItsLineInOneLine) {
  for (const char* bad : {"\ncache-ttl 1s", "\ncache-ttl = ", "\ncache-ttl = '1s", "\ncache-ttl = 1s"}) {
    const std::string error = error_of(bad);
    EXPECT_TRUE(error.starts_with("g.toml:2: ")) << error;
    EXPECT_EQ(error.find('\n'), std::string::npos) << error;
  }
  EXPECT_TRUE(error_of("\xff = 1").starts_with("g.toml:1: ")) << "no UTF-8";
  EXPECT_TRUE(error_of("devices = '1'\ndevices = '2'").starts_with("g.toml:2: ")) << "the same key twice";
}

TEST(ConfigFile, DeepNestingEnds) {
  EXPECT_TRUE(error_of("devices = " + std::string(100'000, '[')).starts_with("g.toml:1: "));
}

class ConfigFileOnDisk : public testing::Test {
 protected:
  ~ConfigFileOnDisk() override { ::unlink(path_.c_str()); }
  std::string path_ = testing::TempDir() + "gputach-config-" + std::to_string(::getpid());
};

TEST_F(ConfigFileOnDisk, IsReadUpToItsBound) {
  const std::string row = "devices = '1'\n";
  std::ofstream(path_) << row << std::string(config_file_bytes_max - row.size(), '#');
  const auto given = read_config_file(path_);
  ASSERT_TRUE(given) << given.error().context;
  EXPECT_EQ(given->front().origin, path_ + ":1 devices");
  std::ofstream(path_, std::ios::app) << "#";
  EXPECT_EQ(read_config_file(path_).error().context, path_ + " holds more than 1048576 bytes");
}

TEST_F(ConfigFileOnDisk, ThatIsAbsentIsNamed) {
  EXPECT_EQ(read_config_file(path_).error().context, path_ + ": No such file or directory");
}

}  // namespace
}  // namespace gputach
