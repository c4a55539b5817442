// Purpose: what the proxy sees of the traffic, as counters and histograms with few labels, whatever clients send. One
//          table says which there are; storage, JSON and every other form of the figures follow from it.
// Units: in the names: _total counts since start, _seconds, _bytes; inside, durations are whole microseconds.
// Owns: the figures, and the models' names that serve as labels.
// Threads: written on the io thread, where also set_models and model are called; visit and traffic_json on any thread,
//          each number right by itself.
// Fails: never. A model that the engine did not report, or one too many, counts as "other".
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "relay/gateway_error.h"
#include "relay/histogram.h"
#include "relay/route_class.h"
#include "relay/usage_peek.h"

namespace gputach::relay {

enum class Dimension : unsigned char { none, route, status, model, side, error };

enum class FamilyKind : unsigned char { gauge, counter, histogram };

enum class Family : unsigned char {
  active,
  queued,
  requests,
  duration,
  request_bytes,
  response_bytes,
  first_byte,
  first_token,
  token_gap,
  prompt_tokens,
  completion_tokens,
  aborts,
  stream_errors,
  gateway_errors,
};

inline constexpr std::size_t family_count = 14;

struct FamilyRow {
  Family family;
  std::string_view name;  // without the prefix of a page
  FamilyKind kind;
  std::array<Dimension, 2> by;  // none comes last
  std::span<const std::uint64_t> bounds_us;
  std::string_view help;
};

[[nodiscard]] std::span<const FamilyRow> families();

// Who ended an exchange before it was complete.
enum class Side : unsigned char { client, engine };

struct TrafficLabel {
  std::string_view name;
  std::string_view value;
};

// Is shown the families in the order of the table, each with those of its series that have counted anything; a family
// without labels has always its one series.
class TrafficVisitor {
 public:
  virtual ~TrafficVisitor() = default;
  virtual void begin(const FamilyRow& family) = 0;
  virtual void value(std::span<const TrafficLabel> labels, std::uint64_t value) = 0;
  virtual void histogram(std::span<const TrafficLabel> labels, const Histogram& histogram) = 0;  // in microseconds
  virtual void end(const FamilyRow& family) = 0;
};

class Traffic {
 public:
  static constexpr std::size_t models_max = 16;

  // A place among the labels.
  class Model {
   public:
    [[nodiscard]] bool is_other() const { return index_ == models_max; }

   private:
    friend class Traffic;
    std::size_t index_ = models_max;
  };

  Traffic();

  // The names that the engine has just reported, its own and those of adapters. A name keeps its label as long as the
  // program runs: after models_max different ones there are no more.
  void set_models(std::span<const std::string> names);
  [[nodiscard]] Model model(std::string_view name) const;

  void add_active() { count(Family::active).add(1); }
  void remove_active() { count(Family::active).subtract(1); }
  void add_queued() { count(Family::queued).add(1); }
  void remove_queued() { count(Family::queued).subtract(1); }

  // `status` as sent to the client; 0 when none was.
  void exchange(RouteClass route, int status, Duration duration, std::uint64_t request_bytes,
                std::uint64_t response_bytes);
  void first_byte(RouteClass route, Duration since_request);
  void first_token(Model model, Duration since_request);
  void token_gap(Model model, Duration gap, std::uint64_t times = 1);
  void tokens(Model model, const Usage& usage);
  void abort(Side side) { count(Family::aborts, static_cast<std::size_t>(side)).add(1); }
  void stream_error(Model model) { count(Family::stream_errors, model.index_).add(1); }
  void gateway_error(GatewayFault fault);

  void visit(TrafficVisitor& visitor) const;

 private:
  [[nodiscard]] Count& count(Family family, std::size_t first = 0, std::size_t second = 0);
  [[nodiscard]] Histogram& histogram(Family family, std::size_t first = 0, std::size_t second = 0);
  [[nodiscard]] std::string_view label_value(Dimension dimension, std::size_t index) const;

  std::vector<Count> counts_;
  std::deque<Histogram> histograms_;
  std::array<std::string, models_max> names_;  // those below names_used_ never change
  std::atomic<std::size_t> names_used_{0};
  std::array<bool, models_max> reported_{};  // by the engine, when it was asked last
};

// One object: {"active_requests":1, "requests_total":[{"route":"chat","status":"2xx","value":7}, ...],
// "duration_seconds":{"bounds":[0.001, ...],"series":[{"route":"chat","status":"2xx","count":7,"sum":1.5,
// "buckets":[0, ...]}]}, ...}; buckets are not added up, the last is over all bounds.
[[nodiscard]] std::string traffic_json(const Traffic& traffic);

}  // namespace gputach::relay
