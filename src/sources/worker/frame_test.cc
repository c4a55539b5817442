#include "sources/worker/frame.h"

#include <gtest/gtest.h>

#include <random>

#include "base/limits.h"

namespace gputach {
namespace {

WorkerFrame sample_frame() {
  WorkerFrame frame;
  frame.kind = WorkerFrame::Kind::sample;
  frame.ask_id = 7;
  frame.simulated = true;
  for (unsigned i = 0; i < 3; ++i) {
    Entity gpu(Scope::gpu, i);
    gpu.name = "NVIDIA H100";
    gpu.uuid = "GPU-" + std::to_string(i);
    gpu.condition = i == 1 ? Status::lost : Status::ok;
    gpu.fault = i == 1 ? "GPU is lost" : "";
    gpu.readings[0] = Reading::of(0.5 + i);
    gpu.readings[1] = Reading::missing(Status::unsupported);
    frame.entities.push_back(gpu);
  }
  return frame;
}

std::string_view payload(const std::string& encoded) {
  return std::string_view(encoded).substr(4);
}

TEST(Frame, WhatIsEncodedIsDecodedUnchanged) {
  WorkerFrame refused;
  refused.kind = WorkerFrame::Kind::refused;
  refused.error = {ErrorCode::not_initialized, "NVML not initialized"};
  refused.why = "Driver Not Loaded";
  for (const WorkerFrame& frame : {WorkerFrame{}, sample_frame(), refused}) {
    const auto decoded = decode_frame(payload(encode_frame(frame)));
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(*decoded, frame);
  }
}

TEST(Frame, EveryPrefixAndEverySpareByteIsRefused) {
  const std::string encoded = encode_frame(sample_frame());
  const std::string_view whole = payload(encoded);
  for (std::size_t length = 0; length < whole.size(); ++length)
    EXPECT_FALSE(decode_frame(whole.substr(0, length)).has_value()) << length;
  EXPECT_FALSE(decode_frame(std::string(whole) + '\0').has_value());
}

TEST(Frame, TextsFromTheDriverAreCutAtTheBound) {
  WorkerFrame frame = sample_frame();
  frame.entities[0].name = std::string(70'000, 'x');
  const auto decoded = decode_frame(payload(encode_frame(frame)));
  ASSERT_TRUE(decoded.has_value());
  EXPECT_EQ(decoded->entities[0].name.size(), limits::label_bytes_max);
}

TEST(Frame, RandomDamageNeverReadsOutOfBounds) {
  const unsigned seed = std::random_device{}();
  SCOPED_TRACE(testing::Message() << "seed " << seed);
  std::mt19937 random(seed);
  const std::string encoded = encode_frame(sample_frame());
  unsigned refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string damaged(payload(encoded));
    for (unsigned n = random() % 4 + 1; n > 0; --n) damaged[random() % damaged.size()] = static_cast<char>(random());
    if (!decode_frame(damaged)) ++refused;
  }
  EXPECT_GT(refused, 0u);
}

TEST(FrameBuffer, FramesComeOutWhateverTheCutsAreAndInOrder) {
  WorkerFrame first;
  first.ask_id = 1;
  const std::string stream = encode_frame(first) + encode_frame(sample_frame());
  for (std::size_t step = 1; step <= stream.size(); ++step) {
    FrameBuffer buffer;
    std::vector<std::uint64_t> ids;
    for (std::size_t at = 0; at < stream.size(); at += step) {
      buffer.append(std::string_view(stream).substr(at, step));
      for (auto frame = buffer.next(); frame && *frame; frame = buffer.next()) ids.push_back((*frame)->ask_id);
    }
    ASSERT_EQ(ids, (std::vector<std::uint64_t>{1, 7})) << "step " << step;
  }
}

TEST(FrameBuffer, ALengthBeyondTheBoundIsRefusedBeforeItsBytesArrive) {
  FrameBuffer buffer;
  buffer.append("\xFF\xFF\xFF\x7F");
  EXPECT_FALSE(buffer.next().has_value());
}

}  // namespace
}  // namespace gputach
