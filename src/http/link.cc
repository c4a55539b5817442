#include "http/link.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>

namespace gputach::http {

namespace asio = net::asio;

std::size_t Link::write_some(std::string_view first, std::string_view second) {
  const std::array buffers{asio::const_buffer(first.data(), first.size()),
                           asio::const_buffer(second.data(), second.size())};
  return write_some(std::span(buffers).first(second.empty() ? 1 : 2));
}

std::size_t Link::write_some(std::span<const asio::const_buffer> buffers) {
  if (broken_) return 0;
  std::size_t sent = 0;
  if (tls_ == nullptr) {
    net::ErrorCode error;
    sent = buffers.size() == 1 ? socket_.write_some(buffers.front(), error) : socket_.write_some(buffers, error);
    broken_ = error && error != asio::error::would_block;
    return sent;
  }
  for (const asio::const_buffer& buffer : buffers) {
    const std::size_t of_this = write_some_tls({static_cast<const char*>(buffer.data()), buffer.size()});
    sent += of_this;
    if (of_this < buffer.size()) break;
  }
  return sent;
}

std::size_t Link::write_some_tls(std::string_view bytes) {
  std::size_t sent = 0;
  while (sent < bytes.size()) {
    const TlsChannel::Moved moved = tls_->write(bytes.substr(sent));
    sent += moved.bytes;
    if (moved.state == TlsState::done) continue;
    broken_ = moved.state == TlsState::failed || moved.state == TlsState::closed;
    write_wants_ = moved.state;
    break;
  }
  return sent;
}

bool Link::peer_has_left() {
  pollfd state{.fd = socket_.native_handle(), .events = POLLRDHUP, .revents = 0};
  return ::poll(&state, 1, 0) > 0;
}

// A wait that has succeeded when it is cancelled ends as a success all the same: whoever loops would wait again.
net::Awaitable<bool> Link::wait(TlsState wanted) {
  const unsigned cancels = cancels_;
  const auto event = wanted == TlsState::want_read ? net::Socket::wait_read : net::Socket::wait_write;
  const auto waited = co_await socket_.async_wait(event, net::use_tuple);
  co_return !std::get<0>(waited) && cancels == cancels_;
}

net::Awaitable<std::size_t> Link::read(std::span<char> space, CoroutineTurn& turn) {
  return tls_ == nullptr ? read_plain(space, turn) : read_tls(space, turn);
}

net::Awaitable<std::size_t> Link::read_plain(std::span<char> space, CoroutineTurn& turn) {
  const asio::mutable_buffer buffer(space.data(), space.size());
  turn.rest();
  const auto received = co_await socket_.async_read_some(buffer, net::use_tuple);
  turn.wake();
  ended_ = std::get<0>(received) == asio::error::eof;
  co_return std::get<1>(received);
}

net::Awaitable<std::size_t> Link::read_tls(std::span<char> space, CoroutineTurn& turn) {
  for (;;) {
    const TlsChannel::Moved moved = tls_->read(space);
    if (moved.state == TlsState::done) co_return moved.bytes;
    ended_ = moved.state == TlsState::closed;
    broken_ = broken_ || moved.state == TlsState::failed;
    if (ended_ || broken_) co_return 0;
    turn.rest();
    const bool ready = co_await wait(moved.state);
    turn.wake();
    if (!ready) co_return 0;
  }
}

net::Awaitable<Link::Handshake> Link::handshake(CoroutineTurn& turn) {
  for (;;) {
    const TlsState state = tls_->handshake();
    if (state == TlsState::done) co_return Handshake::done;
    broken_ = state == TlsState::failed || state == TlsState::closed;
    if (broken_) co_return Handshake::failed;
    turn.rest();
    const bool ready = co_await wait(state);
    turn.wake();
    if (!ready) co_return Handshake::cancelled;
  }
}

void Link::shut_down_sending() {
  if (tls_ != nullptr) tls_->shutdown();
  net::ErrorCode ignored;
  socket_.shutdown(net::Socket::shutdown_send, ignored);
}

void Link::cancel() {
  ++cancels_;
  net::ErrorCode ignored;
  socket_.cancel(ignored);
}

void Link::close() {
  if (tls_ != nullptr) tls_->abandon();
  net::ErrorCode ignored;
  socket_.close(ignored);
}

void Link::reset() {
  const linger hard{1, 0};
  ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close();
}

}  // namespace gputach::http
