#include "http/link.h"

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

net::Awaitable<bool> Link::wait(TlsState wanted) {
  const auto event = wanted == TlsState::want_read ? net::Socket::wait_read : net::Socket::wait_write;
  const auto waited = co_await socket_.async_wait(event, net::use_tuple);
  co_return !std::get<0>(waited);
}

void Link::shut_down_sending() {
  if (tls_ != nullptr) tls_->shutdown();
  net::ErrorCode ignored;
  socket_.shutdown(net::Socket::shutdown_send, ignored);
}

void Link::cancel() {
  net::ErrorCode ignored;
  socket_.cancel(ignored);
}

void Link::close() {
  net::ErrorCode ignored;
  socket_.close(ignored);
}

void Link::reset() {
  const linger hard{1, 0};
  ::setsockopt(socket_.native_handle(), SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  close();
}

}  // namespace gputach::http
