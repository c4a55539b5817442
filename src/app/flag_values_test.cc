#include "app/flag_values.h"

#include <gtest/gtest.h>

namespace gputach {
namespace {

using namespace std::chrono_literals;

TEST(FlagValues, AListHasAtLeastOnePart) {
  using Parts = std::vector<std::string_view>;
  EXPECT_EQ(split_list("a,b"), (Parts{"a", "b"}));
  EXPECT_EQ(split_list(""), Parts{""});
  EXPECT_EQ(split_list(",a,"), (Parts{"", "a", ""}));
}

TEST(FlagValues, ADurationIsANumberAndItsUnit) {
  EXPECT_EQ(parse_duration("250ms", 0s, 60s), 250ms);
  EXPECT_EQ(parse_duration("0.5s", 0s, 60s), 500ms);
  EXPECT_EQ(parse_duration("1m", 0s, 60s), 60s);
  for (const char* bad : {"", "s", "1", "1h", "1 s", "-1s", "nans", "infs", "1e300s", "61s", "2m"})
    EXPECT_FALSE(parse_duration(bad, 0s, 60s)) << bad;
  EXPECT_FALSE(parse_duration("99ms", 100ms, 60s));
  EXPECT_EQ(parse_duration("", 100ms, 3600s).error().context, "a duration with its unit between 100ms and 3600s");
}

TEST(FlagValues, ANumberHasDigitsOnlyAndARange) {
  EXPECT_EQ(parse_number("0", 0, 10), 0U);
  EXPECT_EQ(parse_number("10", 0, 10), 10U);
  for (const char* bad : {"", "11", "-1", "+1", "1.0", " 1", "1 ", "0x1", "18446744073709551616"})
    EXPECT_FALSE(parse_number(bad, 0, 10)) << bad;
  EXPECT_EQ(parse_number("x", 1, 64).error().context, "a number between 1 and 64");
}

TEST(FlagValues, BytesMayHaveAUnit) {
  EXPECT_EQ(parse_bytes("8192", 0, 1 << 20), 8192U);
  EXPECT_EQ(parse_bytes("16KiB", 0, 1 << 20), 16384U);
  EXPECT_EQ(parse_bytes("1MiB", 0, 1 << 20), 1048576U);
  EXPECT_EQ(parse_bytes("0", 0, 1 << 20), 0U);
  for (const char* bad : {"", "KiB", "1KB", "1kib", "1K", "1 KiB", "-1", "1.5KiB", "2MiB", "1048577", "16KiB "})
    EXPECT_FALSE(parse_bytes(bad, 0, 1 << 20)) << bad;
}

TEST(FlagValues, BytesDoNotOverflow) {
  constexpr auto most = UINT64_MAX;
  EXPECT_FALSE(parse_bytes("17592186044416MiB", 0, most)) << "2^64";
  EXPECT_EQ(parse_bytes("17592186044415MiB", 0, most), most - (1 << 20) + 1);
  EXPECT_FALSE(parse_bytes("18446744073709551616", 0, most));
}

TEST(FlagValues, ARangeOfBytesIsWrittenAsAPersonWould) {
  const auto said = [](std::uint64_t min, std::uint64_t max) { return parse_bytes("", min, max).error().context; };
  EXPECT_EQ(said(1024, 1 << 20), "a number of bytes, such as 8192 or 16KiB, between 1KiB and 1MiB");
  EXPECT_EQ(said(0, 1500), "a number of bytes, such as 8192 or 16KiB, between 0 and 1500");
}

}  // namespace
}  // namespace gputach
