#include "base/text_buffer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <limits>
#include <random>

namespace gputach {
namespace {

std::string fixed(double value, int decimals = 3) {
  TextBuffer text;
  text.fixed(value, decimals);
  return text.take();
}

std::string json(std::string_view value) {
  TextBuffer text;
  text.json_string(value);
  return text.take();
}

TEST(TextBuffer, FloatsAlwaysPrintAPointWithOneToThreeDecimals) {
  EXPECT_EQ(fixed(50), "50.0");
  EXPECT_EQ(fixed(0), "0.0");
  EXPECT_EQ(fixed(350.512), "350.512");
  EXPECT_EQ(fixed(350.51), "350.51");
  EXPECT_EQ(fixed(0.001), "0.001");
  EXPECT_EQ(fixed(0.0004), "0.0");
  EXPECT_EQ(fixed(99.9996), "100.0");
  EXPECT_EQ(fixed(0.57 * 100), "57.0");
  EXPECT_EQ(fixed(-0.5), "-0.5");
  EXPECT_EQ(fixed(-0.0001), "0.0");
  EXPECT_EQ(fixed(1e18), "1000000000000000000.0");
}

TEST(TextBuffer, NumbersThatJsonCannotHoldPrintAsNull) {
  EXPECT_EQ(fixed(std::numeric_limits<double>::quiet_NaN()), "null");
  EXPECT_EQ(fixed(std::numeric_limits<double>::infinity()), "null");
  EXPECT_EQ(fixed(-std::numeric_limits<double>::infinity()), "null");
}

TEST(TextBuffer, FixedAgreesWithPrintfOnRandomThousandths) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937_64 random(seed);
  for (int i = 0; i < 20000; ++i) {
    const double value = static_cast<double>(random() % 2'000'000'000) / 1000.0;
    char naive[64];
    std::snprintf(naive, sizeof naive, "%.3f", value);
    std::string expected = naive;
    while (expected.ends_with('0') && expected[expected.size() - 2] != '.') expected.pop_back();
    ASSERT_EQ(fixed(value), expected);
  }
}

TEST(TextBuffer, IntegersPrintTheirWholeRange) {
  TextBuffer text;
  text << std::numeric_limits<std::int64_t>::min() << ' ' << std::numeric_limits<std::uint64_t>::max() << ' ' << 0u;
  EXPECT_EQ(text.view(), "-9223372036854775808 18446744073709551615 0");
}

TEST(TextBuffer, StringsAreEscapedAsRfc8259Demands) {
  EXPECT_EQ(json("NVIDIA H100 PCIe"), "\"NVIDIA H100 PCIe\"");
  EXPECT_EQ(json("a\"b\\c\n\r\t\x01\x7f"), "\"a\\\"b\\\\c\\n\\r\\t\\u0001\\u007f\"");
  EXPECT_EQ(json("\xC2\xB0"
                 "C \xE2\x82\xAC \xF0\x9F\x94\xA5"),
            "\"\xC2\xB0"
            "C \xE2\x82\xAC \xF0\x9F\x94\xA5\"");
}

TEST(TextBuffer, BytesThatAreNotUtf8BecomeTheReplacementCharacter) {
  EXPECT_EQ(json("a\xFF"
                 "b"),
            "\"a\xEF\xBF\xBD"
            "b\"");
  EXPECT_EQ(json("\xC3"), "\"\xEF\xBF\xBD\"");                                  // cut short
  EXPECT_EQ(json("\xED\xA0\x80"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\"");  // a surrogate
  EXPECT_EQ(json("\xC0\xAF"), "\"\xEF\xBF\xBD\xEF\xBF\xBD\"");                  // overlong
}

TEST(TextBuffer, TimesPrintInUtcWithSixDecimals) {
  using namespace std::chrono;
  TextBuffer text;
  text.iso8601(sys_days(2025y / 11 / 9) + 10h + 30min + 45s + 123456789ns);
  text << ' ';
  text.iso8601(sys_days(2024y / 2 / 29) + 0us);
  EXPECT_EQ(text.view(), "2025-11-09T10:30:45.123456Z 2024-02-29T00:00:00.000000Z");
}

}  // namespace
}  // namespace gputach
