#include "relay/traffic.h"

#include <algorithm>
#include <cassert>

namespace gputach::relay {
namespace {

using enum Dimension;

// 1-2-5 from a millisecond to half an hour: a queue, a prefill or a generation may take as long.
constexpr auto latency_us = std::to_array<std::uint64_t>({
    1'000,      2'000,       5'000,       10'000,      20'000,        50'000,        100'000,
    200'000,    500'000,     1'000'000,   2'000'000,   5'000'000,     10'000'000,    20'000'000,
    50'000'000, 100'000'000, 200'000'000, 500'000'000, 1'000'000'000, 2'000'000'000,
});

// The bounds of vLLM's vllm:inter_token_latency_seconds, so that the two can be laid over each other, and finer ones
// below them.
constexpr auto gap_us = std::to_array<std::uint64_t>({
    1'000,     2'000,     5'000,      10'000,     25'000,     50'000,     75'000,    100'000,
    150'000,   200'000,   300'000,    400'000,    500'000,    750'000,    1'000'000, 2'500'000,
    5'000'000, 7'500'000, 10'000'000, 20'000'000, 40'000'000, 80'000'000,
});

constexpr FamilyKind gauge = FamilyKind::gauge;
constexpr FamilyKind counter = FamilyKind::counter;
constexpr FamilyKind timing = FamilyKind::histogram;

constexpr std::array<FamilyRow, family_count> rows{{
    {Family::active, "active_requests", gauge, {none, none}, {}, "Requests that are being carried now."},
    {Family::queued, "queued_requests", gauge, {none, none}, {}, "Requests that wait for a connection to the engine."},
    {Family::requests, "requests_total", counter, {route, status}, {}, "Requests that ended, by the status sent."},
    {Family::duration, "duration_seconds", timing, {route, status}, latency_us, "From the head to the end."},
    {Family::request_bytes, "request_body_bytes_total", counter, {route, status}, {}, "Bodies towards the engine."},
    {Family::response_bytes, "response_body_bytes_total", counter, {route, status}, {}, "Bodies towards clients."},
    {Family::first_byte, "first_byte_seconds", timing, {route, none}, latency_us, "Until the answer's head came."},
    {Family::first_token, "first_token_seconds", timing, {model, none}, latency_us, "Until a stream's first content."},
    {Family::token_gap, "token_gap_seconds", timing, {model, none}, gap_us, "Between a stream's events with content."},
    {Family::prompt_tokens, "prompt_tokens_total", counter, {model, none}, {}, "As the answers' usage says."},
    {Family::completion_tokens, "completion_tokens_total", counter, {model, none}, {}, "As the answers' usage says."},
    {Family::aborts, "aborts_total", counter, {side, none}, {}, "Exchanges that one side ended too early."},
    {Family::stream_errors, "stream_errors_total", counter, {model, none}, {}, "Errors told inside a 200 answer."},
    {Family::gateway_errors, "gateway_errors_total", counter, {error, none}, {}, "By the error type of RFC 9209."},
}};

constexpr auto status_names = std::to_array<std::string_view>({"none", "1xx", "2xx", "3xx", "4xx", "5xx"});
constexpr auto side_names = std::to_array<std::string_view>({"client", "engine"});

constexpr std::size_t size_of(Dimension dimension) {
  switch (dimension) {
    case none: return 1;
    case route: return route_class_count;
    case status: return status_names.size();
    case model: return Traffic::models_max + 1;
    case side: return side_names.size();
    case error: return gateway_fault_count;
  }
  return 1;
}

constexpr std::string_view name_of(Dimension dimension) {
  switch (dimension) {
    case route: return "route";
    case status: return "status";
    case model: return "model";
    case side: return "side";
    case error: return "error";
    case none: break;
  }
  return "";
}

constexpr std::size_t series_of(const FamilyRow& row) {
  return size_of(row.by[0]) * size_of(row.by[1]);
}

constexpr bool is_timing(const FamilyRow& row) {
  return row.kind == FamilyKind::histogram;
}

// Where each family's series begin among the counts or the histograms.
constexpr std::array<std::size_t, family_count> make_offsets() {
  std::array<std::size_t, family_count> offsets{};
  std::array<std::size_t, 2> used{};
  for (std::size_t i = 0; i < family_count; ++i) {
    std::size_t& next = used[is_timing(rows[i]) ? 1 : 0];
    offsets[i] = next;
    next += series_of(rows[i]);
  }
  return offsets;
}

constexpr auto offsets = make_offsets();

constexpr bool rows_are_in_order() {
  for (std::size_t i = 0; i < family_count; ++i) {
    if (rows[i].family != static_cast<Family>(i)) return false;
    if (rows[i].bounds_us.size() > Histogram::bounds_max || rows[i].bounds_us.empty() == is_timing(rows[i]))
      return false;
    if (rows[i].by[0] == none && rows[i].by[1] != none) return false;
  }
  return true;
}
static_assert(rows_are_in_order());

std::size_t place(Family family, std::size_t first, std::size_t second) {
  const auto i = static_cast<std::size_t>(family);
  assert(first < size_of(rows[i].by[0]) && second < size_of(rows[i].by[1]));
  return offsets[i] + first * size_of(rows[i].by[1]) + second;
}

std::uint64_t microseconds(Duration duration) {
  return static_cast<std::uint64_t>(std::max<Duration::rep>(0, duration.count()) / 1000);
}

// Faults that share an error type share a label: that of the first of them.
std::size_t error_index(GatewayFault fault) {
  std::size_t i = 0;
  while (describe(static_cast<GatewayFault>(i)).error != describe(fault).error) ++i;
  return i;
}

}  // namespace

std::span<const FamilyRow> families() {
  return rows;
}

Traffic::Traffic() {
  std::size_t counts = 0;
  for (const FamilyRow& row : rows) {
    if (!is_timing(row)) {
      counts += series_of(row);
      continue;
    }
    for (std::size_t i = 0; i < series_of(row); ++i) histograms_.emplace_back(row.bounds_us);
  }
  counts_ = std::vector<Count>(counts);
}

Count& Traffic::count(Family family, std::size_t first, std::size_t second) {
  return counts_[place(family, first, second)];
}

Histogram& Traffic::histogram(Family family, std::size_t first, std::size_t second) {
  return histograms_[place(family, first, second)];
}

void Traffic::set_models(std::span<const std::string> names) {
  reported_.fill(false);
  for (const std::string& name : names) {
    if (name.empty() || name.size() > model_name_bytes_max) continue;
    const std::size_t used = names_used_.load(std::memory_order_relaxed);
    const auto end = names_.begin() + static_cast<std::ptrdiff_t>(used);
    const auto index = static_cast<std::size_t>(std::find(names_.begin(), end, name) - names_.begin());
    if (index == models_max) continue;
    reported_[index] = true;
    if (index < used) continue;
    names_[index] = name;
    names_used_.store(used + 1, std::memory_order_release);
  }
}

Traffic::Model Traffic::model(std::string_view name) const {
  Model found;
  const std::size_t used = names_used_.load(std::memory_order_relaxed);
  for (std::size_t i = 0; i < used; ++i) {
    if (reported_[i] && names_[i] == name) found.index_ = i;
  }
  return found;
}

void Traffic::exchange(RouteClass route_class, int status_code, Duration duration, std::uint64_t request_bytes,
                       std::uint64_t response_bytes) {
  const auto first = static_cast<std::size_t>(route_class);
  const auto digit = static_cast<std::size_t>(std::max(0, status_code) / 100);
  const std::size_t second = digit < status_names.size() ? digit : 0;
  count(Family::requests, first, second).add(1);
  count(Family::request_bytes, first, second).add(request_bytes);
  count(Family::response_bytes, first, second).add(response_bytes);
  histogram(Family::duration, first, second).record(microseconds(duration));
}

void Traffic::first_byte(RouteClass route_class, Duration since_request) {
  histogram(Family::first_byte, static_cast<std::size_t>(route_class)).record(microseconds(since_request));
}

void Traffic::first_token(Model of, Duration since_request) {
  histogram(Family::first_token, of.index_).record(microseconds(since_request));
}

void Traffic::token_gap(Model of, Duration gap, std::uint64_t times) {
  histogram(Family::token_gap, of.index_).record(microseconds(gap), times);
}

void Traffic::tokens(Model of, const Usage& usage) {
  count(Family::prompt_tokens, of.index_).add(usage.prompt_tokens.value_or(0));
  count(Family::completion_tokens, of.index_).add(usage.completion_tokens.value_or(0));
}

void Traffic::gateway_error(GatewayFault fault) {
  count(Family::gateway_errors, error_index(fault)).add(1);
}

std::string_view Traffic::label_value(Dimension dimension, std::size_t index) const {
  switch (dimension) {
    case route: return to_string(static_cast<RouteClass>(index));
    case status: return status_names[index];
    case Dimension::model:
      return index < names_used_.load(std::memory_order_acquire) ? std::string_view(names_[index]) : "other";
    case side: return side_names[index];
    case error: return describe(static_cast<GatewayFault>(index)).error;
    case none: break;
  }
  return "";
}

void Traffic::visit(TrafficVisitor& visitor) const {
  for (const FamilyRow& row : rows) {
    visitor.begin(row);
    const std::size_t second_size = size_of(row.by[1]);
    for (std::size_t i = 0; i < series_of(row); ++i) {
      const std::size_t at = offsets[static_cast<std::size_t>(row.family)] + i;
      const std::uint64_t counted = is_timing(row) ? histograms_[at].count() : counts_[at].value();
      if (counted == 0 && row.by[0] != none) continue;
      const std::array<TrafficLabel, 2> labels{{{name_of(row.by[0]), label_value(row.by[0], i / second_size)},
                                                {name_of(row.by[1]), label_value(row.by[1], i % second_size)}}};
      const auto named = static_cast<std::size_t>(std::ranges::count_if(row.by, [](Dimension d) { return d != none; }));
      if (is_timing(row)) {
        visitor.histogram(std::span(labels).first(named), histograms_[at]);
      } else {
        visitor.value(std::span(labels).first(named), counted);
      }
    }
    visitor.end(row);
  }
}

}  // namespace gputach::relay
