#include "http/exchange_log.h"

#include <algorithm>
#include <array>
#include <random>

namespace gputach::http {
namespace {

constexpr std::size_t id_bytes_max = 128;

bool is_id_char(char c) {
  constexpr std::string_view marks = "-._~:/+=";
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
         marks.find(c) != std::string_view::npos;
}

}  // namespace

bool is_sane_request_id(std::string_view id) {
  return !id.empty() && id.size() <= id_bytes_max && std::ranges::all_of(id, is_id_char);
}

RequestIds::RequestIds() {
  std::random_device random;
  state_ = (std::uint64_t{random()} << 32) | random();
}

// splitmix64 (Steele, Lea, Flood 2014): a bijection of a counter, so no id comes twice.
std::string RequestIds::next() {
  std::uint64_t mixed = state_ += 0x9e3779b97f4a7c15U;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9U;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebU;
  mixed ^= mixed >> 31;
  constexpr std::string_view digits = "0123456789abcdef";
  std::string id(16, '0');
  for (char& digit : id) {
    digit = digits[mixed & 15U];
    mixed >>= 4;
  }
  return id;
}

void ExchangeLog::begin(const Request& request, Instant now) {
  const std::string_view given = request.field("X-Request-Id");
  id_ = is_sane_request_id(given) ? std::string(given) : ids_.next();
  method_ = request.method;
  target_ = request.target;
  began_ = now;
}

void ExchangeLog::begin_rejected(Instant now) {
  id_ = ids_.next();
  method_.clear();
  target_.clear();
  began_ = now;
}

void ExchangeLog::end(int status, std::uint64_t body_bytes, Instant now, Ending ending) const {
  observe_({.id = id_,
            .method = method_,
            .target = target_,
            .peer = peer_,
            .entrance = entrance_,
            .status = status,
            .body_bytes = body_bytes,
            .cut = ending == Ending::cut,
            .took = now - began_});
}

}  // namespace gputach::http
