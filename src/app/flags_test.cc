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

TEST(Flags, AnEngineBehindHttpsIsVerifiedUnlessToldOtherwise) {
  const auto config = with("upstream", "https://localhost:8443");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->upstream->kind, relay::UpstreamAddress::Kind::tls);
  EXPECT_EQ(config->upstream_tls_verify, http::TlsVerify::on);
  EXPECT_EQ(with("upstream-tls-verify", "off")->upstream_tls_verify, http::TlsVerify::off);
  for (const char* bad : {"", "no", "ON", "0"}) EXPECT_FALSE(with("upstream-tls-verify", bad)) << bad;
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

TEST(Flags, TheServersLimitsAreThoseOfTheTable) {
  const http::Limits limits;
  const auto config = make_config({});
  EXPECT_EQ(config->limits.connections_max, limits.connections_max);
  EXPECT_EQ(config->limits.head_bytes_max, limits.head_bytes_max);
  EXPECT_EQ(config->limits.body_drain_bytes_max, limits.body_drain_bytes_max);
  EXPECT_EQ(config->limits.requests_per_connection_max, limits.requests_per_connection_max);
  EXPECT_EQ(config->limits.pipelined_before_yield, limits.pipelined_before_yield);
  EXPECT_EQ(config->limits.head_timeout, limits.head_timeout);
  EXPECT_EQ(config->limits.idle_timeout, limits.idle_timeout);
  EXPECT_EQ(config->limits.write_timeout, limits.write_timeout);
}

TEST(Flags, EachLimitIsSetByItsFlag) {
  EXPECT_EQ(with("connections-max", "7")->limits.connections_max, 7U);
  EXPECT_EQ(with("head-bytes-max", "8192")->limits.head_bytes_max, 8192U);
  EXPECT_EQ(with("body-bytes-max", "0")->limits.body_drain_bytes_max, 0U);
  EXPECT_EQ(with("requests-per-connection-max", "1000")->limits.requests_per_connection_max, 1000U);
  EXPECT_EQ(with("pipelined-before-yield", "1")->limits.pipelined_before_yield, 1U);
  EXPECT_EQ(with("head-timeout", "100ms")->limits.head_timeout, 100ms);
  EXPECT_EQ(with("idle-timeout", "2m")->limits.idle_timeout, 2min);
  EXPECT_EQ(with("write-timeout", "1.5s")->limits.write_timeout, 1500ms);
  EXPECT_EQ(with("head-bytes-max", "2MiB").error().context,
            "--head-bytes-max: \"2MiB\" is not a number of bytes, such as 8192 or 16KiB, between 1KiB and 1MiB");
}

TEST(Flags, PrivateAddressesAreNoneUnlessNamed) {
  EXPECT_TRUE(make_config({})->private_listen.empty());
  EXPECT_TRUE(with("private-listen", "")->private_listen.empty());
  EXPECT_EQ(with("private-listen", "127.0.0.1:1,[::1]:2")->private_listen,
            (std::vector<std::string>{"127.0.0.1:1", "[::1]:2"}));
  EXPECT_FALSE(with("private-listen", "127.0.0.1:1,"));
}

TEST(Flags, ACertificateAndItsKeyComeTogether) {
  const auto of = [](std::vector<std::pair<std::string_view, std::string>> values) {
    std::vector<Given> given;
    for (auto& [flag, value] : values) given.push_back({flag, value, "--" + std::string(flag)});
    return make_config(given);
  };
  EXPECT_EQ(of({{"tls-certificate", "c"}}).error().context, "--tls-certificate needs --tls-key");
  EXPECT_EQ(of({{"tls-key", "k"}}).error().context, "--tls-key needs --tls-certificate");
  const auto both = of({{"tls-certificate", "c"}, {"tls-key", "k"}, {"listen", "tls:127.0.0.1:1"}});
  ASSERT_TRUE(both) << both.error().context;
  EXPECT_EQ(both->tls.certificate + both->tls.key, "ck");
  for (const char* flag : {"listen", "private-listen"})
    EXPECT_EQ(of({{flag, "127.0.0.1:1,tls:127.0.0.1:2"}}).error().context,
              "a tls: address needs --tls-certificate and --tls-key");
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
  EXPECT_EQ(variable_of(*find_flag("nvml-library")), "GPUTACH_NVML_LIBRARY");
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
