#include <algorithm>
#include <array>

#include "base/text_buffer.h"
#include "model/catalogue.h"
#include "routes/handlers.h"
#include "routes/site.h"

namespace gputach {
namespace {

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

void put_http(TextBuffer& out, const http::Counters& counters) {
  constexpr std::array<std::string_view, 6> classes = {"", "1xx", "2xx", "3xx", "4xx", "5xx"};
  out << "\"http\":{";
  for (const auto& [key, count] : {std::pair("accepted", &counters.accepted), std::pair("active", &counters.active),
                                   std::pair("refused", &counters.refused), std::pair("requests", &counters.requests),
                                   std::pair("rejected", &counters.rejected)})
    out << '"' << key << "\":" << count->load() << ',';
  out << "\"timeouts\":"
      << counters.head_timeouts + counters.idle_timeouts + counters.body_timeouts + counters.write_timeouts << ',';
  {
    Object responses(out, "responses");
    for (std::size_t digit = 1; digit < classes.size(); ++digit)
      responses.add(classes[digit], counters.responses[digit]);
  }
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
  out << '}';
  return json_response(200, out.take());
}

}  // namespace gputach
