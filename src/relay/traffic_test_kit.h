// Purpose: the figures of Traffic as lines that tests compare.
// Units: microseconds for sums.
// Owns: values.
// Threads: any.
#pragma once

#include <span>
#include <string>

#include "relay/traffic.h"

namespace gputach::relay {

// The series that have counted, one a line: name{label=value,...} number, or number/sum in microseconds.
inline std::string series(const Traffic& traffic) {
  class Lines final : public TrafficVisitor {
   public:
    void begin(const FamilyRow& family) override { name_ = family.name; }
    void value(std::span<const TrafficLabel> labels, std::uint64_t value) override {
      if (labels.empty() && value == 0) return;
      put(labels);
      text += std::to_string(value) + "\n";
    }
    void histogram(std::span<const TrafficLabel> labels, const Histogram& histogram) override {
      put(labels);
      text += std::to_string(histogram.count()) + "/" + std::to_string(histogram.sum()) + "\n";
    }
    void end(const FamilyRow&) override {}
    std::string text;

   private:
    void put(std::span<const TrafficLabel> labels) {
      text += name_;
      for (const TrafficLabel& label : labels) text += " " + std::string(label.value);
      text += ": ";
    }
    std::string name_;
  };
  Lines lines;
  traffic.visit(lines);
  return lines.text;
}

}  // namespace gputach::relay
