#include "sources/nvml/meminfo.h"

#include <gtest/gtest.h>

#include <string>

namespace gputach::nvml {
namespace {

constexpr std::string_view good =
    "MemTotal:       125606412 kB\n"
    "MemFree:         3023104 kB\n"
    "MemAvailable:   100606412 kB\n"
    "Buffers:          912 kB\n";

TEST(Meminfo, UsedIsWhatANewProgramCouldNotHave) {
  const auto memory = parse_meminfo(good);
  ASSERT_TRUE(memory);
  EXPECT_EQ(memory->total, 125606412ULL * 1024);
  EXPECT_EQ(memory->used, 25000000ULL * 1024);
}

TEST(Meminfo, AFileThatEndsAnywhereGivesTheSameFiguresOrNone) {
  const auto whole = parse_meminfo(good);
  for (std::size_t length = 0; length < good.size(); ++length) {
    const auto memory = parse_meminfo(good.substr(0, length));
    if (memory) {
      EXPECT_EQ(memory, whole) << length;
    }
  }
}

TEST(Meminfo, GarbageGivesNothing) {
  for (const std::string_view text : {
           "",
           "\n\n\n",
           "MemTotal:\nMemAvailable:\n",
           "MemTotal: 5 kB\n",
           "MemAvailable: 5 kB\n",
           "MemTotal: -5 kB\nMemAvailable: 1 kB\n",
           "MemTotal: 5 MB\nMemAvailable: 1 MB\n",
           "MemTotal: 5\nMemAvailable: 1\n",
           "MemTotal: 5 kB\nMemAvailable: 6 kB\n",
           "MemTotal: 99999999999999999999 kB\nMemAvailable: 1 kB\n",
           "MemTotal: 18446744073709551615 kB\nMemAvailable: 1 kB\n",
           "xMemTotal: 5 kB\nxMemAvailable: 1 kB\n",
       }) {
    EXPECT_FALSE(parse_meminfo(text)) << text;
  }
}

TEST(Meminfo, ThisMachineSaysSomethingPlausible) {
  const auto memory = read_meminfo("/proc/meminfo");
  ASSERT_TRUE(memory);
  EXPECT_GT(memory->total, 1ULL << 20);
  EXPECT_LT(memory->used, memory->total);
}

TEST(Meminfo, AFileThatIsNotThereGivesNothing) {
  EXPECT_FALSE(read_meminfo("/nonexistent/meminfo"));
  EXPECT_FALSE(read_meminfo("/proc"));
}

}  // namespace
}  // namespace gputach::nvml
