#include "http/session.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <exception>
#include <tuple>
#include <utility>

#include "base/log.h"
#include "http/carrier.h"
#include "http/chunked.h"
#include "http/listen_socket.h"

namespace gputach::http {
namespace {

namespace asio = net::asio;

constexpr std::size_t copied_body_bytes_max = 16 * 1024;  // a larger body is sent from its Content, without a copy
constexpr std::size_t gathered_bytes_max = 64 * 1024;     // pipelined answers in one send

constexpr HeadError no_error{0, {}};
constexpr HeadError timed_out_error{408, "the request took too long to arrive"};
constexpr HeadError body_too_large_error{413, "the request body is too large"};
constexpr HeadError bad_chunks_error{400, "the chunked body is malformed"};

Response error_response(int status, std::string_view sentence, std::string_view extra_fields = {}) {
  return {std::make_shared<const Content>(error_content(status, sentence)), extra_fields, true};
}

}  // namespace

// A turn of the io thread that begins here and ends when the coroutine does; waits in between end it for a while.
class Session::Awake {
 public:
  explicit Awake(Session& session) : session_(session) { session_.wake(); }
  ~Awake() {
    if (session_.awake_) session_.rest(session_.phase_);
  }
  Awake(const Awake&) = delete;
  Awake& operator=(const Awake&) = delete;

 private:
  Session& session_;
};

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

Session::Session(SessionShared& shared, Arrival arrival)
    : shared_(shared),
      link_(std::move(arrival.socket), std::move(arrival.tls)),
      input_(shared.limits.head_bytes_max),
      since_(shared.watch.now()),
      entrance_(arrival.entrance),
      gate_(std::make_shared<Gate>(Gate{this})) {
  if (!shared.settings.observe) return;
  log_ = std::make_unique<ExchangeLog>(shared.settings.observe, shared.ids,
                                       peer_address(link_.socket().native_handle()), entrance_);
}

Session::~Session() {
  gate_->session = nullptr;
}

net::Awaitable<> Session::serve() {
  const Awake awake(*this);
  if (link_.is_tls() && !co_await handshake()) co_return;
  while (!last_) {
    const HeadOutcome outcome = parse_request_head(input_.view(), judged_, shared_.limits.head_bytes_max, shared_.head);
    if (outcome.state == HeadState::rejected) {
      reject_head(outcome.error);
      break;
    }
    if (outcome.state == HeadState::need_more) {
      judged_ = input_.view().size();
      if (input_.empty() && shared_.stopping) break;
      const bool received = co_await read_more(input_.empty() ? Phase::idle : Phase::head);
      if (received) continue;
      if (!timed_out_) co_return;
      reject_head(timed_out_error);
      break;
    }
    begin_exchange();
    if (carrier_takes()) {
      if (!co_await carry()) co_return;
      if (!response_) continue;
    } else {
      if (shared_.head.framing != Framing::none && !co_await drain_body()) break;
      call_handler();
      if (!response_ && !co_await late_response()) co_return;
    }
    if (!answer() && !co_await send_rest()) co_return;
    if (++answered_ >= shared_.limits.pipelined_before_yield && !co_await yield()) co_return;
  }
  co_await send_and_linger();
}

net::Awaitable<> Session::refuse() {
  const Awake awake(*this);
  if (link_.is_tls() && !co_await handshake()) co_return;
  if (log_ != nullptr) log_->begin_rejected(shared_.watch.now());
  response_ = error_response(503, "too many connections", "Retry-After: 1\r\n");
  co_await send_and_linger();
}

void Session::begin_exchange() {
  bump(shared_.counters.requests);
  shared_.head.request.entrance = entrance_;
  phase_ = Phase::handler;
  head_only_ = shared_.head.request.method == "HEAD";
  last_ = !shared_.head.keep_alive;
  ++served_;
  if (const auto max = shared_.limits.requests_per_connection_max; max != 0 && served_ >= max && !last_) {
    bump(shared_.counters.used_up);
    last_ = true;
  }
  if (log_ != nullptr) log_->begin(shared_.head.request, shared_.watch.now());
}

bool Session::carrier_takes() const {
  return shared_.settings.carrier != nullptr && shared_.settings.carrier->takes(shared_.head.request);
}

// False: the connection is finished. Else it has been answered, or the last answer waits in response_.
net::Awaitable<bool> Session::carry() {
  if (!flush() && !co_await send_rest()) co_return false;
  if (peer_.empty()) peer_ = peer_address(link_.socket().native_handle());
  response_.reset();
  const std::string id = log_ == nullptr ? std::string() : log_->id();
  Carrier::Client client{link_, input_, shared_.watch, shared_.limits, peer_, id, shared_.stopping, !last_};
  judged_ = 0;
  rest(Phase::carried);
  co_await shared_.settings.carrier->carry(client, shared_.head);
  wake();
  if (client.stalled) bump(shared_.counters.write_timeouts);
  if (client.after == Carrier::After::answer && !aborted_) {
    response_ = Response{std::move(client.content), {}, client.close};
    co_return true;
  }
  if (client.status != 0) bump(shared_.counters.responses[static_cast<std::size_t>(client.status / 100) % 6]);
  last_ = last_ || client.after != Carrier::After::keep_alive;
  const bool broken_off = client.after == Carrier::After::cut || client.after == Carrier::After::reset;
  if (log_ != nullptr) {
    const auto ending = broken_off ? ExchangeLog::Ending::cut : ExchangeLog::Ending::whole;
    log_->end(client.status, client.body_bytes, shared_.clock.now(), ending);
  }
  if (!broken_off && !aborted_) co_return true;
  if (client.after == Carrier::After::reset) {
    link_.reset();
  } else {
    close();
  }
  co_return false;
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
  asio::post(link_.socket().get_executor(), *std::move(resume_));
  resume_.reset();
}

net::Awaitable<bool> Session::late_response() {
  if (!flush() && !co_await send_rest()) co_return false;
  if (!response_) {
    const KeepResume keep_resume{this};
    const net::UseAwaitable token;
    rest(Phase::handler);
    co_await asio::async_initiate<const net::UseAwaitable, void()>(keep_resume, token);
    wake();
  }
  co_return !aborted_;
}

net::Awaitable<bool> Session::yield() {
  if (!flush() && !co_await send_rest()) co_return false;
  bump(shared_.counters.yields);
  const net::UseAwaitable token;
  rest(Phase::handler);
  co_await asio::post(link_.socket().get_executor(), token);
  wake();
  co_return !aborted_;
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
    bump(shared_.counters.responses[1]);
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
    if (error.status == body_too_large_error.status) bump(shared_.counters.bodies_too_large);
    reject(error);
    co_return false;
  }
  // Other connections have used the scratch head meanwhile.
  const HeadOutcome again = parse_request_head(input_.view(), 0, head_size, shared_.head);
  assert(again.state == HeadState::complete);
  phase_ = Phase::handler;
  co_return again.state == HeadState::complete;
}

void Session::reject_head(HeadError error) {
  bump(shared_.counters.rejected);
  if (error.status == 431 || error.status == 414) bump(shared_.counters.heads_too_large);
  if (log_ != nullptr) log_->begin_rejected(shared_.watch.now());
  head_only_ = false;  // not known
  reject(error);
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
  append_response_head(shared_.out, content, response_->extra_fields,
                       shared_.date.line(shared_.watch.now(), shared_.clock),
                       last_ ? AfterResponse::close : AfterResponse::keep_alive);
  if (log_ != nullptr) log_answer(content);
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

// The head is complete in `out`: the id takes its place before the empty line at its end.
void Session::log_answer(const Content& content) {
  shared_.out.insert(shared_.out.size() - 2, log_->id_field());
  const bool has_body = !head_only_ && may_have_body(content.status);
  log_->end(content.status, has_body ? content.body.size() : 0, shared_.clock.now());
}

}  // namespace gputach::http
