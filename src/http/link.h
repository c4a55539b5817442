// Purpose: private to those who move bytes: one connected socket, plain or through TLS, as the bytes of it.
// Owns: the socket and the TLS state.
// Threads: the io thread. One may read while another writes; not two of a kind.
// Fails: read() with 0, write_some() with less than all and broken() true; for good.
// Source: man 2 send, SSL_write(3).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "http/net.h"
#include "http/tls.h"

namespace gputach::http {

class Link {
 public:
  Link(net::Socket socket, std::unique_ptr<TlsChannel> tls) : socket_(std::move(socket)), tls_(std::move(tls)) {}

  [[nodiscard]] bool is_tls() const { return tls_ != nullptr; }
  [[nodiscard]] bool broken() const { return broken_; }
  [[nodiscard]] net::Socket& socket() { return socket_; }
  [[nodiscard]] TlsChannel* tls() { return tls_.get(); }

  // Sends what the kernel takes at once. Less than all of it: it is full, and wait_writable() says when there is room
  // again; or the link is broken.
  [[nodiscard]] std::size_t write_some(std::string_view first, std::string_view second = {});
  [[nodiscard]] std::size_t write_some(std::span<const net::asio::const_buffer> buffers);

  // What a TLS write that could not go on waits for; want_write for plain bytes.
  [[nodiscard]] TlsState write_wants() const { return write_wants_; }
  // Waits for the socket. False: cancelled, or broken.
  net::Awaitable<bool> wait(TlsState wanted);

  // Nothing follows from this side.
  void shut_down_sending();
  void cancel();  // who waits or reads is woken and fails
  void close();
  // The peer sees a reset, not an end.
  void reset();

 private:
  [[nodiscard]] std::size_t write_some_tls(std::string_view bytes);

  net::Socket socket_;
  std::unique_ptr<TlsChannel> tls_;
  bool broken_ = false;
  TlsState write_wants_ = TlsState::want_write;
};

}  // namespace gputach::http
