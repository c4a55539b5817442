// The half of a session that moves bytes: reading, sending, waiting, closing, and what has taken too long.
#include <algorithm>
#include <cassert>
#include <tuple>
#include <utility>

#include "http/session.h"

namespace gputach::http {
namespace {

namespace asio = net::asio;

constexpr std::size_t body_window_bytes = 1024;       // beside a head of full size
constexpr std::size_t linger_bytes_max = 256 * 1024;  // what a client may still send after the last answer

}  // namespace

void Session::wake() {
  shared_.watch.begin();
  awake_ = true;
}

void Session::rest(Phase phase) {
  awake_ = false;
  answered_ = 0;
  shared_.watch.end();
  enter(phase);
}

void Session::enter(Phase phase) {
  if (phase_ == phase) return;
  phase_ = phase;
  since_ = shared_.watch.now();
}

net::Awaitable<bool> Session::wait(TlsState wanted) {
  const auto event = wanted == TlsState::want_read ? net::Socket::wait_read : net::Socket::wait_write;
  rest(phase_);
  const auto waited = co_await link_.socket().async_wait(event, net::use_tuple);
  wake();
  co_return !std::get<0>(waited) && !timed_out_ && !aborted_;
}

net::Awaitable<bool> Session::handshake() {
  phase_ = Phase::handshake;
  for (;;) {
    const TlsState state = link_.tls()->handshake();
    if (state == TlsState::done) break;
    const bool more = state == TlsState::want_read || state == TlsState::want_write;
    if (more && co_await wait(state)) continue;
    bump(shared_.counters.tls_failures);
    co_return false;
  }
  bump(shared_.counters.tls_handshakes);
  co_return true;
}

net::Awaitable<bool> Session::read_more(Phase phase) {
  if (!flush() && !co_await send_rest()) co_return false;
  input_.set_bytes_max(shared_.limits.head_bytes_max + body_window_bytes);
  const std::span<char> space = input_.prepare();
  if (space.empty()) co_return false;
  if (link_.is_tls()) {
    enter(phase);
    const bool received = co_await read_more_tls(space);
    co_return received;
  }
  const asio::mutable_buffer buffer(space.data(), space.size());
  rest(phase);
  const auto received = co_await link_.socket().async_read_some(buffer, net::use_tuple);
  wake();
  if (std::get<0>(received) || timed_out_ || aborted_) co_return false;
  input_.commit(std::get<1>(received));
  co_return true;
}

net::Awaitable<bool> Session::read_more_tls(std::span<char> space) {
  for (;;) {
    const TlsChannel::Moved moved = link_.tls()->read(space);
    if (moved.state == TlsState::done) {
      input_.commit(moved.bytes);
      co_return true;
    }
    const bool more = moved.state == TlsState::want_read || moved.state == TlsState::want_write;
    if (!more || !co_await wait(moved.state)) co_return false;
  }
}

bool Session::flush() {
  return send(nullptr);
}

bool Session::send(std::shared_ptr<const Content> body_by_reference) {
  assert(rest_.empty() && rest_body_ == nullptr);
  const std::string_view body = body_by_reference == nullptr ? std::string_view{} : body_by_reference->body;
  if (shared_.out.empty() && body.empty()) return true;
  const std::size_t sent = link_.write_some(shared_.out, body);
  const bool all = sent == shared_.out.size() + body.size();
  if (!all && !link_.broken()) keep_rest(sent, std::move(body_by_reference));
  shared_.out.clear();
  return all;
}

void Session::keep_rest(std::size_t sent, std::shared_ptr<const Content> body_by_reference) {
  const std::size_t from_out = std::min(sent, shared_.out.size());
  rest_.assign(shared_.out, from_out);
  rest_body_ = std::move(body_by_reference);
  rest_body_at_ = sent - from_out;
}

net::Awaitable<bool> Session::send_rest() {
  if (link_.broken()) co_return false;
  phase_ = Phase::write;
  since_ = shared_.watch.now();
  std::size_t rest_at = 0;
  for (;;) {
    if (!co_await wait(link_.write_wants())) co_return false;
    const std::string_view head = std::string_view(rest_).substr(rest_at);
    const std::string_view body =
        rest_body_ == nullptr ? std::string_view{} : std::string_view(rest_body_->body).substr(rest_body_at_);
    const std::size_t sent = link_.write_some(head, body);
    if (link_.broken()) co_return false;
    if (sent == head.size() + body.size()) break;
    const std::size_t of_head = std::min(sent, head.size());
    rest_at += of_head;
    rest_body_at_ += sent - of_head;
    if (sent > 0) since_ = shared_.watch.now();
  }
  std::string().swap(rest_);  // an idle connection keeps little
  rest_body_.reset();
  co_return true;
}

// Closing with unread input makes the kernel send a reset, which may destroy the answer on its way (RFC 9112 section
// 9.6). So: half-close, read a bounded while until the client closes, and only then close.
net::Awaitable<> Session::send_and_linger() {
  if (response_ && !answer() && !co_await send_rest()) co_return;
  if (!flush() && !co_await send_rest()) co_return;
  link_.shut_down_sending();
  for (std::size_t read = 0; read < linger_bytes_max && !shared_.stopping; read += input_.view().size()) {
    input_.clear();
    if (!co_await read_more(Phase::linger)) break;
  }
  drop_input();
  close();
}

void Session::drop_input() {
  input_.clear();
  const std::span<char> space = input_.prepare();
  net::ErrorCode error;
  std::size_t read = 0;
  while (!error && read < linger_bytes_max) {
    read += link_.socket().read_some(asio::mutable_buffer(space.data(), space.size()), error);
  }
}

void Session::sweep(Instant now) {
  const Limits& limits = shared_.limits;
  Counters& counters = shared_.counters;
  const Duration spent = now - since_;
  switch (phase_) {
    case Phase::handler:  // whoever keeps a Respond has a deadline of its own, and so has a carrier
    case Phase::carried: return;
    case Phase::handshake:
      if (spent >= limits.head_timeout) close();
      return;
    case Phase::idle:
      if (spent < limits.idle_timeout) return;
      bump(counters.idle_timeouts);
      return close();
    case Phase::write:
      if (spent < limits.write_timeout) return;
      bump(counters.write_timeouts);
      return close();
    case Phase::linger:
      if (spent >= limits.linger_timeout) close();
      return;
    case Phase::head:
    case Phase::body:
      if (spent < limits.head_timeout || timed_out_) return;
      bump(phase_ == Phase::head ? counters.head_timeouts : counters.body_timeouts);
      timed_out_ = true;  // the coroutine wakes up and answers 408
      link_.cancel();
      return;
  }
}

void Session::stop() {
  if (phase_ == Phase::idle || phase_ == Phase::handshake) return close();
  if (phase_ == Phase::linger) link_.cancel();
}

void Session::abort() {
  aborted_ = true;
  close();
  resume();
}

void Session::close() {
  if (link_.is_tls() && phase_ == Phase::idle) link_.tls()->shutdown();
  link_.close();
}

}  // namespace gputach::http
