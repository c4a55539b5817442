#include "publish/gzip.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <random>

#include "encode/stats_json.h"

namespace gputach {
namespace {

// By zlib's other half, with its own idea of the window; fails on anything after the end of the stream.
std::string decoded(std::string_view bytes) {
  z_stream state{};
  EXPECT_EQ(inflateInit2(&state, 15 + 16), Z_OK);
  std::string out(4u << 20, '\0');
  state.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
  state.avail_in = static_cast<uInt>(bytes.size());
  state.next_out = reinterpret_cast<Bytef*>(out.data());
  state.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(inflate(&state, Z_FINISH), Z_STREAM_END);
  EXPECT_EQ(state.avail_in, 0u);
  out.resize(state.total_out);
  inflateEnd(&state);
  return out;
}

std::string page_of(unsigned gpus, double figure) {
  Sample sample;
  for (unsigned i = 0; i < gpus; ++i) {
    Entity& gpu = sample.entities.emplace_back(Scope::gpu, i);
    gpu.name = "NVIDIA H100 80GB HBM3";
    gpu.uuid = "GPU-3c92a785-bfb0-0c82-af57-58e56d65caf" + std::to_string(i);
    gpu.condition = Status::ok;
    for (Reading& reading : gpu.readings) reading = Reading::of(figure / (i + 1));
  }
  return encode_stats(sample, MissingFields::in_header).body;
}

TEST(Gzip, EveryPageOfOneStreamDecodesToItself) {
  Gzip gzip;
  for (const unsigned gpus : {8u, 1u, 64u, 2u, 8u}) {
    const std::string page = page_of(gpus, 0.37);
    const auto coded = gzip.compress(page);
    ASSERT_TRUE(coded) << gpus;
    EXPECT_EQ(decoded(*coded), page) << gpus;
    EXPECT_LT(coded->size(), gpus < 8 ? page.size() : page.size() / 3) << gpus;
  }
}

TEST(Gzip, WhatCameBeforeDoesNotShowInTheBytes) {
  Gzip used, fresh;
  const std::string page = page_of(8, 0.5);
  (void)used.compress(page_of(64, 0.9));
  (void)used.compress(std::string(300, 'x'));
  EXPECT_EQ(used.compress(page), fresh.compress(page));
}

TEST(Gzip, ASmallPageIsLeftAlone) {
  Gzip gzip;
  EXPECT_FALSE(gzip.compress(""));
  EXPECT_FALSE(gzip.compress(std::string(Gzip::page_bytes_min - 1, 'x')));
  EXPECT_TRUE(gzip.compress(std::string(Gzip::page_bytes_min, 'x')));
}

TEST(Gzip, WhatDoesNotShrinkIsLeftAloneAndTheNextPageIsRight) {
  const auto seed = std::random_device{}();
  std::mt19937 random(seed);
  Gzip gzip;
  for (std::size_t size = Gzip::page_bytes_min; size < 200'000; size *= 3) {
    std::string noise(size, '\0');
    for (char& c : noise) c = static_cast<char>(random());
    EXPECT_FALSE(gzip.compress(noise)) << size << " seed " << seed;
    const std::string page = page_of(4, 0.25);
    const auto coded = gzip.compress(page);
    ASSERT_TRUE(coded);
    EXPECT_EQ(decoded(*coded), page);
  }
}

TEST(Gzip, APageThatIsLargerThanTheWindowDecodesToo) {
  std::string page;
  for (int i = 0; page.size() < 1'000'000; ++i) page += "row " + std::to_string(i * 7919) + "\n";
  Gzip gzip;
  const auto coded = gzip.compress(page);
  ASSERT_TRUE(coded);
  EXPECT_EQ(decoded(*coded), page);
}

}  // namespace
}  // namespace gputach
