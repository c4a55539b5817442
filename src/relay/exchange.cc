#include "relay/exchange.h"

#include <exception>
#include <utility>

namespace gputach::relay {
namespace {

// "127.0.0.1:1" and "[::1]:1" without the port; nothing for a Unix socket.
std::string_view address_of(std::string_view peer) {
  const std::size_t colon = peer.rfind(':');
  if (colon == std::string_view::npos) return {};
  const std::string_view host = peer.substr(0, colon);
  return host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
}

}  // namespace

Exchange::Exchange(RelayShared& shared, http::Carrier::Client& client, const http::RequestHead& head)
    : shared_(shared),
      client_(client),
      place_(shared.exchanges, this),
      meter_(shared.traffic, route_class(head.request.path), body_form(head.request.fields), client.watch.now()),
      body_{head.framing, head.content_length},
      body_left_(head.framing == http::Framing::length ? head.content_length : 0),
      client_minor_version_(head.request.minor_version),
      awaits_continue_(client_minor_version_ == 1 && !head.request.field("Expect").empty()),
      body_done_(head.framing == http::Framing::none || (head.framing == http::Framing::length && body_left_ == 0)),
      input_(window_bytes_max) {
  judge(head.request);
  if (!fault_) forward_head(head.request, head.size);
  client.input.consume(head.size);
}

void Exchange::judge(const http::Request& request) {
  if (shared_.draining) fault_ = GatewayFault::draining;
  switch (shared_.rules.judge(request.path)) {
    case PathVerdict::allowed: break;
    case PathVerdict::denied: fault_ = GatewayFault::path_denied; break;
    case PathVerdict::unclear:
      fault_ = GatewayFault::request_malformed;
      detail_ = "the path can be read in more than one way";
      break;
  }
}

void Exchange::forward_head(const http::Request& request, std::size_t head_bytes) {
  const bool upgrade = asks_websocket(request, body_);
  head_text_.reserve(head_bytes + head_bytes_added);
  answering_ = upgrade ? Answering::upgrade : request.method == "HEAD" ? Answering::head : Answering::other;
  const bool safe = request.method == "GET" || request.method == "HEAD" || request.method == "OPTIONS";
  may_retry_ = safe && body_done_;  // of a body some would be gone
  const RequestContext context{.peer = address_of(client_.peer),
                               .scheme = client_.link.is_tls() ? "https" : "http",
                               .upstream_host = shared_.pool.address().authority,
                               .pseudonym = shared_.pseudonym,
                               .request_id = client_.id,
                               .upgrade = upgrade ? UpgradePolicy::websocket : UpgradePolicy::drop,
                               .expect = ExpectPolicy::pass};
  switch (append_forwarded_request(head_text_, request, body_, context)) {
    case RequestOutcome::appended: break;
    case RequestOutcome::loop: fault_ = GatewayFault::loop; break;
    case RequestOutcome::final_recipient:  // RFC 9110 section 7.6.2
      own_word_ = std::make_shared<const http::Content>(
          http::Content{request.method == "OPTIONS" ? 204 : 405, "Allow: OPTIONS\r\n", {}});
      break;
    case RequestOutcome::too_many_nominations:
      fault_ = GatewayFault::request_malformed;
      detail_ = "Connection names too many fields";
      break;
  }
}

Exchange::~Exchange() {
  // Asio has lost run() for want of memory, and the upload would go on with an exchange and a connection that are gone.
  // A process without memory is better replaced.
  if (uploading_) std::terminate();
  client_.input.set_idle_bytes(http::InputBuffer::idle_bytes);
}

net::Awaitable<> Exchange::run() {
  http::CoroutineTurn turn(client_.watch);
  const bool asked = !fault_ && own_word_ == nullptr;
  const bool reached = asked && co_await reach_engine(turn);
  if (reached && co_await read_head(turn)) answer_done_ = co_await pass_answer(turn);
  finished_ = true;
  settle();
  co_await join_upload(turn);
  if (client_.status == 0 && !client_gone_) give_up();
  finish_meter();
}

// A connection that has been used before may end at the very moment it is used again. Where the engine cannot have seen
// a byte, and it would not matter if it had, another one is tried.
net::Awaitable<bool> Exchange::reach_engine(http::CoroutineTurn& turn) {
  for (bool fresh = false;; fresh = true) {
    if (fresh || !shared_.pool.take(lent_)) {
      co_await shared_.pool.acquire(client_.link, turn, fresh, lent_);
    }
    if (lent_.client_left || client_gone_) {
      client_gone();
      co_return false;
    }
    if (lent_.error) {
      fault_ = lent_.error;
      detail_ = lent_.detail;
      co_return false;
    }
    start_upload();
    const bool lost = !sent_any_ && lent_.link->broken();
    if (!lost) {
      if (lent_.link->broken()) lent_.link->shut_down_sending();
      co_return true;
    }
    co_await join_upload(turn);
    const bool again = lent_.reused && may_retry_;
    lent_.link.reset();
    shared_.pool.release(nullptr);
    if (again) continue;
    fault_ = GatewayFault::closed_early;
    co_return false;
  }
}

void Exchange::client_gone() {
  client_gone_ = true;
  if (lent_.link) lent_.link->close();
}

void Exchange::give_up() {
  if (own_word_ == nullptr) {
    const GatewayFault fault = fault_.value_or(GatewayFault::internal);
    own_word_ = std::make_shared<const http::Content>(gateway_error(fault, detail_));
    meter_.gateway_error(fault, own_word_->status);
  }
  client_.content = own_word_;
  client_.after = http::Carrier::After::answer;
  client_.close = !body_done_ || shared_.draining;
}

void Exchange::finish_meter() {
  const Instant now = client_.watch.now();
  if (client_gone_) return meter_.finish(Outcome::client_abort, now);
  if (answer_done_ || client_.after == http::Carrier::After::answer) return meter_.finish(Outcome::complete, now);
  if (fault_) shared_.traffic.gateway_error(*fault_);
  meter_.finish(Outcome::engine_abort, now);
}

// The answer is over, well or not: the engine's connection is given back or ends at once, so that it does not go on
// working for nobody; and nothing is read from the client any more.
void Exchange::settle() {
  if (client_.status != 0) {
    using After = http::Carrier::After;
    const bool whole_request = body_done_ && !client_gone_;
    if (!answer_done_) {
      client_.after = to_client_ == BodyFraming::until_close ? After::reset : After::cut;
    } else {
      client_.after = whole_request && after_ == http::AfterResponse::keep_alive ? After::keep_alive : After::end;
    }
  }
  give_back_link();
  if (uploading_) client_.link.cancel();
}

// A link that is closed stays here: the upload may still hold on to it.
void Exchange::give_back_link() {
  if (!lent_.link || std::exchange(given_back_, true)) return;
  const bool reusable =
      answer_done_ && request_sent_ && engine_keeps_ && input_.empty() && !lent_.link->broken() && !client_gone_;
  if (!reusable) lent_.link->close();
  shared_.pool.release(reusable ? std::move(lent_.link) : nullptr);
}

void Exchange::abort() {
  client_gone();
}

net::Awaitable<> Exchange::abandon() {
  http::CoroutineTurn turn(client_.watch);
  finished_ = true;
  client_gone();
  client_.link.cancel();
  give_back_link();
  co_await join_upload(turn);
  finish_meter();
}

void Exchange::sweep(Instant now) {
  const RelayLimits& limits = shared_.limits;
  const bool clients_turn = client_silent_since_ && !awaits_continue_;
  if (clients_turn && now - *client_silent_since_ >= limits.body_timeout && !fault_) {
    fault_ = GatewayFault::request_timeout;
    client_.link.cancel();
    if (lent_.link) lent_.link->close();
  }
  if (client_full_since_ && now - *client_full_since_ >= client_.limits.write_timeout) {
    client_.stalled = true;
    client_.link.cancel();
  }
  // While its body waits for the engine nobody reads what it sends. A tunnel has two sides, of which one may end.
  const bool unwatched = !reading_client_ && !finished_ && from_engine_ != BodyFraming::tunnel;
  if (unwatched && client_.link.peer_has_left()) {
    client_gone();
    client_.link.cancel();
  }
}

}  // namespace gputach::relay
