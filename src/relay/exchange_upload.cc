// The half of an exchange that carries the request to the engine, and then watches whether anybody still waits.
#include <algorithm>
#include <tuple>
#include <utility>

#include "base/at_exit.h"
#include "relay/exchange.h"

namespace gputach::relay {
namespace {

namespace asio = net::asio;

constexpr std::size_t busy_bytes = 16 * 1024;  // read at a time from a client that has much to send

}  // namespace

struct Exchange::KeepResume {
  Exchange* exchange;
  template <class Resume>
  void operator()(Resume&& resume) const {
    exchange->upload_joined_.emplace(std::forward<Resume>(resume));
  }
};

// Most requests are here as a whole and fit into the kernel's buffer: no coroutine is needed for them.
void Exchange::start_upload() {
  if (answering_ != Answering::upgrade && (send_at_once() || lent_.link->broken())) return;
  spawn_upload();
}

// False: something is left, of the head, the body, or both.
bool Exchange::send_at_once() {
  if (body_.framing == http::Framing::chunked || lent_.link->is_tls()) return false;
  std::string unused;
  const std::string_view piece = next_body_piece(unused);
  const std::size_t sent = lent_.link->write_some(head_text_, piece);
  const std::size_t of_head = std::min(sent, head_text_.size());
  const std::size_t of_body = sent - of_head;
  sent_any_ = sent_any_ || sent > 0;
  head_text_.erase(0, of_head);
  meter_.request_body(piece.substr(0, of_body));
  if (of_body > 0) took(of_body);
  if (sent_any_ && lent_.link->broken()) lent_.link->shut_down_sending();  // as in send_upstream
  request_sent_ = head_text_.empty() && body_done_;
  return request_sent_;
}

bool Exchange::watch() {
  if (uploaded_ || finished_ || client_gone_) return true;
  const bool ripe = std::exchange(ripe_, true);
  if (ripe && request_sent_ && lent_.link) spawn_upload();
  return uploaded_;
}

void Exchange::spawn_upload() {
  uploading_ = true;
  uploaded_ = true;
  AtExit not_started([this] { uploading_ = false; });
  asio::co_spawn(client_.link.socket().get_executor(), upload(), [this](const std::exception_ptr& failure) {
    uploading_ = false;
    if (failure != nullptr) client_gone();
    if (!upload_joined_) return;
    asio::post(client_.link.socket().get_executor(), *std::move(upload_joined_));
    upload_joined_.reset();
  });
  not_started.disarm();
}

net::Awaitable<> Exchange::join_upload(http::CoroutineTurn& turn) {
  if (!uploading_) co_return;
  const KeepResume keep_resume{this};
  const net::UseAwaitable token;
  turn.rest();
  co_await asio::async_initiate<const net::UseAwaitable, void()>(keep_resume, token);
  turn.wake();
}

net::Awaitable<> Exchange::upload() {
  http::CoroutineTurn turn(client_.watch);
  if (co_await upload_body(turn)) co_await watch_client(turn);
}

net::Awaitable<bool> Exchange::upload_body(http::CoroutineTurn& turn) {
  std::string out = may_retry_ ? head_text_ : std::exchange(head_text_, {});  // kept for another try
  for (;;) {
    const std::string_view piece = next_body_piece(out);
    if (fault_) {
      lent_.link->close();
      co_return false;
    }
    if ((!out.empty() || !piece.empty()) && !co_await send_upstream(turn, out, piece)) co_return false;
    out.clear();
    meter_.request_body(piece);
    took(piece.size());
    if (body_done_) {
      request_sent_ = true;
      co_return true;
    }
    client_silent_since_ = client_.watch.now();
    const bool more = co_await read_client(turn);
    client_silent_since_.reset();
    if (more) continue;
    if (!finished_ && !fault_) client_gone();
    co_return false;
  }
}

// What of the client's input belongs to the body; chunks are put together into one, in `out`.
std::string_view Exchange::next_body_piece(std::string& out) {
  if (body_done_) return {};
  if (body_.framing == http::Framing::length) {
    const std::size_t size = static_cast<std::size_t>(std::min<std::uint64_t>(body_left_, client_.input.view().size()));
    return client_.input.view().substr(0, size);  // it is taken when it has been sent
  }
  const ChunkedBatch batch = take_chunks(body_reader_, client_.input.view(), true, out);
  meter_.request_body(data_of(batch, true, out));
  client_.input.consume(batch.consumed);
  if (batch.consumed > 0) awaits_continue_ = false;
  body_done_ = batch.state == ChunkedBatch::State::done;
  if (batch.state == ChunkedBatch::State::bad) {
    fault_ = GatewayFault::request_malformed;
    detail_ = "the chunked body is malformed";
  }
  return {};
}

void Exchange::took(std::size_t size) {
  client_.input.consume(size);
  if (size > 0) awaits_continue_ = false;
  if (body_.framing != http::Framing::length) return;
  body_left_ -= size;
  body_done_ = body_left_ == 0;
}

net::Awaitable<bool> Exchange::send_upstream(http::CoroutineTurn& turn, std::string_view first,
                                             std::string_view second) {
  for (;;) {
    const std::size_t sent = lent_.link->write_some(first, second);
    sent_any_ = sent_any_ || sent > 0;
    if (sent == first.size() + second.size()) co_return true;
    if (lent_.link->broken()) {
      lent_.link->shut_down_sending();  // so that the engine does not wait for the rest, nor we for its answer to it
      co_return false;
    }
    const std::size_t of_first = std::min(sent, first.size());
    first.remove_prefix(of_first);
    second.remove_prefix(sent - of_first);
    turn.rest();
    const bool writable = co_await lent_.link->wait(lent_.link->write_wants());
    turn.wake();
    if (!writable || finished_ || client_gone_ || lent_.link == nullptr) co_return false;
  }
}

net::Awaitable<bool> Exchange::read_client(http::CoroutineTurn& turn) {
  client_.input.set_bytes_max(window_bytes_max);
  const std::span<char> space = client_.input.prepare();
  if (space.empty()) co_return false;
  std::size_t size = 0;
  reading_client_ = true;
  if (client_.link.is_tls()) {
    size = co_await client_.link.read(space, turn);
  } else {
    const asio::mutable_buffer buffer(space.data(), space.size());
    turn.rest();
    const auto received = co_await client_.link.socket().async_read_some(buffer, net::use_tuple);
    turn.wake();
    size = std::get<1>(received);
  }
  reading_client_ = false;
  if (size == 0) co_return false;
  client_.input.commit(size);
  if (size == space.size()) client_.input.set_idle_bytes(busy_bytes);
  co_return true;
}

// Nothing is expected but the end, or the next request. A client that has ended its side counts as gone, as nginx has
// it: nobody can tell a half-closed connection from a closed one, and an engine must not generate into a dead pipe.
net::Awaitable<> Exchange::watch_client(http::CoroutineTurn& turn) {
  while (!finished_) {
    const bool is_tunnel = from_engine_ == BodyFraming::tunnel;
    if (is_tunnel && !client_.input.empty()) {
      const std::string_view piece = client_.input.view();
      if (!co_await send_upstream(turn, {}, piece)) co_return;
      client_.input.consume(piece.size());
    }
    if (client_.input.view().size() == window_bytes_max) co_return;  // pipelined that much: its end shows at a write
    if (co_await read_client(turn)) continue;
    if (finished_) co_return;
    if (from_engine_ == BodyFraming::tunnel && !client_gone_) {
      lent_.link->shut_down_sending();  // the engine may still have something to say
      co_return;
    }
    client_gone();
    client_.link.cancel();
    co_return;
  }
}

}  // namespace gputach::relay
