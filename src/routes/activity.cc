#include <algorithm>
#include <array>
#include <span>
#include <tuple>

#include "base/text_buffer.h"
#include "model/catalogue.h"
#include "routes/handlers.h"
#include "routes/histogram.h"
#include "routes/site.h"

namespace gputach {
namespace {

constexpr double ns_per_us = 1000;

// The reasons for which a pass can have nothing to show.
constexpr auto pass_failures = std::to_array<ErrorCode>(
    {ErrorCode::timed_out, ErrorCode::stopped, ErrorCode::not_initialized, ErrorCode::no_gpus, ErrorCode::all_failed});

// An object of numbers. Names are ours and need no escaping.
class Object {
 public:
  Object(TextBuffer& out, std::string_view key) : out_(out) { out_ << '"' << key << "\":{"; }
  ~Object() { out_ << '}'; }
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;

  void add(std::string_view key, std::uint64_t value) {
    out_ << (first_ ? "\"" : ",\"") << key << "\":" << value;
    first_ = false;
  }

 private:
  TextBuffer& out_;
  bool first_ = true;
};

void put_passes(TextBuffer& out, const Counters& counters) {
  out << R"("passes":{"total":)" << counters.passes.load() << ',';
  {
    Object failed(out, "failed");
    for (const ErrorCode code : pass_failures)
      failed.add(to_string(code), counters.passes_failed[static_cast<std::size_t>(code)]);
  }
  out << '}';
}

// What of http::Counters is shown, and where. A new counter is a row.
using Count = http::Counters::Count http::Counters::*;
struct CounterRow {
  std::string_view key;
  Count count;
};

constexpr auto http_rows = std::to_array<CounterRow>({
    {"accepted", &http::Counters::accepted},
    {"active", &http::Counters::active},
    {"refused", &http::Counters::refused},
    {"requests", &http::Counters::requests},
    {"rejected", &http::Counters::rejected},
});

// How often each limit was reached, by the limit's name.
constexpr auto limit_rows = std::to_array<CounterRow>({
    {"connections_max", &http::Counters::refused},
    {"head_bytes_max", &http::Counters::heads_too_large},
    {"body_bytes_max", &http::Counters::bodies_too_large},
    {"requests_per_connection_max", &http::Counters::used_up},
    {"pipelined_before_yield", &http::Counters::yields},
    {"head_timeout", &http::Counters::head_timeouts},
    {"body_timeout", &http::Counters::body_timeouts},
    {"idle_timeout", &http::Counters::idle_timeouts},
    {"write_timeout", &http::Counters::write_timeouts},
});

constexpr auto tls_rows = std::to_array<CounterRow>({
    {"handshakes", &http::Counters::tls_handshakes},
    {"failures", &http::Counters::tls_failures},
    {"reload_failures", &http::Counters::tls_reload_failures},
});

constexpr auto failure_rows = std::to_array<CounterRow>({
    {"accept", &http::Counters::accept_failures},
    {"handler", &http::Counters::handler_failures},
    {"session", &http::Counters::session_failures},
    {"work", &http::Counters::work_failures},
});

void put_rows(TextBuffer& out, std::string_view key, std::span<const CounterRow> rows, const http::Counters& counters) {
  Object object(out, key);
  for (const CounterRow& row : rows) object.add(row.key, counters.*row.count);
}

void put_http(TextBuffer& out, const http::Counters& counters) {
  constexpr std::array<std::string_view, 6> classes = {"", "1xx", "2xx", "3xx", "4xx", "5xx"};
  out << "\"http\":{";
  for (const CounterRow& row : http_rows) out << '"' << row.key << "\":" << (counters.*row.count).load() << ',';
  out << "\"timeouts\":"
      << counters.head_timeouts + counters.idle_timeouts + counters.body_timeouts + counters.write_timeouts << ',';
  {
    Object responses(out, "responses");
    for (std::size_t digit = 1; digit < classes.size(); ++digit)
      responses.add(classes[digit], counters.responses[digit]);
  }
  out << ',';
  put_rows(out, "limits", limit_rows, counters);
  out << ',';
  put_rows(out, "tls", tls_rows, counters);
  out << ',';
  put_rows(out, "failures", failure_rows, counters);
  out << '}';
}

// As Prometheus has them: each bucket counts everything up to its bound, `count` is the bucket without one.
void put_stalls(TextBuffer& out, const http::Stalls& stalls) {
  constexpr auto& bounds = http::Stalls::bounds_us;
  std::array<std::uint64_t, std::tuple_size_v<decltype(http::Stalls::turns)>> turns{};
  std::ranges::transform(stalls.turns, turns.begin(), [](const auto& count) { return count.load(); });
  const double longest_us = static_cast<double>(stalls.longest_ns) / ns_per_us;
  out << R"("loop_stalls":{"unit":"us","buckets":[)";
  std::uint64_t up_to = 0;
  for (std::size_t i = 0; i < bounds.size(); ++i) {
    up_to += turns[i];
    out << (i == 0 ? "{" : ",{") << R"("le":)" << bounds[i] << R"(,"count":)" << up_to << '}';
  }
  out << R"(],"count":)" << up_to + turns.back() << R"(,"total":)";
  out.fixed(static_cast<double>(stalls.total_ns) / ns_per_us, 3);
  out << R"(,"longest":)";
  out.fixed(longest_us, 3);
  out << R"(,"median":)";
  out.fixed(estimate_median(turns, bounds, longest_us), 3);
  out << '}';
}

}  // namespace

http::Response handle_daemon(const Call& call) {
  if (!call.site.settings().activity) return error_response(503, "not known yet");
  const Site::Activity activity = call.site.settings().activity();
  const Counters& counters = activity.counters;
  TextBuffer out;
  out << "{\"uptime_s\":";
  out.fixed(std::chrono::duration<double>(activity.uptime).count(), 3);
  out << ',';
  put_passes(out, counters);
  out << ',';
  {
    Object dropped(out, "out_of_range");
    for (std::size_t row = 0; row < catalogue.size(); ++row)
      dropped.add(catalogue[row].name, counters.out_of_range[row]);
  }
  out << ',';
  {
    Object worker(out, "worker");
    worker.add("started", counters.workers_started);
    worker.add("not_started", counters.workers_not_started);
    worker.add("given_up", counters.workers_given_up);
    worker.add("exited", counters.workers_exited);
  }
  out << ',';
  put_http(out, activity.http);
  out << ',';
  put_stalls(out, activity.http.stalls);
  out << ',';
  {
    Object log(out, "access_log");
    log.add("dropped", activity.access_lines_dropped);
  }
  out << ',';
  {
    Object gzip(out, "gzip");
    gzip.add("pages", call.site.gzip_pages());
  }
  out << '}';
  return json_response(200, out.take());
}

}  // namespace gputach
