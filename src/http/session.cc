#include "http/session.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <exception>
#include <tuple>
#include <utility>

#include "base/log.h"
#include "http/chunked.h"

namespace gputach::http {
namespace {

namespace asio = net::asio;

constexpr std::size_t body_window_bytes = 1024;           // beside a head of full size
constexpr std::size_t copied_body_bytes_max = 16 * 1024;  // a larger body is sent from its Content, without a copy
constexpr std::size_t gathered_bytes_max = 64 * 1024;     // pipelined answers in one send
constexpr std::size_t linger_bytes_max = 256 * 1024;      // what a client may still send after the last answer

constexpr HeadError no_error{0, {}};
constexpr HeadError timed_out_error{408, "the request took too long to arrive"};
constexpr HeadError body_too_large_error{413, "the request body is too large"};
constexpr HeadError bad_chunks_error{400, "the chunked body is malformed"};

Response error_response(int status, std::string_view sentence, std::string_view extra_fields = {}) {
  return {std::make_shared<const Content>(error_content(status, sentence)), extra_fields, true};
}

}  // namespace

// The callable behind a Respond. Whoever destroys it unused has forgotten a client: 500.
class Session::Responder {
 public:
  explicit Responder(std::shared_ptr<Gate> gate) : gate_(std::move(gate)) {}
  Responder(Responder&&) noexcept = default;
  Responder& operator=(Responder&&) = delete;
  ~Responder() {
    if (gate_ == nullptr || gate_->session == nullptr) return;
    gate_->session->request_dropped();
  }

  void operator()(Response response) {
    assert(gate_ != nullptr && "a request is answered once");
    const std::shared_ptr<Gate> gate = std::exchange(gate_, nullptr);
    if (gate != nullptr && gate->session != nullptr) gate->session->deliver(std::move(response));
  }

 private:
  std::shared_ptr<Gate> gate_;
};

// Starts a wait by keeping what resumes the coroutine. A named type, because g++ 12 destroys a capturing lambda inside
// a co_await expression twice.
struct Session::KeepResume {
  Session* session;
  template <class Resume>
  void operator()(Resume&& resume) const {
    session->resume_.emplace(std::forward<Resume>(resume));
  }
};

Session::Session(SessionShared& shared, net::Socket socket)
    : shared_(shared),
      socket_(std::move(socket)),
      input_(shared.limits.head_bytes_max + body_window_bytes),
      since_(shared.clock.now()),
      gate_(std::make_shared<Gate>(Gate{this})) {}

Session::~Session() {
  gate_->session = nullptr;
}

net::Awaitable<> Session::serve() {
  unsigned answered = 0;  // since the last suspension
  while (!last_) {
    const HeadOutcome outcome = parse_request_head(input_.view(), judged_, shared_.limits.head_bytes_max, shared_.head);
    if (outcome.state == HeadState::rejected) {
      bump(shared_.counters.rejected);
      head_only_ = false;  // not known
      reject(outcome.error);
      break;
    }
    if (outcome.state == HeadState::need_more) {
      judged_ = input_.view().size();
      answered = 0;
      if (input_.empty() && shared_.stopping) break;
      const bool received = co_await read_more(input_.empty() ? Phase::idle : Phase::head);
      if (received) continue;
      if (!timed_out_) co_return;
      head_only_ = false;
      reject(timed_out_error);
      break;
    }
    begin_exchange();
    if (shared_.head.framing != Framing::none && !co_await drain_body()) break;
    call_handler();
    if (!response_ && !co_await late_response()) co_return;
    if (!answer() && !co_await send_rest()) co_return;
    if (++answered == shared_.limits.pipelined_before_yield) {
      answered = 0;
      if (!co_await yield()) co_return;
    }
  }
  co_await send_and_linger();
}

net::Awaitable<> Session::refuse() {
  response_ = error_response(503, "too many connections", "Retry-After: 1\r\n");
  co_await send_and_linger();
}

void Session::begin_exchange() {
  bump(shared_.counters.requests);
  phase_ = Phase::handler;
  head_only_ = shared_.head.request.method == "HEAD";
  last_ = !shared_.head.keep_alive;
}

void Session::call_handler() {
  response_.reset();
  dropped_ = false;
  try {
    shared_.handler(shared_.head.request, Responder(gate_));
  } catch (const std::exception& error) {
    handler_failed(error.what());
  } catch (...) {
    handler_failed("unknown exception");
  }
  input_.consume(shared_.head.size);
  judged_ = 0;
}

void Session::request_dropped() {
  dropped_ = true;
  bump(shared_.counters.handler_failures);
  deliver(error_response(500, "the request was dropped"));
}

void Session::handler_failed(std::string_view what) {
  if (!dropped_) bump(shared_.counters.handler_failures);  // unwinding may have destroyed the Respond
  log_line(LogLevel::error, "handler_failed", {{"what", what}});
  gate_->session = nullptr;  // the handler may have kept its Respond
  response_ = error_response(500, "the request could not be handled");
}

void Session::deliver(Response response) {
  response_ = std::move(response);
  resume();
}

// Posted, not called: the caller may be in the middle of answering a thousand of us.
void Session::resume() {
  if (!resume_) return;
  asio::post(socket_.get_executor(), *std::move(resume_));
  resume_.reset();
}

net::Awaitable<bool> Session::late_response() {
  if (!flush() && !co_await send_rest()) co_return false;
  phase_ = Phase::handler;
  if (!response_) {
    const KeepResume keep_resume{this};
    const net::UseAwaitable token;
    co_await asio::async_initiate<const net::UseAwaitable, void()>(keep_resume, token);
  }
  co_return !aborted_;
}

net::Awaitable<bool> Session::yield() {
  if (!flush() && !co_await send_rest()) co_return false;
  const net::UseAwaitable token;
  co_await asio::post(socket_.get_executor(), token);
  co_return !aborted_;
}

net::Awaitable<bool> Session::read_more(Phase phase) {
  if (!flush() && !co_await send_rest()) co_return false;
  enter(phase);
  const std::span<char> space = input_.prepare();
  if (space.empty()) co_return false;
  const asio::mutable_buffer buffer(space.data(), space.size());
  const auto received = co_await socket_.async_read_some(buffer, net::use_tuple);
  if (std::get<0>(received) || timed_out_ || aborted_) co_return false;
  input_.commit(std::get<1>(received));
  co_return true;
}

// The whole body is here before the handler is called: what follows in the input is then the next request.
net::Awaitable<bool> Session::drain_body() {
  const std::size_t head_size = shared_.head.size;
  const std::size_t bytes_max = shared_.limits.body_drain_bytes_max;
  const bool chunked = shared_.head.framing == Framing::chunked;
  std::uint64_t length_left = chunked ? 0 : shared_.head.content_length;
  ChunkedDecoder decoder;
  std::size_t drained = 0;
  HeadError error = length_left > bytes_max ? body_too_large_error : no_error;
  if (error.status == 0 && shared_.head.expect_continue && input_.view().size() == head_size &&
      (chunked || length_left > 0)) {
    shared_.out += "HTTP/1.1 100 Continue\r\n\r\n";
  }
  while (error.status == 0) {
    const std::string_view body = input_.view().substr(head_size);
    ChunkedDecoder::Step step{};
    if (chunked) {
      step = decoder.feed(body);
    } else {
      step.consumed = static_cast<std::size_t>(std::min<std::uint64_t>(length_left, body.size()));
      length_left -= step.consumed;
      step.state = length_left == 0 ? ChunkedState::done : ChunkedState::need_more;
    }
    input_.cut(head_size, step.consumed);
    drained += step.consumed;
    if (step.state == ChunkedState::bad) {
      error = bad_chunks_error;
    } else if (drained > bytes_max) {
      error = body_too_large_error;
    } else if (step.state == ChunkedState::done) {
      break;
    } else if (!co_await read_more(Phase::body)) {
      if (!timed_out_) co_return false;
      error = timed_out_error;
    }
  }
  if (error.status != 0) {
    if (!timed_out_) bump(shared_.counters.rejected);
    reject(error);
    co_return false;
  }
  // Other connections have used the scratch head meanwhile.
  const HeadOutcome again = parse_request_head(input_.view(), 0, shared_.limits.head_bytes_max, shared_.head);
  assert(again.state == HeadState::complete);
  phase_ = Phase::handler;
  co_return again.state == HeadState::complete;
}

void Session::reject(HeadError error) {
  timed_out_ = false;
  response_ = error_response(error.status, error.sentence);
}

bool Session::answer() {
  if (response_->content == nullptr) response_ = error_response(500, "the answer has no content");
  const Content& content = *response_->content;
  assert(content.status >= 200 && content.status <= 599);
  last_ = last_ || response_->close || shared_.stopping;
  bump(shared_.counters.responses[static_cast<std::size_t>(content.status / 100) % 6]);
  append_response_head(shared_.out, content, response_->extra_fields, shared_.date.line(shared_.clock.wall()),
                       last_ ? AfterResponse::close : AfterResponse::keep_alive);
  std::shared_ptr<const Content> body_by_reference;
  if (!head_only_ && may_have_body(content.status)) {
    if (content.body.size() > copied_body_bytes_max) {
      body_by_reference = response_->content;
    } else {
      shared_.out += content.body;
    }
  }
  response_.reset();
  if (body_by_reference != nullptr || shared_.out.size() > gathered_bytes_max) {
    return send(std::move(body_by_reference));
  }
  return true;
}

bool Session::flush() {
  return send(nullptr);
}

bool Session::send(std::shared_ptr<const Content> body_by_reference) {
  assert(rest_.empty() && rest_body_ == nullptr);
  const std::size_t body_size = body_by_reference == nullptr ? 0 : body_by_reference->body.size();
  if (shared_.out.empty() && body_size == 0) return true;
  const std::array buffers{
      asio::const_buffer(shared_.out.data(), shared_.out.size()),
      asio::const_buffer(body_size == 0 ? nullptr : body_by_reference->body.data(), body_size),
  };
  net::ErrorCode error;
  const std::size_t sent = body_size == 0 ? socket_.write_some(buffers[0], error) : socket_.write_some(buffers, error);
  broken_ = error && error != asio::error::would_block;
  const bool all = sent == shared_.out.size() + body_size;
  if (!all && !broken_) keep_rest(sent, std::move(body_by_reference));
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
  if (broken_) co_return false;
  enter(Phase::write);
  std::size_t rest_at = 0;
  for (;;) {
    const std::string_view head = std::string_view(rest_).substr(rest_at);
    const std::string_view body =
        rest_body_ == nullptr ? std::string_view{} : std::string_view(rest_body_->body).substr(rest_body_at_);
    if (head.empty() && body.empty()) break;
    const std::array buffers{asio::const_buffer(head.data(), head.size()),
                             asio::const_buffer(body.data(), body.size())};
    const auto written = co_await socket_.async_write_some(buffers, net::use_tuple);
    if (std::get<0>(written) || aborted_) co_return false;
    const std::size_t of_head = std::min(std::get<1>(written), head.size());
    rest_at += of_head;
    rest_body_at_ += std::get<1>(written) - of_head;
    since_ = shared_.clock.now();
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
  net::ErrorCode ignored;
  socket_.shutdown(net::Socket::shutdown_send, ignored);
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
    read += socket_.read_some(asio::mutable_buffer(space.data(), space.size()), error);
  }
}

void Session::enter(Phase phase) {
  if (phase_ == phase) return;
  phase_ = phase;
  since_ = shared_.clock.now();
}

void Session::sweep(Instant now) {
  const Limits& limits = shared_.limits;
  Counters& counters = shared_.counters;
  const Duration spent = now - since_;
  switch (phase_) {
    case Phase::handler: return;  // whoever keeps a Respond has a deadline of its own
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
      net::ErrorCode ignored;
      socket_.cancel(ignored);
      return;
  }
}

void Session::stop() {
  if (phase_ == Phase::idle) return close();
  if (phase_ == Phase::linger) {
    net::ErrorCode ignored;
    socket_.cancel(ignored);
  }
}

void Session::abort() {
  aborted_ = true;
  close();
  resume();
}

void Session::close() {
  net::ErrorCode ignored;
  socket_.close(ignored);
}

}  // namespace gputach::http
