// Purpose: what the load programs share: arguments, clock, connections, the framing of answers, percentiles.
// Units: nanoseconds of CLOCK_MONOTONIC, bytes.
// Owns: a Connection owns its socket.
// Threads: one.
// Fails: by ending the program with one sentence on standard error: half a measurement is none.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"

namespace gputach::load {

using Nanoseconds = std::int64_t;

[[noreturn]] void give_up(std::string_view sentence);
[[noreturn]] void give_up_errno(std::string_view what);

[[nodiscard]] Nanoseconds now();

// "--name value" pairs.
class Arguments {
 public:
  Arguments(int count, char** values) : words_(values, values + count) {}

  [[nodiscard]] std::string_view text(std::string_view name, std::string_view otherwise) const;
  [[nodiscard]] std::string_view needed(std::string_view name) const;
  [[nodiscard]] double number(std::string_view name, double otherwise) const;
  [[nodiscard]] std::size_t count(std::string_view name, std::size_t otherwise) const;

 private:
  std::vector<std::string_view> words_;
};

// Of a head whose lines all end in CRLF; the name in any case, as proxies send it.
[[nodiscard]] std::optional<std::size_t> content_length(std::string_view head);

// Finds where answers end. Knows Content-Length only, as the servers measured here send it.
class Answers {
 public:
  // How many answers ended within these bytes.
  [[nodiscard]] unsigned feed(std::string_view bytes);
  [[nodiscard]] std::uint64_t refused() const { return refused_; }  // status other than 200

 private:
  void begin_body(std::string_view head);

  std::string head_;
  std::size_t body_left_ = 0;
  std::uint64_t refused_ = 0;
};

struct Connection {
  Fd socket;
  Answers answers;

  void send(std::string_view bytes) const;
  // Takes what has arrived, without waiting; how many answers ended with it.
  [[nodiscard]] unsigned receive(std::span<char> buffer);
};

// To 127.0.0.1, non-blocking once connected.
[[nodiscard]] Connection connect_to(std::uint16_t port);
[[nodiscard]] Fd watch(const std::vector<Connection>& connections);  // an epoll descriptor; data.u64 is the index

// GET, or with --body-bytes N a POST of about N bytes of JSON, as a client of an inference engine sends it.
[[nodiscard]] std::string request_for(const Arguments& arguments);

// Of a sample, which is sorted by it.
class Percentiles {
 public:
  explicit Percentiles(std::vector<Nanoseconds> sample);
  [[nodiscard]] double microseconds(double quantile) const;  // 0 of an empty sample
  [[nodiscard]] std::size_t size() const { return sample_.size(); }

 private:
  std::vector<Nanoseconds> sample_;
};

}  // namespace gputach::load
