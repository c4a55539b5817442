#include <sys/epoll.h>
#include <sys/prctl.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <deque>
#include <random>

#include "poller_modes.h"

namespace gputach::load {
namespace {

constexpr double nanoseconds_per_second = 1e9;
constexpr Nanoseconds last_answers_within = 2'000'000'000;

class OpenLoop {
 public:
  explicit OpenLoop(const Arguments& arguments)
      : port_(static_cast<std::uint16_t>(arguments.count("--port", 0))),
        period_(static_cast<Nanoseconds>(nanoseconds_per_second / arguments.number("--rate", 10))),
        length_(static_cast<Nanoseconds>(nanoseconds_per_second * arguments.number("--seconds", 2))),
        warmup_(static_cast<Nanoseconds>(nanoseconds_per_second * arguments.number("--warmup", 0.5))),
        seed_(arguments.count("--seed", std::random_device{}())),
        sleeps_(arguments.count("--sleep", 0) != 0),
        request_(request_for(arguments)) {
    const std::size_t count = arguments.count("--connections", 100);
    std::mt19937_64 engine(seed_);
    std::uniform_int_distribution<Nanoseconds> phase(0, period_ - 1);
    for (std::size_t i = 0; i < count; ++i) {
      connections_.push_back(connect_to(port_));
      phases_.push_back(phase(engine));
    }
    // In the order of their phases the connections fall due one after the other, round and round.
    std::ranges::sort(phases_);
    due_.resize(count);
  }

  void run() {
    const Fd epoll = watch(connections_);
    if (sleeps_) ::prctl(PR_SET_TIMERSLACK, 1);
    start_ = now();
    const Nanoseconds end = start_ + warmup_ + length_;
    Nanoseconds time = start_;
    do {
      time = now();
      send_what_is_due(std::min(time, end));
      take_answers(epoll.get(), end);
    } while (time < end || (outstanding_ > 0 && time < end + last_answers_within));
  }

  void print() {
    std::uint64_t refused = 0;
    for (const Connection& connection : connections_) refused += connection.answers.refused();
    const Percentiles latency(std::move(latencies_));
    const Percentiles lag(std::move(lags_));
    std::printf(R"({"mode":"open","seed":%llu,"connections":%zu,"requests":%llu,"measured":%zu,"unanswered":%llu,)"
                R"("refused":%llu,"p50_us":%.1f,"p90_us":%.1f,"p99_us":%.1f,"p999_us":%.1f,"max_us":%.1f,)"
                R"("lag_p50_us":%.1f,"lag_p99_us":%.1f})"
                "\n",
                static_cast<unsigned long long>(seed_), connections_.size(), static_cast<unsigned long long>(sent_),
                latency.size(), static_cast<unsigned long long>(outstanding_), static_cast<unsigned long long>(refused),
                latency.microseconds(0.5), latency.microseconds(0.9), latency.microseconds(0.99),
                latency.microseconds(0.999), latency.microseconds(1), lag.microseconds(0.5), lag.microseconds(0.99));
  }

 private:
  void send_what_is_due(Nanoseconds until) {
    for (;;) {
      const std::size_t index = next_ % connections_.size();
      const Nanoseconds due = next_due();
      if (due >= until) return;
      ++next_;
      ++outstanding_;
      due_[index].push_back(due);
      if (due_[index].size() > 1) continue;  // leaves when the answer before it has come
      send(index);
      // Our own part in the latency: how late this program was.
      if (due >= start_ + warmup_) lags_.push_back(now() - due);
    }
  }

  [[nodiscard]] Nanoseconds next_due() const {
    const std::size_t index = next_ % connections_.size();
    return start_ + phases_[index] + static_cast<Nanoseconds>(next_ / connections_.size()) * period_;
  }

  void send(std::size_t index) {
    connections_[index].send(request_);
    ++sent_;
  }

  void take_answers(int epoll, Nanoseconds end) {
    std::array<epoll_event, 64> events;
    timespec patience{};
    if (sleeps_) {
      const Nanoseconds time = now();
      const Nanoseconds until = time < end ? std::min(next_due(), end) : end + last_answers_within;
      const Nanoseconds wait = std::max<Nanoseconds>(0, until - time);
      patience = {.tv_sec = wait / 1'000'000'000, .tv_nsec = wait % 1'000'000'000};
    }
    const int ready = ::epoll_pwait2(epoll, events.data(), static_cast<int>(events.size()), &patience, nullptr);
    for (int i = 0; i < ready; ++i) {
      const std::size_t index = events[static_cast<std::size_t>(i)].data.u64;
      const unsigned ended = connections_[index].receive(buffer_);
      if (ended == 0) continue;
      if (ended > 1 || due_[index].empty()) give_up("an answer that nobody asked for");
      const Nanoseconds due = due_[index].front();
      if (due >= start_ + warmup_) latencies_.push_back(now() - due);
      due_[index].pop_front();
      --outstanding_;
      if (!due_[index].empty()) send(index);
    }
  }

  std::uint16_t port_;
  Nanoseconds period_;
  Nanoseconds length_;
  Nanoseconds warmup_;  // its requests are sent and not counted
  std::uint64_t seed_;
  bool sleeps_;
  std::string request_;
  std::vector<Connection> connections_;
  std::vector<Nanoseconds> phases_;
  std::vector<std::deque<Nanoseconds>> due_;  // of each connection: requests without an answer so far
  std::array<char, 64 * 1024> buffer_;
  Nanoseconds start_ = 0;
  std::size_t next_ = 0;
  std::uint64_t sent_ = 0;
  std::uint64_t outstanding_ = 0;
  std::vector<Nanoseconds> latencies_;
  std::vector<Nanoseconds> lags_;
};

}  // namespace

void run_open(const Arguments& arguments) {
  OpenLoop loop(arguments);
  loop.run();
  loop.print();
}

}  // namespace gputach::load
