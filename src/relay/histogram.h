// Purpose: how often a value fell between fixed bounds, and the sum of all values.
// Units: whatever the bounds are in; a bound belongs to the bucket that it ends.
// Owns: its counts; the bounds must outlive it.
// Threads: one writer; read by any: each number is right by itself, not in step with the others.
// Fails: never; sums wrap after 2^64.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <span>

namespace gputach::relay {

// With one writer a load and a store do, without the locked instruction of fetch_add.
class Count {
 public:
  void add(std::uint64_t more) { value_.store(value() + more, std::memory_order_relaxed); }
  void subtract(std::uint64_t less) { value_.store(value() - less, std::memory_order_relaxed); }
  [[nodiscard]] std::uint64_t value() const { return value_.load(std::memory_order_relaxed); }

 private:
  std::atomic<std::uint64_t> value_{0};
};

class Histogram {
 public:
  static constexpr std::size_t bounds_max = 24;

  explicit Histogram(std::span<const std::uint64_t> bounds) : bounds_(bounds) {
    assert(bounds.size() <= bounds_max && std::ranges::is_sorted(bounds));
  }

  void record(std::uint64_t value, std::uint64_t times = 1) {
    const auto bound = std::ranges::lower_bound(bounds_, value);
    buckets_[static_cast<std::size_t>(bound - bounds_.begin())].add(times);
    sum_.add(value * times);
  }

  [[nodiscard]] std::span<const std::uint64_t> bounds() const { return bounds_; }
  // One per bound, not added up, and one for what is over the last.
  [[nodiscard]] std::span<const Count> buckets() const { return std::span(buckets_).first(bounds_.size() + 1); }
  [[nodiscard]] std::uint64_t sum() const { return sum_.value(); }
  [[nodiscard]] std::uint64_t count() const {
    std::uint64_t all = 0;
    for (const Count& bucket : buckets()) all += bucket.value();
    return all;
  }

 private:
  std::span<const std::uint64_t> bounds_;
  std::array<Count, bounds_max + 1> buckets_{};
  Count sum_;
};

}  // namespace gputach::relay
