// Every file of the corpus, and pieces and mixtures of them, against the properties: what libFuzzer has found once
// stays found where there is no libFuzzer. GPUTACH_TEST_SEED=N repeats a run of the mixtures.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <vector>

#include "fuzz/target.h"

namespace gputach::fuzz {
namespace {

constexpr int mixtures = 3000;

struct Input {
  std::string name;
  std::string bytes;
};

std::vector<Input> corpus(const Target& target) {
  std::vector<Input> inputs;
  const std::filesystem::path folder = std::filesystem::path(GPUTACH_FUZZ_CORPUS) / target.name;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    std::ifstream file(entry.path(), std::ios::binary);
    inputs.push_back({entry.path().filename(), {std::istreambuf_iterator<char>(file), {}}});
  }
  std::ranges::sort(inputs, {}, &Input::name);
  return inputs;
}

unsigned seed() {
  const char* const given = std::getenv("GPUTACH_TEST_SEED");
  return given != nullptr ? static_cast<unsigned>(std::stoul(given)) : std::random_device{}();
}

class Corpus : public testing::TestWithParam<Target> {};

TEST_P(Corpus, KeepsTheProperties) {
  const std::vector<Input> inputs = corpus(GetParam());
  ASSERT_GE(inputs.size(), 5U);
  for (const Input& input : inputs) EXPECT_EQ(GetParam().check(input.bytes), "") << input.name;
}

TEST_P(Corpus, KeepsThePropertiesWhenMixedAndDamaged) {
  const unsigned random_seed = seed();
  SCOPED_TRACE("GPUTACH_TEST_SEED=" + std::to_string(random_seed));
  std::mt19937 random(random_seed);
  const auto below = [&](std::size_t bound) { return bound == 0 ? 0 : random() % bound; };
  const std::vector<Input> inputs = corpus(GetParam());
  for (int i = 0; i < mixtures; ++i) {
    const std::string& left = inputs[below(inputs.size())].bytes;
    const std::string& right = inputs[below(inputs.size())].bytes;
    std::string bytes = left.substr(0, below(left.size() + 1)) + right.substr(below(right.size() + 1));
    if (!bytes.empty() && below(2) == 0) bytes[below(bytes.size())] = static_cast<char>(random());
    ASSERT_EQ(GetParam().check(bytes), "") << testing::PrintToString(bytes);
  }
}

INSTANTIATE_TEST_SUITE_P(Fuzz, Corpus, testing::ValuesIn(targets().begin(), targets().end()),
                         [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace gputach::fuzz
