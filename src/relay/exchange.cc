#include "relay/exchange.h"

#include <algorithm>
#include <array>
#include <exception>
#include <tuple>
#include <utility>

namespace gputach::relay {
namespace {

namespace asio = net::asio;

constexpr std::size_t window_bytes_max = 64 * 1024;  // held of one answer while the client takes it
constexpr std::size_t head_bytes_added = 512;        // what we add to a head, in most cases: it need not grow then

// "127.0.0.1:1" and "[::1]:1" without the port; nothing for a Unix socket.
std::string_view address_of(std::string_view peer) {
  const std::size_t colon = peer.rfind(':');
  if (colon == std::string_view::npos) return {};
  const std::string_view host = peer.substr(0, colon);
  return host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
}

std::string_view value_of(std::span<const http::Field> fields, std::string_view name) {
  const auto found =
      std::ranges::find_if(fields, [name](const http::Field& f) { return http::equal_without_case(f.name, name); });
  return found == fields.end() ? std::string_view{} : found->value;
}

BodyForm form_of(std::span<const http::Field> fields) {
  return body_form(value_of(fields, "Content-Type"), value_of(fields, "Content-Encoding"));
}

}  // namespace

Exchange::Exchange(RelayShared& shared, http::Carrier::Client& client, const http::RequestHead& head)
    : shared_(shared),
      client_(client),
      place_(shared.exchanges, this),
      meter_(shared.traffic, route_class(head.request.path), form_of(head.request.fields), client.watch.now()),
      body_{head.framing, head.content_length},
      body_left_(head.framing == http::Framing::length ? head.content_length : 0),
      client_minor_version_(head.request.minor_version),
      awaits_continue_(!head.request.field("Expect").empty()),
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
      fault_ = *lent_.error;
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

net::Awaitable<bool> Exchange::read_upstream(http::CoroutineTurn& turn) {
  const std::span<char> space = input_.prepare();
  if (space.empty() || !lent_.link) co_return false;
  std::size_t size = 0;
  if (lent_.link->is_tls()) {
    size = co_await lent_.link->read(space, turn);
    engine_ended_ = size == 0 && lent_.link->ended();
  } else {
    const asio::mutable_buffer buffer(space.data(), space.size());
    turn.rest();
    const auto received = co_await lent_.link->socket().async_read_some(buffer, net::use_tuple);
    turn.wake();
    size = std::get<1>(received);
    engine_ended_ = std::get<0>(received) == asio::error::eof;
  }
  if (size == 0 || client_gone_) co_return false;
  input_.commit(size);
  if (size == space.size()) input_.set_idle_bytes(window_bytes_max);  // it has much to say
  co_return true;
}

net::Awaitable<bool> Exchange::read_head(http::CoroutineTurn& turn) {
  for (;;) {
    const UpstreamHeadOutcome outcome =
        parse_upstream_head(input_.view(), judged_, shared_.limits.head_bytes_max, answering_, shared_.head);
    if (outcome.state == http::HeadState::rejected) {
      fault_ = outcome.fault;
      detail_ = outcome.sentence;
      co_return false;
    }
    if (outcome.state == http::HeadState::complete) {
      judged_ = 0;
      if (!shared_.head.is_interim()) co_return true;
      if (!co_await pass_interim(turn)) co_return false;
      continue;
    }
    judged_ = input_.view().size();
    if (co_await read_upstream(turn)) continue;
    if (!fault_) fault_ = GatewayFault::closed_early;
    co_return false;
  }
}

net::Awaitable<bool> Exchange::pass_interim(http::CoroutineTurn& turn) {
  if (shared_.head.status == 100) awaits_continue_ = false;
  std::string out;
  const ResponseContext context{.client_minor_version = client_minor_version_, .pseudonym = shared_.pseudonym};
  const ResponseOutcome outcome = append_forwarded_response(out, shared_.head, context);
  input_.consume(shared_.head.size);
  if (outcome == ResponseOutcome::withheld) co_return true;
  if (outcome == ResponseOutcome::too_many_nominations) {
    fault_ = GatewayFault::response_malformed;
    co_return false;
  }
  const bool sent = co_await send_client(turn, out, {});
  co_return sent;
}

net::Awaitable<bool> Exchange::pass_answer(http::CoroutineTurn& turn) {
  const UpstreamHead& head = shared_.head;
  const bool keep = client_.keep_alive && !client_.stopping && !shared_.draining;
  const ResponseContext context{.client_minor_version = client_minor_version_,
                                .after = keep ? http::AfterResponse::keep_alive : http::AfterResponse::close,
                                .date_line = shared_.date.line(client_.watch.now(), shared_.clock),
                                .request_id = client_.id,
                                .pseudonym = shared_.pseudonym};
  std::string out;
  out.reserve(head.size + head_bytes_added);
  if (append_forwarded_response(out, head, context) != ResponseOutcome::appended) {
    fault_ = GatewayFault::response_malformed;
    co_return false;
  }
  client_.status = head.status;
  meter_.answer(head.status, form_of(head.fields), client_.watch.now());
  from_engine_ = head.framing;
  to_client_ = framing_for_client(head, client_minor_version_);
  after_ = after_forwarding(head, context);
  engine_keeps_ = head.keep_alive;
  answer_left_ = head.framing == BodyFraming::length ? head.content_length.value_or(0) : 0;
  input_.consume(head.size);
  const bool passed = co_await pass_body(turn, out);
  co_return passed;
}

// `out` holds what goes before the next piece: at first the head.
net::Awaitable<bool> Exchange::pass_body(http::CoroutineTurn& turn, std::string& out) {
  for (;;) {
    const std::string_view piece = next_answer_piece(out);
    if (fault_) co_return false;
    client_.body_bytes += piece.size();
    if (!piece.empty()) meter_.response_body(piece, client_.watch.now());
    std::string_view first = out;
    std::string_view second = piece;
    if (!send_now(first, second) && !co_await send_client(turn, first, second)) co_return false;
    out.clear();
    input_.consume(piece.size());
    if (answer_done_) co_return true;
    if (co_await read_upstream(turn)) continue;
    const bool ends_here = from_engine_ == BodyFraming::until_close || from_engine_ == BodyFraming::tunnel;
    // Where a send has failed the reset that it met looks like an end afterwards.
    if (!ends_here || !engine_ended_ || lent_.link->broken()) {
      fault_ = GatewayFault::response_incomplete;
      co_return false;
    }
    answer_done_ = true;
    if (to_client_ != BodyFraming::chunked) co_return true;
    const bool sent = co_await send_client(turn, last_chunk, {});
    co_return sent;
  }
}

// What of input_ belongs to the body. Chunks are put together into one, in `out`; other bytes go as they lie.
std::string_view Exchange::next_answer_piece(std::string& out) {
  switch (from_engine_) {
    case BodyFraming::none: answer_done_ = true; return {};
    case BodyFraming::length: {
      const std::size_t size = static_cast<std::size_t>(std::min<std::uint64_t>(answer_left_, input_.view().size()));
      answer_left_ -= size;
      answer_done_ = answer_left_ == 0;
      return input_.view().substr(0, size);
    }
    case BodyFraming::chunked: {
      const std::size_t before = out.size();
      const bool in_chunks = to_client_ == BodyFraming::chunked;
      const ChunkedBatch batch = take_chunks(answer_reader_, input_.view(), in_chunks, out);
      meter_.response_body(data_of(batch, in_chunks, out), client_.watch.now());
      input_.consume(batch.consumed);
      client_.body_bytes += batch.data_bytes;
      answer_done_ = batch.state == ChunkedBatch::State::done;
      if (batch.state == ChunkedBatch::State::bad) {
        out.resize(before);
        fault_ = GatewayFault::response_coding;
      }
      return {};
    }
    case BodyFraming::until_close:
    case BodyFraming::tunnel:
      if (to_client_ == BodyFraming::chunked && !input_.view().empty()) {
        append_chunk(out, input_.view());
        meter_.response_body(input_.view(), client_.watch.now());
        client_.body_bytes += input_.view().size();
        input_.clear();
        return {};
      }
      return input_.view();
  }
  return {};
}

// What the client takes at once, as nearly always: without a coroutine. False: the rest is left in the two.
bool Exchange::send_now(std::string_view& first, std::string_view& second) {
  if (first.empty() && second.empty()) return true;
  const std::size_t sent = client_.link.write_some(first, second);
  const std::size_t of_first = std::min(sent, first.size());
  first.remove_prefix(of_first);
  second.remove_prefix(sent - of_first);
  return first.empty() && second.empty();
}

net::Awaitable<bool> Exchange::send_client(http::CoroutineTurn& turn, std::string_view first, std::string_view second) {
  for (;;) {
    const std::size_t sent = client_.link.write_some(first, second);
    if (sent == first.size() + second.size()) break;
    if (client_.link.broken() || client_gone_) {
      client_gone();
      co_return false;
    }
    const std::size_t of_first = std::min(sent, first.size());
    first.remove_prefix(of_first);
    second.remove_prefix(sent - of_first);
    if (sent > 0 || !client_full_since_) client_full_since_ = client_.watch.now();
    turn.rest();
    const bool writable = co_await client_.link.wait(client_.link.write_wants());
    turn.wake();
    if (!writable || client_gone_) {
      client_gone();
      co_return false;
    }
  }
  client_full_since_.reset();
  co_return true;
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
  if (awaits_continue_) client_silent_since_.reset();  // it is the engine's turn
  if (client_silent_since_ && now - *client_silent_since_ >= limits.body_timeout && !fault_) {
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
