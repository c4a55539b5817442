#include "relay/fetch.h"

#include <algorithm>
#include <span>

#include "relay/chunked_reader.h"

namespace gputach::relay {
namespace {

namespace asio = net::asio;

constexpr std::size_t read_bytes = 16 * 1024;

// What has been read, as far as it can be understood. True: it is complete, or never will be.
bool take(RelayShared& shared, std::string_view bytes, bool ended, Fetched& fetched) {
  const UpstreamHeadOutcome outcome =
      parse_upstream_head(bytes, 0, shared.limits.head_bytes_max, Answering::other, shared.head);
  if (outcome.state != http::HeadState::complete) return outcome.state == http::HeadState::rejected;
  const UpstreamHead& head = shared.head;
  const std::string_view rest = bytes.substr(head.size);
  if (head.is_interim()) return take(shared, rest, ended, fetched);
  switch (head.framing) {
    case BodyFraming::none:
    case BodyFraming::tunnel: break;
    case BodyFraming::length:
      if (rest.size() < head.content_length.value_or(0)) return false;
      fetched.body = rest.substr(0, static_cast<std::size_t>(*head.content_length));
      break;
    case BodyFraming::chunked: {
      ChunkedReader reader;
      std::string body;
      const ChunkedBatch batch = take_chunks(reader, rest, false, body);
      if (batch.state != ChunkedBatch::State::done) return batch.state == ChunkedBatch::State::bad;
      fetched.body = std::move(body);
      break;
    }
    case BodyFraming::until_close:
      if (!ended) return false;
      fetched.body = rest;
      break;
  }
  fetched.status = head.status;
  return true;
}

}  // namespace

net::Awaitable<> fetch(RelayShared& shared, net::Executor executor, http::LoopWatch& watch, const std::string& path,
                       Fetched& fetched) {
  http::CoroutineTurn turn(watch);
  Pool::Lent lent;
  co_await shared.pool.connect(turn, lent);
  if (lent.error) co_return;
  http::Link& link = *lent.link;
  net::Timer deadline(executor, fetch_timeout);
  deadline.async_wait([&link](net::ErrorCode error) {
    if (!error) link.close();
  });
  std::string request = "GET ";
  request += path;
  request += " HTTP/1.1\r\nHost: ";
  request += shared.pool.address().authority;
  request += "\r\nUser-Agent: gputach\r\nAccept: application/json\r\nConnection: close\r\n\r\n";
  std::string bytes;
  bool more = link.write_some(request) == request.size();  // a fresh connection takes so little at once
  while (more && bytes.size() < fetched_bytes_max) {
    const std::size_t before = bytes.size();
    bytes.resize(before + read_bytes);
    const std::span<char> space(bytes.data() + before, read_bytes);
    const std::size_t received = co_await link.read(space, turn);
    bytes.resize(before + received);
    const bool ended = received == 0 && link.ended();
    more = !take(shared, bytes, ended, fetched) && received > 0;
  }
  deadline.cancel();
  link.close();
  // The timer's handler may be on its way: it holds the link, so the link goes last.
  const net::UseAwaitable token;
  turn.rest();
  co_await asio::post(executor, token);
  turn.wake();
}

}  // namespace gputach::relay
