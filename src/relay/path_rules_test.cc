#include "relay/path_rules.h"

#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>

#include "relay/path_pattern.h"
#include "relay/path_presets.h"
#include "relay/route_class.h"

namespace gputach::relay {
namespace {

PathRules rules(std::string_view allow, std::string_view deny) {
  auto parsed = PathRules::parse(allow, deny);
  EXPECT_TRUE(parsed) << parsed.error().context;
  return parsed.value_or(PathRules{});
}

std::string refusal(std::string_view allow, std::string_view deny) {
  const auto parsed = PathRules::parse(allow, deny);
  return parsed ? "accepted" : parsed.error().context;
}

std::string_view name(PathVerdict verdict) {
  switch (verdict) {
    case PathVerdict::allowed: return "allowed";
    case PathVerdict::denied: return "denied";
    case PathVerdict::unclear: break;
  }
  return "unclear";
}

TEST(PathRules, WithoutRulesEveryPathIsAllowedHoweverStrange) {
  for (const char* path : {"/", "*", "/a//b", "/%2e%2e/pooling", "/a;b", "/%zz", "/a\\b"}) {
    EXPECT_EQ(PathRules{}.judge(path), PathVerdict::allowed) << path;
    EXPECT_EQ(rules("", "  ").judge(path), PathVerdict::allowed) << path;
  }
}

TEST(PathRules, ExactPathsFoldersAndPrecedence) {
  const PathRules both = rules("/v1/*, /health", "/v1/admin/*,/v1/secret");
  const std::pair<const char*, const char*> cases[] = {
      {"/v1/chat/completions", "allowed"},
      {"/v1", "allowed"},
      {"/v1/", "allowed"},
      {"/v1x", "denied"},
      {"/v", "denied"},
      {"/health", "allowed"},
      {"/health/", "denied"},
      {"/healthz", "denied"},
      {"/Health", "denied"},
      {"/v1/secret", "denied"},
      {"/v1/secret/", "denied"},
      {"/v1/SECRET", "denied"},
      {"/v1/secrets", "allowed"},
      {"/v1/secret/x", "allowed"},
      {"/v1/admin", "denied"},
      {"/v1/admin/", "denied"},
      {"/v1/admin/x/y", "denied"},
      {"/v1/administer", "allowed"},
      {"/", "denied"},
      {"*", "denied"},
  };
  for (const auto& [path, verdict] : cases) EXPECT_EQ(name(both.judge(path)), verdict) << path;
  EXPECT_EQ(rules("", "/a").judge("*"), PathVerdict::allowed);
  EXPECT_EQ(rules("", "/*").judge("/a"), PathVerdict::denied);
}

TEST(PathRules, OtherSpellingsOfADeniedPathAreDenied) {
  const PathRules some = rules("", "/pooling,/fault_tolerance/*");
  for (const char* path : {"/pooling",
                           "/pooling/",
                           "/POOLING",
                           "/%70ooling",
                           "/%50OOLING",
                           "/p%6Foling",
                           "/p%6foling",
                           "/pooling%2F",
                           "/pooling%2f",
                           "//pooling",
                           "/./pooling",
                           "/x/../pooling",
                           "/x/%2e%2e/pooling",
                           "/x/%2E./pooling",
                           "/x/..%2fpooling",
                           "/x%2f..%2fpooling",
                           "/x%5c..%5cpooling",
                           "\\pooling",
                           "/x\\..\\pooling",
                           "/pooling;a=b",
                           "/;/pooling",
                           "/x/..;/pooling",
                           "/pooling%3Bx",
                           "/pooling%3fx",
                           "/%2570ooling",
                           "/x/%252e%252e/pooling",
                           "/pooling//",
                           "/pooling/.",
                           "/%2fpooling",
                           "/../../pooling",
                           "/fault_tolerance",
                           "/fault_tolerance/apply",
                           "/fault_tolerance%2fapply",
                           "/a/..%2f/FAULT_TOLERANCE%2Fapply"}) {
    EXPECT_EQ(name(some.judge(path)), "denied") << path;
  }
}

TEST(PathRules, PathsThatReadersTakeDifferentlyAreUnclearOnceThereAreRules) {
  const PathRules some = rules("", "/pooling");
  for (const char* path : {"//v1/models",   "/v1//models",    "/v1/./models",  "/v1/../models",
                           "/v1/models/..", "/v1/%2e/models", "/v1/.../a",     "/v1/models;a",
                           "/v1\\models",   "/v1/%5cmodels",  "/v1/%3bmodels", "/v1/%2531",
                           "/v1/%",         "/v1/%4",         "/v1/%zz",       "/v1/%u0070",
                           "/v1/%00",       "/v1/a%20b",      "/v1/a%0ab",     "/v1/%c0%afpooling",
                           "/v1/caf%c3%a9", "/v1/%7f",        "/v1/a%3fb",     "/v1/a%23b",
                           "/v1/%2f/a",     "/v1/%2e%2e%2fx", "v1/models",     ""}) {
    EXPECT_EQ(name(some.judge(path)), "unclear") << path;
  }
}

TEST(PathRules, AnEscapedSlashInAModelNamePassesWhereBothReadingsDo) {
  EXPECT_EQ(rules("", "/pooling").judge("/v1/models/org%2Fname"), PathVerdict::allowed);
  EXPECT_EQ(rules("/v1/*", "").judge("/v1/models/org%2Fname-1%2E5"), PathVerdict::allowed);
  EXPECT_EQ(rules("/v1/models/org/name", "").judge("/v1/models/org%2Fname"), PathVerdict::unclear);
  EXPECT_EQ(rules("/v1/*", "").judge("/v1%2Fmodels"), PathVerdict::unclear);
  EXPECT_EQ(rules("", "/v1/models/org/*").judge("/v1/models/org%2Fname"), PathVerdict::denied);
}

TEST(PathRules, EveryWayOfEscapingADeniedPathIsDenied) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const PathRules safe = rules("", "preset:vllm-safe");
  constexpr std::string_view hex_lower = "0123456789abcdef";
  constexpr std::string_view hex_upper = "0123456789ABCDEF";
  for (int round = 0; round < 200; ++round) {
    for (const PathPresetRow& row : path_preset("vllm-safe")) {
      std::string path(1, '/');
      for (const char c : row.pattern.substr(1)) {
        const auto byte = static_cast<unsigned char>(c == '*' ? 'x' : c);
        if (random() % 3 != 0) {
          path += static_cast<char>(byte);
          continue;
        }
        path += '%';
        path += (random() % 2 ? hex_lower : hex_upper)[byte >> 4];
        path += (random() % 2 ? hex_lower : hex_upper)[byte & 15];
      }
      const PathVerdict verdict = safe.judge(path);
      ASSERT_EQ(verdict == PathVerdict::denied, row.decision == PathDecision::deny) << path;
    }
  }
}

// Readers that undo escapes, dot segments, backslashes, parameters and empty segments in any order and number.
TEST(PathRules, NoLenientReaderFindsADeniedPathInAnAllowedOne) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const PathRules some = rules("", "/b,/a/*");
  constexpr std::string_view parts[] = {"/", "a",   "b",  "c",   ".",   "..",    "%2f", "%2e", "%5C", "\\",
                                        ";", "%25", "2f", "%61", "%62", "%2562", "//",  "%3b", "A",   "%42"};
  const auto replace_all = [](std::string text, std::string_view from, std::string_view to) {
    for (std::size_t at = 0; (at = text.find(from, at)) != std::string::npos; at += to.size())
      text.replace(at, from.size(), to);
    return text;
  };
  const auto misread = [&](std::string text) {
    switch (random() % 6) {
      case 0:
        for (const auto& [from, to] :
             {std::pair("%2f", "/"), std::pair("%2e", "."), std::pair("%5C", "\\"), std::pair("%61", "a"),
              std::pair("%62", "b"), std::pair("%3b", ";"), std::pair("%42", "B"), std::pair("%25", "%")})
          text = replace_all(text, from, to);
        return text;
      case 1: return replace_all(text, "\\", "/");
      case 2: return replace_all(text, "//", "/");
      case 3: return replace_all(text, "/./", "/");
      case 4: {
        const std::size_t semicolon = text.find(';');
        const std::size_t slash = std::min(text.find('/', std::min(semicolon, text.size())), text.size());
        return semicolon == std::string::npos ? text : text.erase(semicolon, slash - semicolon);
      }
      default: {
        const std::size_t dots = text.find("/../");
        if (dots == std::string::npos) return text;
        const std::size_t parent = dots == 0 ? 0 : text.rfind('/', dots - 1);
        return text.erase(parent, dots + 3 - parent);
      }
    }
  };
  std::set<PathVerdict> seen;
  for (int round = 0; round < 20000; ++round) {
    std::string path = "/";
    for (auto parts_left = random() % 6; parts_left-- > 0;) path += parts[random() % std::size(parts)];
    const PathVerdict verdict = some.judge(path);
    seen.insert(verdict);
    if (verdict != PathVerdict::allowed) continue;
    std::string reading = path;
    for (int step = 0; step < 8; ++step) {
      reading = misread(reading);
      ASSERT_FALSE(covers("/b", reading, Letters::any_case)) << path << " read as " << reading;
      ASSERT_FALSE(covers("/a/*", reading, Letters::any_case)) << path << " read as " << reading;
    }
  }
  EXPECT_EQ(seen.size(), 3U);
}

TEST(PathRules, AStarAtTheEndCoversAllThatBeginsSo) {
  const PathRules some = rules("", "/metrics*");
  for (const char* path : {"/metrics", "/metrics/", "/metricsfoo", "/metrics.x", "/METRICS/a", "/%6detricsfoo"})
    EXPECT_EQ(name(some.judge(path)), "denied") << path;
  for (const char* path : {"/metric", "/a/metrics"}) EXPECT_EQ(name(some.judge(path)), "allowed") << path;
  EXPECT_EQ(name(rules("", "/metrics/*").judge("/metricsfoo")), "allowed");
}

TEST(PathRules, PresetsMixWithOwnRules) {
  const PathRules denied = rules("", "preset:vllm-safe,/v1/embeddings");
  for (const char* path : {"/invocations", "/collective_rpc", "/v1/load_lora_adapter", "/v1/embeddings", "/tokenize"})
    EXPECT_EQ(name(denied.judge(path)), "denied") << path;
  for (const char* path : {"/health", "/metrics", "/version", "/load", "/ping", "/v1/chat/completions", "/new_route"})
    EXPECT_EQ(name(denied.judge(path)), "allowed") << path;

  const PathRules allowed = rules("preset:vllm-safe,/extra", "");
  for (const char* path : {"/health", "/extra", "/v1/chat/completions"})
    EXPECT_EQ(name(allowed.judge(path)), "allowed") << path;
  for (const char* path : {"/new_route", "/v1/load_lora_adapter", "/pooling"})
    EXPECT_EQ(name(allowed.judge(path)), "denied") << path;
}

TEST(PathRules, EveryPresetRowIsUsableSaysWhyAndDecidesForItself) {
  const PathRules allowed = rules("preset:vllm-safe", "");
  for (const PathPresetRow& row : path_preset("vllm-safe")) {
    EXPECT_GT(row.reason.size(), 10U) << row.pattern;
    EXPECT_EQ(refusal("", row.pattern), "accepted");
    const bool allow = row.decision == PathDecision::allow;
    EXPECT_EQ(allowed.judge(row.pattern) == PathVerdict::allowed, allow) << row.pattern;
  }
}

TEST(PathRules, EntriesThatCannotMeanAnythingAreRefusedWithAReason) {
  const std::pair<std::string, const char*> cases[] = {
      {"pooling", "--deny-paths: 'pooling' does not begin with a slash"},
      {"/a*b", "--deny-paths: '/a*b' has a * elsewhere than at its end"},
      {"/*/b", "--deny-paths: '/*/b' has a * elsewhere than at its end"},
      {"preset:nginx", "--deny-paths: 'preset:nginx' is no preset; there is preset:vllm-safe"},
      {"/a,,/b", "--deny-paths: '' is an empty entry"},
      {"/a,", "--deny-paths: '' is an empty entry"},
      {"/proxy/stats", "--deny-paths: '/proxy/stats' names a path that is never forwarded"},
      {"/proxy/*", "--deny-paths: '/proxy/*' names a path that is never forwarded"},
  };
  for (const auto& [list, sentence] : cases) EXPECT_EQ(refusal("", list), sentence);
  for (const char* list : {"/a//b", "/a/../b", "/a%20", "/a?x", "/a;b", "/a\\b", "/a b"})
    EXPECT_NE(refusal(list, "").find("has escapes, empty or dot segments"), std::string::npos) << list;
}

TEST(PathRules, TheNumberOfRulesIsBounded) {
  std::string list = "/a0";
  for (std::size_t i = 1; i < PathRules::rules_max; ++i) list += ",/a" + std::to_string(i);
  EXPECT_EQ(refusal("", list), "accepted");
  EXPECT_EQ(refusal("", list + ",/b"), "--deny-paths: '/b' is one entry too many");
}

TEST(RouteClass, NamesTheRoutesOfTheEnginesAndNothingElse) {
  const std::pair<const char*, const char*> cases[] = {
      {"/v1/chat/completions", "chat"},
      {"/v1/chat/completions/batch", "chat"},
      {"/v1/completions", "completions"},
      {"/v1/completions/render", "tokenize"},
      {"/v1/chat/completions/render", "tokenize"},
      {"/v1/responses", "responses"},
      {"/v1/responses/resp_1/cancel", "responses"},
      {"/v1/messages", "messages"},
      {"/v1/messages/count_tokens", "tokenize"},
      {"/v1/embeddings", "embeddings"},
      {"/v1/score", "pooling"},
      {"/rerank", "pooling"},
      {"/v1/audio/transcriptions", "audio"},
      {"/v1/realtime", "realtime"},
      {"/v1/models", "models"},
      {"/v1/models/a%2Fb", "models"},
      {"/tokenize", "tokenize"},
      {"/health", "health"},
      {"/ping", "health"},
      {"/metrics", "metrics"},
      {"/metrics/", "metrics"},
      {"/", "other"},
      {"*", "other"},
      {"", "other"},
      {"/v1/chat/completionsx", "other"},
      {"/V1/models", "other"},
      {"/invocations", "other"},
  };
  for (const auto& [path, route] : cases) EXPECT_EQ(to_string(route_class(path)), route) << path;
}

}  // namespace
}  // namespace gputach::relay
