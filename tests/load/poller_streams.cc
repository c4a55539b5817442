#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>

#include "engine_event.h"
#include "poller_modes.h"

namespace gputach::load {
namespace {

constexpr double nanoseconds_per_second = 1e9;

// The data of a chunked body, whatever way a proxy has cut it.
class Dechunker {
 public:
  // Calls take(std::string_view) with each piece of data; gives up at anything that is not a chunk.
  template <class Take>
  void feed(std::string_view bytes, const Take& take) {
    while (!bytes.empty()) {
      if (left_ > 0) {
        const std::size_t size = std::min(left_, bytes.size());
        take(bytes.substr(0, size));
        left_ -= size;
        bytes.remove_prefix(size);
        if (left_ == 0) line_ends_ = 1;
        continue;
      }
      const char c = bytes.front();
      bytes.remove_prefix(1);
      if (c != '\n') {
        if (c != '\r') size_line_ += c;
      } else if (line_ends_ > 0) {
        --line_ends_;
      } else {
        begin_chunk();
      }
    }
  }

 private:
  void begin_chunk() {
    const char* const end = size_line_.data() + size_line_.size();
    if (std::from_chars(size_line_.data(), end, left_, 16).ptr != end) give_up("not a chunk: " + size_line_);
    if (left_ == 0) give_up("a stream has ended");
    size_line_.clear();
  }

  std::size_t left_ = 0;
  int line_ends_ = 0;  // that close a chunk
  std::string size_line_;
};

struct Stream {
  Connection connection;
  std::string head;
  bool in_body = false;
  Dechunker chunks;
  std::string event;  // the beginning of one
  std::uint64_t data_bytes = 0;
  std::vector<Nanoseconds> late;
};

class Streams {
 public:
  explicit Streams(const Arguments& arguments)
      : rate_(arguments.count("--rate", 50)),
        length_(static_cast<Nanoseconds>(nanoseconds_per_second * arguments.number("--seconds", 2))),
        warmup_(static_cast<Nanoseconds>(nanoseconds_per_second * arguments.number("--warmup", 0.5))),
        request_(request_for(arguments)) {
    const auto port = static_cast<std::uint16_t>(arguments.count("--port", 0));
    streams_.resize(arguments.count("--connections", 1));
    for (Stream& stream : streams_) stream.connection = connect_to(port);
  }

  void run() {
    const Fd epoll(::epoll_create1(EPOLL_CLOEXEC));
    for (Stream& stream : streams_) {
      epoll_event event{.events = EPOLLIN, .data = {.ptr = &stream}};
      if (::epoll_ctl(epoll.get(), EPOLL_CTL_ADD, stream.connection.socket.get(), &event) != 0) {
        give_up_errno("epoll_ctl");
      }
    }
    for (const Stream& stream : streams_) stream.connection.send(request_);
    start_ = now();
    const Nanoseconds end = start_ + warmup_ + length_;
    std::array<epoll_event, 256> events;
    for (Nanoseconds time = start_; time < end; time = now()) {
      const int ready = ::epoll_wait(epoll.get(), events.data(), static_cast<int>(events.size()),
                                     static_cast<int>((end - time) / 1'000'000 + 1));
      for (int i = 0; i < ready; ++i) take(*static_cast<Stream*>(events[static_cast<std::size_t>(i)].data.ptr));
    }
    seconds_ = static_cast<double>(now() - start_) / nanoseconds_per_second;
  }

  void print() {
    std::uint64_t events = 0;
    std::size_t silent = 0;
    std::vector<Nanoseconds> late;
    std::vector<Nanoseconds> medians;
    std::vector<Nanoseconds> worst;
    for (Stream& stream : streams_) {
      events += stream.data_bytes / event_bytes;
      silent += stream.data_bytes == 0 ? 1 : 0;
      if (stream.late.empty()) continue;
      std::ranges::sort(stream.late);
      late.insert(late.end(), stream.late.begin(), stream.late.end());
      medians.push_back(stream.late[stream.late.size() / 2]);
      worst.push_back(stream.late.back());
    }
    const Percentiles lateness(std::move(late));
    const Percentiles transit(std::move(transit_));
    const Percentiles of_streams(std::move(medians));
    const Percentiles worst_of_streams(std::move(worst));
    std::printf(R"({"mode":"streams","connections":%zu,"silent":%zu,"requests":%llu,"requests_per_s":%.0f,)"
                R"("measured":%zu,"late_p50_us":%.1f,"late_p99_us":%.1f,"late_p999_us":%.1f,"late_max_us":%.1f,)"
                R"("transit_p50_us":%.1f,"transit_p99_us":%.1f,"stream_p50_median_us":%.1f,"stream_p50_worst_us":%.1f,)"
                R"("stream_max_median_us":%.1f})"
                "\n",
                streams_.size(), silent, static_cast<unsigned long long>(events),
                static_cast<double>(events) / seconds_, lateness.size(), lateness.microseconds(0.5),
                lateness.microseconds(0.99), lateness.microseconds(0.999), lateness.microseconds(1),
                transit.microseconds(0.5), transit.microseconds(0.99), of_streams.microseconds(0.5),
                of_streams.microseconds(1), worst_of_streams.microseconds(0.5));
  }

 private:
  void take(Stream& stream) {
    const ssize_t received = ::recv(stream.connection.socket.get(), buffer_.data(), buffer_.size(), 0);
    if (received < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (received < 0) give_up_errno("recv");
    if (received == 0) give_up("the server closed a stream");
    const Nanoseconds time = now();
    std::string_view bytes(buffer_.data(), static_cast<std::size_t>(received));
    if (!stream.in_body) {
      stream.head += bytes;
      const std::size_t end = stream.head.find("\r\n\r\n");
      if (end == std::string::npos) return;
      if (!stream.head.starts_with("HTTP/1.1 200 ")) give_up("no stream: " + stream.head.substr(0, 60));
      stream.in_body = true;
      bytes.remove_prefix(bytes.size() - (stream.head.size() - end - 4));
    }
    stream.chunks.feed(bytes, [&](std::string_view data) { take_data(stream, data, time); });
  }

  void take_data(Stream& stream, std::string_view data, Nanoseconds time) {
    stream.data_bytes += data.size();
    if (rate_ == 0) return;
    while (!data.empty()) {
      const std::size_t size = std::min(event_bytes - stream.event.size(), data.size());
      stream.event += data.substr(0, size);
      data.remove_prefix(size);
      if (stream.event.size() < event_bytes) return;
      if (!stream.event.starts_with(event_begin)) give_up("not an event: " + stream.event);
      const Nanoseconds due = time_in(stream.event, due_at);
      if (due >= start_ + warmup_) {
        stream.late.push_back(time - due);
        transit_.push_back(time - time_in(stream.event, left_at));
      }
      stream.event.clear();
    }
  }

  std::size_t rate_;
  Nanoseconds length_;
  Nanoseconds warmup_;  // its events are counted and not measured
  std::string request_;
  std::vector<Stream> streams_;
  std::array<char, 64 * 1024> buffer_;
  Nanoseconds start_ = 0;
  double seconds_ = 0;
  std::vector<Nanoseconds> transit_;
};

}  // namespace

void run_streams(const Arguments& arguments) {
  Streams streams(arguments);
  streams.run();
  streams.print();
}

}  // namespace gputach::load
