#include "relay/json_peek.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace gputach::relay {
namespace {

constexpr JsonTree tree({{"a", 1}, {"a.b", 2}, {"a.b.c", 3}, {"list.x", 4}, {"list", 5}, {"n", 6}, {"deep.deep", 7}});

class Collector final : public JsonSink {
 public:
  void on_value(unsigned char what, JsonKind kind, std::string_view text) override {
    found += std::to_string(what) + "sn!{["[static_cast<int>(kind)] + std::string(text) + ";";
  }
  std::string found;
};

// In pieces of the sizes that `next_size` gives.
template <class NextSize>
std::string scan_in_pieces(std::string_view json, NextSize next_size) {
  JsonScanner scanner(tree);
  Collector collector;
  while (!json.empty()) {
    const std::size_t size = std::min<std::size_t>(json.size(), next_size());
    // A copy of the right size, so that the address sanitizer sees a read past the end.
    const std::vector<char> piece(json.begin(), json.begin() + static_cast<std::ptrdiff_t>(size));
    scanner.feed({piece.data(), piece.size()}, collector);
    json.remove_prefix(size);
  }
  return collector.found + (scanner.ended() ? "." : "");
}

std::string scan(std::string_view json) {
  return scan_in_pieces(json, [] { return std::string_view::npos; });
}

TEST(JsonScanner, FindsValuesAtTheirPathsOnly) {
  EXPECT_EQ(scan(R"({"n":12,"m":{"n":13},"a":"t"})"), "6n12;1st;.");
  EXPECT_EQ(scan(R"({"b":1,"c":2,"a":{"b":{"c":3,"b":4},"c":5}})"), "1{;2{;3n3;.");
  EXPECT_EQ(scan(R"( { "n" : -1.5e3 , "a" : null,"n":true } )"), "6n-1.5e3;1!null;6!true;.");
  EXPECT_EQ(scan(R"({"a":[{"b":1},[{"b":2}],3]})"), "1[;1{;2n1;1[;1{;2n2;1n3;.");
  EXPECT_EQ(scan(R"({"list":[{"x":"p"},{"y":{"x":"q"}},{"x":"r"}]})"), "5[;5{;4sp;5{;5{;4sr;.");
  EXPECT_EQ(scan(R"({"n":{}, "n":[], "n":""})"), "6{;6[;6s;.");
  EXPECT_EQ(scan(R"([{"n":1},{"n":2}])"), "6n1;6n2;.");
  EXPECT_EQ(scan(R"({"":{"n":1},"a.b":2})"), ".");
  EXPECT_EQ(scan("17 "), ".");
  EXPECT_EQ(scan(R"({"n":1)"), "");
}

TEST(JsonScanner, TextInsideStringsIsNeverStructure) {
  EXPECT_EQ(scan(R"({"t":"\"n\":7,","n":1})"), "6n1;.");
  EXPECT_EQ(scan(R"({"t":"\\","n":1})"), "6n1;.");
  EXPECT_EQ(scan(R"({"t":"\\\"},\"n\":7","n":1})"), "6n1;.");
  EXPECT_EQ(scan(R"({"t":["}]\"",{"u":"]}{\\\\"}],"n":1})"), "6n1;.");
  EXPECT_EQ(scan(R"({"}":{"{":"n"},"\"n":2,"n\\":3,"n":1})"), "6n1;.");
}

TEST(JsonScanner, NamesLoseTheirEscapesAndLongTextsAreCut) {
  EXPECT_EQ(scan(R"({"n":"org\/name \"x\" \\ \u0041"})"),
            "6sorg/name \"x\" \\ \x01"
            "0041;.");
  const std::string longer(JsonScanner::text_bytes_max + 50, 'x');
  EXPECT_EQ(scan("{\"n\":\"" + longer + "\"}"), "6s" + longer.substr(50) + ";.");
  EXPECT_EQ(scan("{\"n\":" + std::string(500, '1') + "}"), "6n" + std::string(JsonScanner::text_bytes_max, '1') + ";.");
  EXPECT_EQ(scan("{\"" + longer + "\":1,\"n\":2}"), "6n2;.");
}

TEST(JsonScanner, DeepNestingIsPassedOver) {
  const std::string in(100'000, '[');
  const std::string out(100'000, ']');
  EXPECT_EQ(scan("{\"t\":" + in + out + ",\"n\":1}"), "6n1;.");
  const std::string found = scan("{\"list\":" + in + out + ",\"n\":1}");
  EXPECT_TRUE(found.ends_with("5[;6n1;.")) << found.size();
  EXPECT_EQ(std::ranges::count(found, '['), static_cast<std::ptrdiff_t>(JsonScanner::depth_max));
}

TEST(JsonScanner, AfterTheEndNothingIsFoundUntilItIsRestarted) {
  JsonScanner scanner(tree);
  Collector collector;
  scanner.feed(R"({"n":1}{"n":2})", collector);
  EXPECT_EQ(collector.found, "6n1;");
  scanner.restart();
  scanner.feed(R"({"n":3,"a":"un)", collector);
  scanner.restart();
  scanner.feed(R"({"a":"x"})", collector);
  EXPECT_EQ(collector.found, "6n1;6n3;1sx;");
}

// Writes random JSON, and beside it what a scanner has to find in it.
class RandomJson {
 public:
  explicit RandomJson(std::mt19937& random) : random_(random) {}

  void object(const std::string& path, unsigned levels) {
    text += '{';
    for (auto members = random_() % 5; members > 0; --members) {
      static constexpr const char* keys[] = {"a", "b", "c", "list", "x", "n", "deep", "other", "a.b", " "};
      const std::string key = keys[random_() % std::size(keys)];
      space();
      text += '"' + key + '"';
      space();
      text += ':';
      value(path.empty() ? key : path + ">" + key, levels);
      space();
      if (members > 1) text += ',';
    }
    text += '}';
  }

  std::string text;
  std::string found;

 private:
  // The table once more, as plainly as possible; with a separator that is in no key.
  static int what(const std::string& path) {
    static constexpr const char* paths[] = {"a", "a>b", "a>b>c", "list>x", "list", "n", "deep>deep"};
    for (int i = 0; i < 7; ++i)
      if (path == paths[i]) return i + 1;
    return 0;
  }
  void space() { text += std::string(random_() % 2, " \n\t\r"[random_() % 4]); }
  void note(const std::string& path, char kind, const std::string& value) {
    if (what(path) != 0) found += std::to_string(what(path)) + kind + value + ";";
  }

  void value(const std::string& path, unsigned levels) {
    space();
    switch (levels == 0 ? random_() % 3 : random_() % 5) {
      case 0: string(path); break;
      case 1: {
        const std::string number = std::to_string(random_() % 100000);
        text += number;
        note(path, 'n', number);
        break;
      }
      case 2:
        text += "true";
        note(path, '!', "true");
        break;
      case 3:
        note(path, '{', "");
        object(path, levels - 1);
        break;
      default: {
        note(path, '[', "");
        text += '[';
        for (auto elements = random_() % 4; elements > 0; --elements) {
          value(path, levels - 1);
          if (elements > 1) text += ',';
        }
        text += ']';
      }
    }
  }

  void string(const std::string& path) {
    std::string plain;
    text += '"';
    for (auto size = random_() % 12; size > 0; --size) {
      static constexpr const char* pieces[] = {"x", "{", "}", "[", "]", ":", ",", " ", "\"", "\\", "\"n\":5", "/"};
      const std::string piece = pieces[random_() % std::size(pieces)];
      for (const char c : piece) text += c == '"' || c == '\\' ? std::string("\\") + c : std::string(1, c);
      plain += piece;
    }
    text += '"';
    note(path, 's', plain);
  }

  std::mt19937& random_;
};

TEST(JsonScanner, FindsWhatRandomDocumentsHoldHoweverTheyAreCut) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  std::size_t documents_with_something = 0;
  for (int round = 0; round < 2000; ++round) {
    RandomJson json(random);
    json.object("", 5);
    const std::string expected = json.found + ".";
    if (!json.found.empty()) ++documents_with_something;
    ASSERT_EQ(scan(json.text), expected) << json.text;
    ASSERT_EQ(scan_in_pieces(json.text, [] { return 1; }), expected) << json.text;
    ASSERT_EQ(scan_in_pieces(json.text, [&] { return random() % 9; }), expected) << json.text;
  }
  EXPECT_GT(documents_with_something, 500U);
}

TEST(JsonScanner, RandomBytesGiveTheSameHoweverTheyAreCut) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  constexpr std::string_view alphabet = "{}[]\"\":,\\n1 abt";
  for (int round = 0; round < 5000; ++round) {
    std::string bytes = random() % 2 ? "{\"n\":" : "";
    for (auto size = random() % 60; size > 0; --size) bytes += alphabet[random() % alphabet.size()];
    const std::string expected = scan(bytes);
    ASSERT_EQ(scan_in_pieces(bytes, [] { return 1; }), expected) << bytes;
    ASSERT_EQ(scan_in_pieces(bytes, [&] { return random() % 5; }), expected) << bytes;
  }
}

}  // namespace
}  // namespace gputach::relay
