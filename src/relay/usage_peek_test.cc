#include "relay/usage_peek.h"

#include <gtest/gtest.h>

#include <ctime>
#include <random>
#include <string>
#include <vector>

#include "relay/usage_peek_test_kit.h"

namespace gputach::relay {
namespace {

template <class NextSize>
Seen peek_in_pieces(BodyForm form, std::string_view body, NextSize next_size) {
  ResponsePeek peek(form);
  Seen seen;
  while (!body.empty()) {
    const std::size_t size = std::min<std::size_t>(body.size(), next_size());
    // A copy of the right size, so that the address sanitizer sees a read past the end.
    const std::vector<char> piece(body.begin(), body.begin() + static_cast<std::ptrdiff_t>(size));
    seen.returned += peek.feed({piece.data(), piece.size()});
    body.remove_prefix(size);
  }
  seen.events = peek.events();
  seen.content_events = peek.content_events();
  seen.usage = peek.usage();
  seen.model = peek.model();
  seen.has_error = peek.has_error();
  seen.is_complete = peek.is_complete();
  return seen;
}

Seen peek(BodyForm form, std::string_view body) {
  return peek_in_pieces(form, body, [] { return std::string_view::npos; });
}

std::string with_line_ends(std::string text, std::string_view end) {
  for (std::size_t at = 0; (at = text.find('\n', at)) != std::string::npos; at += end.size()) text.replace(at, 1, end);
  return text;
}

TEST(ResponsePeek, ReadsWhatTheEnginesSend) {
  for (const Golden& golden : goldens()) EXPECT_EQ(peek(golden.form, golden.body), golden.seen) << golden.name;
}

TEST(ResponsePeek, CuttingTheBytesAnywhereChangesNothing) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  for (const Golden& golden : goldens()) {
    for (const char* end : {"\n", "\r\n", "\r"}) {
      const std::string body = with_line_ends(golden.body, end);
      ASSERT_EQ(peek_in_pieces(golden.form, body, [] { return 1; }), golden.seen) << golden.name;
      for (std::size_t cut = 1; cut < body.size(); ++cut) {
        bool first = true;
        const auto once = [&] { return std::exchange(first, false) ? cut : body.size(); };
        ASSERT_EQ(peek_in_pieces(golden.form, body, once), golden.seen) << golden.name << " cut at " << cut;
      }
      for (int round = 0; round < 20; ++round)
        ASSERT_EQ(peek_in_pieces(golden.form, body, [&] { return random() % 40; }), golden.seen) << golden.name;
    }
  }
}

TEST(ResponsePeek, TheFirstTokenIsToldWithThePieceThatCompletesIt) {
  ResponsePeek peek(BodyForm::event_stream);
  EXPECT_EQ(peek.feed("data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n"), 0U);
  EXPECT_EQ(peek.feed("data: {\"choices\":[{\"delta\":{\"content\":\"Hel"), 0U);
  EXPECT_EQ(peek.feed("lo\"}}]}"), 1U);
  EXPECT_EQ(peek.feed("\n\n"), 0U);
  EXPECT_EQ(peek.feed("data: {\"choices\":[{\"delta\":{\"content\":\"a\"}},{\"delta\":{\"content\":\"b\"}}]}\n\n"
                      "data: {\"choices\":[{\"text\":\"c\"}]}\n\n"),
            2U);
}

TEST(ResponsePeek, OnlyDoneByItselfCompletesAStream) {
  for (const char* data :
       {"[DONE]x", "[DONE] ", "[DON]", "\"[DONE]\"", "[done]", "{\"t\":\"[DONE]\"}", "{\"type\":\"stop\"}"})
    EXPECT_FALSE(peek(BodyForm::event_stream, "data: " + std::string(data) + "\n\n").is_complete) << data;
  EXPECT_FALSE(peek(BodyForm::event_stream, "data: [DONE]").is_complete);
  EXPECT_FALSE(peek(BodyForm::event_stream, ": [DONE]\n\n").is_complete);
  EXPECT_TRUE(peek(BodyForm::event_stream, "data: [DONE]\n").is_complete);
}

TEST(ResponsePeek, CountsThatCannotBeTokensAreNotTaken) {
  for (const char* count : {"-1", "1.5", "1e3", "\"7\"", "null", "true", "[1]", "{}", "1234567890123", "12x"}) {
    const std::string body = std::string(R"({"usage":{"prompt_tokens":3,"prompt_tokens":)") + count + "}}";
    const auto expected = std::string_view(count) == "[1]" ? 1U : 3U;
    EXPECT_EQ(peek(BodyForm::json, body).usage.prompt_tokens, expected) << count;
  }
}

TEST(ResponsePeek, UsageThatIsNotTheAnswersOwnIsNotTaken) {
  for (const char* body : {R"({"choices":[{"usage":{"prompt_tokens":1}}]})",
                           R"({"data":{"usage":{"prompt_tokens":1}}})", R"({"t":"{\"usage\":{\"prompt_tokens\":1}}"})",
                           R"({"t":"\\\"},\"usage\":{\"prompt_tokens\":1}"})", R"({"usage":"{\"prompt_tokens\":1}"})",
                           R"({"usage":{"details":{"prompt_tokens":1}}})", R"({} {"usage":{"prompt_tokens":1}})"}) {
    EXPECT_EQ(peek(BodyForm::json, body).usage, Usage{}) << body;
    EXPECT_EQ(peek(BodyForm::event_stream, "data: " + std::string(body) + "\n\n").usage, Usage{}) << body;
  }
}

TEST(ResponsePeek, AModelNameThatIsTooLongIsNone) {
  const std::string longest(model_name_bytes_max, 'm');
  EXPECT_EQ(peek(BodyForm::json, "{\"model\":\"" + longest + "\"}").model, longest);
  EXPECT_EQ(peek(BodyForm::json, "{\"model\":\"" + longest + "m\"}").model, "");
}

std::string repeat(std::string_view text, std::size_t bytes) {
  std::string all;
  all.reserve(bytes + text.size());
  while (all.size() < bytes) all += text;
  return all;
}

// In processor time, of which a quadratic scanner needs several seconds; the bound leaves room for sanitizers.
TEST(ResponsePeek, HostileBodiesTakeLinearTime) {
  constexpr std::size_t bytes = 1 << 20;
  for (const char* text : {"\r",          "\n",
                           "\r\n",        "\"",
                           "\\",          "\\\"",
                           "{",           "[",
                           "}",           "{\"",
                           "{\"a\":",     "[\"",
                           "data: ",      "data: {\"choices\":[",
                           "data:\r",     "data: \"\\\r",
                           "{\"usage\":", ",",
                           ":",           "1",
                           "\"\\\\",      "\0x"}) {
    for (const char* start :
         {"", "{\"model\":\"", "data: {\"t\":\"", "data: {\"choices\":[{\"text\":\"", "{\"usage\":{\""}) {
      const std::string body = start + repeat(std::string_view(text, 1 + std::string_view(text + 1).size()), bytes);
      for (const BodyForm form : {BodyForm::event_stream, BodyForm::json}) {
        const std::clock_t began = std::clock();
        const Seen whole = peek(form, body);
        EXPECT_LT((std::clock() - began) / CLOCKS_PER_SEC, 2) << start << text;
        EXPECT_EQ(whole.usage, Usage{}) << start << text;
      }
    }
  }
}

TEST(ResponsePeek, RandomBytesGiveTheSameHoweverTheyAreCut) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  constexpr std::string_view parts[] = {"data:",    " ",           "\n",
                                        "\r",       "\r\n",        "\n\n",
                                        "{",        "}",           "[",
                                        "]",        "\"",          "\\",
                                        ":",        ",",           "\"choices\"",
                                        "\"text\"", "\"usage\"",   "\"prompt_tokens\"",
                                        "7",        "\"x\"",       "data: {\"choices\":[{\"text\":\"",
                                        "[DONE]",   "\"error\":{", "null"};
  for (int round = 0; round < 5000; ++round) {
    std::string body;
    for (auto left = random() % 40; left > 0; --left) body += parts[random() % std::size(parts)];
    for (const BodyForm form : {BodyForm::event_stream, BodyForm::json}) {
      const Seen expected = peek(form, body);
      ASSERT_EQ(peek_in_pieces(form, body, [] { return 1; }), expected) << body;
      ASSERT_EQ(peek_in_pieces(form, body, [&] { return random() % 7; }), expected) << body;
    }
  }
}

TEST(BodyForm, IsToldByTheContentTypeUnlessTheBodyIsCompressed) {
  EXPECT_EQ(body_form("text/event-stream; charset=utf-8", ""), BodyForm::event_stream);
  EXPECT_EQ(body_form("Text/Event-Stream", "identity"), BodyForm::event_stream);
  EXPECT_EQ(body_form("application/json ;charset=utf-8", ""), BodyForm::json);
  EXPECT_EQ(body_form("application/json", "gzip"), BodyForm::opaque);
  EXPECT_EQ(body_form("application/jsonl", ""), BodyForm::opaque);
  EXPECT_EQ(body_form("", ""), BodyForm::opaque);
}

std::string request(std::string_view body, std::size_t piece = std::string_view::npos) {
  RequestPeek peek(BodyForm::json);
  for (; !body.empty(); body.remove_prefix(std::min(piece, body.size()))) peek.feed(body.substr(0, piece));
  return std::string(peek.model()) +
         (!peek.stream()   ? " ?"
          : *peek.stream() ? " stream"
                           : " whole") +
         (peek.is_finished() ? "." : "");
}

TEST(RequestPeek, FindsModelAndStreamOfTheOutermostObject) {
  const std::pair<std::string, const char*> cases[] = {
      {R"({"model":"org/m","messages":[{"role":"user","content":"\"model\":\"x\""}],"stream":true})", "org/m stream."},
      {R"({"messages":[{"model":"x","stream":true}],"stream":false,"model":"m"})", "m whole."},
      {R"({"model":"m"})", "m ?."},
      {R"({"model":"m","stream":null})", "m ?."},
      {R"({"model":7,"stream":"true"})", " ?."},
      {R"({"model":"a","model":"b","stream":true})", "a stream."},
      {R"({"model":"m","stream":true)", "m ?"},
      {R"({"model":"m","stream":true,)", "m stream."},
      {"", " ?"},
      {"not json at all", " ?."},
  };
  for (const auto& [body, found] : cases) {
    EXPECT_EQ(request(body), found) << body;
    for (const std::size_t piece : std::initializer_list<std::size_t>{1, 2, 3, 7})
      EXPECT_EQ(request(body, piece), found) << body;
  }
  RequestPeek opaque(BodyForm::opaque);
  opaque.feed(R"({"model":"m"})");
  EXPECT_TRUE(opaque.is_finished());
  EXPECT_EQ(opaque.model(), "");
}

TEST(RequestPeek, LooksAtABoundedNumberOfBytes) {
  const std::string before = R"({"prompt":")";
  const std::string after = R"(","stream":true,"model":"m"})";
  const std::size_t room = RequestPeek::bytes_max - before.size() - after.size();
  const auto padded = [&](std::size_t padding) {
    std::string body = before;
    body.append(padding, 'x').append(after);
    return body;
  };
  for (const std::size_t piece : {std::size_t{1000}, std::string_view::npos}) {
    EXPECT_EQ(request(padded(room), piece), "m stream.");
    EXPECT_EQ(request(padded(room + 2), piece), " stream.");
    EXPECT_EQ(request(padded(room + 100), piece), " ?.");
  }
}

}  // namespace
}  // namespace gputach::relay
