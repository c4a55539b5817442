#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <limits>

#include "poller_modes.h"

namespace gputach::load {
namespace {

std::vector<Connection> connect_many(const Arguments& arguments) {
  const auto port = static_cast<std::uint16_t>(arguments.count("--port", 0));
  std::vector<Connection> connections;
  const std::size_t count = arguments.count("--connections", 1);
  connections.reserve(count);
  for (std::size_t i = 0; i < count; ++i) connections.push_back(connect_to(port));
  return connections;
}

class ClosedLoop {
 public:
  explicit ClosedLoop(const Arguments& arguments)
      : connections_(connect_many(arguments)),
        sent_at_(connections_.size()),
        depth_(arguments.count("--depth", 1)),
        requests_max_(arguments.count("--requests", std::numeric_limits<std::size_t>::max())),
        length_(static_cast<Nanoseconds>(1e9 * arguments.number("--seconds", 600))) {
    const std::string request = request_for(arguments);
    for (std::size_t i = 0; i < depth_; ++i) requests_ += request;
    request_bytes_ = request.size();
  }

  void run() {
    const Fd epoll = watch(connections_);
    start_ = now();
    for (std::size_t i = 0; i < connections_.size(); ++i) ask(i, depth_);
    std::array<epoll_event, 64> events;
    while (answered_ < sent_) {
      const int ready = ::epoll_wait(epoll.get(), events.data(), static_cast<int>(events.size()), 0);
      for (int i = 0; i < ready; ++i) take(events[static_cast<std::size_t>(i)].data.u64);
    }
    end_ = now();
  }

  void print() {
    std::uint64_t refused = 0;
    for (const Connection& connection : connections_) refused += connection.answers.refused();
    const Percentiles latency(std::move(latencies_));
    const double seconds = static_cast<double>(end_ - start_) / 1e9;
    std::printf(R"({"mode":"closed","connections":%zu,"depth":%zu,"requests":%zu,"refused":%llu,"seconds":%.3f,)"
                R"("requests_per_s":%.0f,"p50_us":%.1f,"p90_us":%.1f,"p99_us":%.1f})"
                "\n",
                connections_.size(), depth_, answered_, static_cast<unsigned long long>(refused), seconds,
                static_cast<double>(answered_) / seconds, latency.microseconds(0.5), latency.microseconds(0.9),
                latency.microseconds(0.99));
  }

 private:
  void ask(std::size_t index, std::size_t wanted) {
    const std::size_t count = std::min(wanted, requests_max_ - sent_);
    if (count == 0) return;
    sent_at_[index] = now();
    connections_[index].send(std::string_view(requests_).substr(0, count * request_bytes_));
    sent_ += count;
  }

  void take(std::size_t index) {
    const unsigned ended = connections_[index].receive(buffer_);
    if (ended == 0) return;
    answered_ += ended;
    const Nanoseconds time = now();
    if (depth_ == 1) latencies_.push_back(time - sent_at_[index]);
    if (time < start_ + length_) ask(index, ended);
  }

  std::vector<Connection> connections_;
  std::vector<Nanoseconds> sent_at_;
  std::size_t depth_;
  std::size_t requests_max_;
  Nanoseconds length_;
  std::string requests_;  // `depth_` of them
  std::size_t request_bytes_ = 0;
  std::array<char, 64 * 1024> buffer_;
  Nanoseconds start_ = 0;
  Nanoseconds end_ = 0;
  std::size_t sent_ = 0;
  std::size_t answered_ = 0;
  std::vector<Nanoseconds> latencies_;  // with depth 1: in a pipeline each waits for those before it
};

}  // namespace

void run_closed(const Arguments& arguments) {
  ClosedLoop loop(arguments);
  loop.run();
  loop.print();
}

void run_idle(const Arguments& arguments) {
  std::vector<Connection> connections = connect_many(arguments);
  std::array<char, 64 * 1024> buffer;
  if (arguments.count("--ask", 0) != 0) {
    const std::string request = request_for(arguments);
    for (Connection& connection : connections) {
      connection.send(request);
      while (connection.receive(buffer) == 0) continue;
    }
  }
  std::printf("{\"mode\":\"idle\",\"connections\":%zu}\n", connections.size());
  std::fflush(stdout);
  while (::read(STDIN_FILENO, buffer.data(), buffer.size()) > 0) continue;
  for (Connection& connection : connections) {
    if (connection.receive(buffer) != 0) give_up("an answer that nobody asked for");  // a closed one gives up too
  }
}

}  // namespace gputach::load
