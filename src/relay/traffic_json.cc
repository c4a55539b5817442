#include <utility>

#include "base/text_buffer.h"
#include "relay/traffic.h"

namespace gputach::relay {
namespace {

class JsonWriter final : public TrafficVisitor {
 public:
  void begin(const FamilyRow& family) override {
    out_ << (first_family_ ? '{' : ',') << '"' << family.name << "\":";
    first_family_ = false;
    first_series_ = true;
    if (is_number(family)) return;
    if (family.kind == FamilyKind::histogram) {
      out_ << "{\"bounds\":[";
      for (bool first = true; const std::uint64_t bound : family.bounds_us) {
        if (!std::exchange(first, false)) out_ << ',';
        seconds(bound);
      }
      out_ << "],\"series\":";
    }
    out_ << '[';
  }

  void value(std::span<const TrafficLabel> labels, std::uint64_t value) override {
    if (labels.empty()) {
      out_ << value;
      return;
    }
    put_labels(labels);
    out_ << "\"value\":" << value << '}';
  }

  void histogram(std::span<const TrafficLabel> labels, const Histogram& histogram) override {
    put_labels(labels);
    out_ << "\"count\":" << histogram.count() << ",\"sum\":";
    seconds(histogram.sum());
    out_ << ",\"buckets\":[";
    for (bool first = true; const Count& bucket : histogram.buckets()) {
      if (!std::exchange(first, false)) out_ << ',';
      out_ << bucket.value();
    }
    out_ << "]}";
  }

  void end(const FamilyRow& family) override {
    if (is_number(family)) return;
    out_ << (family.kind == FamilyKind::histogram ? "]}" : "]");
  }

  std::string take() {
    out_ << '}';
    return out_.take();
  }

 private:
  static bool is_number(const FamilyRow& family) { return family.by[0] == Dimension::none; }

  void put_labels(std::span<const TrafficLabel> labels) {
    out_ << (std::exchange(first_series_, false) ? "{" : ",{");
    for (const TrafficLabel& label : labels) {
      out_ << '"' << label.name << "\":";
      out_.json_string(label.value);
      out_ << ',';
    }
  }

  void seconds(std::uint64_t microseconds) { out_.fixed(static_cast<double>(microseconds) / 1e6, 6); }

  TextBuffer out_{4096};
  bool first_family_ = true;
  bool first_series_ = true;
};

}  // namespace

std::string traffic_json(const Traffic& traffic) {
  JsonWriter writer;
  traffic.visit(writer);
  return writer.take();
}

}  // namespace gputach::relay
