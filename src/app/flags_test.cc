#include "app/flags.h"

#include <gtest/gtest.h>

#include <set>

namespace gputach {
namespace {

using namespace std::chrono_literals;

Result<Config> with(std::string_view flag, std::string value) {
  const Given given[] = {{flag, std::move(value), "--" + std::string(flag)}};
  return make_config(given);
}

TEST(Flags, DefaultsAreThoseOfTheTable) {
  const auto config = make_config({});
  ASSERT_TRUE(config);
  EXPECT_EQ(config->listen, std::vector<std::string>{"[::]:8080"});
  EXPECT_EQ(config->cache_ttl, 1s);
  EXPECT_EQ(config->nvml_timeout, 2s);
  EXPECT_EQ(config->cors_origin, "*");
  EXPECT_TRUE(config->devices.all());
  EXPECT_EQ(config->nvml_library, "") << "nothing is simulated unless told";
}

TEST(Flags, DurationsCarryTheirUnit) {
  EXPECT_EQ(with("cache-ttl", "250ms")->cache_ttl, 250ms);
  EXPECT_EQ(with("cache-ttl", "0.5s")->cache_ttl, 500ms);
  EXPECT_EQ(with("cache-ttl", "1m")->cache_ttl, 60s);
  EXPECT_EQ(with("cache-ttl", "0s")->cache_ttl, 0s);
  for (const char* bad : {"1", "", "s", "1h", "-1s", "61s", "nan s", "nans", "1 s", "1s ", "1e300s", "infs"})
    EXPECT_FALSE(with("cache-ttl", bad)) << bad;
  EXPECT_FALSE(with("nvml-timeout", "0s"));
}

TEST(Flags, DevicesAreIndicesOrUuids) {
  const auto config = with("devices", "0,3,GPU-8a1b");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->devices.indices, (std::vector<unsigned>{0, 3}));
  EXPECT_EQ(config->devices.uuids, std::vector<std::string>{"GPU-8a1b"});
  for (const char* bad : {"x", "0,", ",", "-1", "64", "MIG-1", "GPU-", "0 1"})
    EXPECT_FALSE(with("devices", bad)) << bad;
}

TEST(Flags, AnOriginCannotBreakAHeader) {
  EXPECT_TRUE(with("cors-origin", ""));
  EXPECT_TRUE(with("cors-origin", "https://example.org:8443"));
  for (const char* bad : {"a b", "a\r\nX: y", "a,b", "\x80"}) EXPECT_FALSE(with("cors-origin", bad)) << bad;
}

TEST(Flags, ABadValueIsOneSentenceThatNamesTheFlagAndTheValue) {
  const Given given[] = {{"cache-ttl", "soon", "GPUTACH_CACHE_TTL"}};
  const auto config = make_config(given);
  ASSERT_FALSE(config);
  EXPECT_EQ(config.error().context, "GPUTACH_CACHE_TTL: \"soon\" is not a duration with its unit between 0s and 60s");
}

TEST(Flags, AValueThatHoldsLineBreaksIsStillOneLine) {
  EXPECT_EQ(with("log-level", "a\r\nb").error().context,
            "--log-level: \"a\\r\\nb\" is not debug, info, warning or error");
}

TEST(Flags, AddressesAreCheckedBeforeAnythingStarts) {
  for (const char* good : {"127.0.0.1:0", "[::]:8080", "localhost:1,127.0.0.1:2"}) EXPECT_TRUE(with("listen", good));
  for (const char* bad :
       {"", "8080", "127.0.0.1:99999", "127.0.0.1:http", "127.0.0.1:-1", "a.example:80", "127.0.0.1:1,"})
    EXPECT_FALSE(with("listen", bad)) << bad;
}

TEST(Flags, EveryRowHasAUniqueNameAVariableAGoodDefaultAndHelp) {
  std::set<std::string_view> names;
  const std::string page = flags_page();
  for (const Flag& flag : flags()) {
    EXPECT_TRUE(names.insert(flag.name).second);
    EXPECT_TRUE(flag.help.ends_with('.')) << flag.name;
    Config config;
    EXPECT_TRUE(flag.set(config, flag.default_value)) << flag.name;
    EXPECT_NE(page.find("`" + variable_of(flag) + "`"), std::string::npos);
  }
  EXPECT_EQ(variable_of(flags()[1]), "GPUTACH_NVML_LIBRARY");
}

TEST(Flags, TheWorkerGetsWhatConcernsTheDriverAndNothingElse) {
  const Given given[] = {{"listen", "127.0.0.1:1", "--listen"},
                         {"nvml-library", "/x y.so", "--nvml-library"},
                         {"devices", "1", "GPUTACH_DEVICES"}};
  EXPECT_EQ(worker_arguments(given),
            (std::vector<std::string>{"worker", "--nvml-library", "/x y.so", "--devices", "1"}));
}

}  // namespace
}  // namespace gputach
