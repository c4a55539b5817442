// The half of an exchange that carries the engine's answer to the client.
#include <algorithm>
#include <tuple>

#include "relay/exchange.h"

namespace gputach::relay {

namespace asio = net::asio;

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
  if (shared_.head.status == 100) {
    awaits_continue_ = false;
    if (client_silent_since_) client_silent_since_ = client_.watch.now();  // now it is the client's turn
  }
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
  meter_.answer(head.status, body_form(head.fields), client_.watch.now());
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

}  // namespace gputach::relay
