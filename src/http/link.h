// Purpose: private to those who move bytes: one connected socket, plain or through TLS, as the bytes of it.
// Owns: the socket and the TLS state.
// Threads: the io thread. One may read while another writes; not two of a kind.
// Fails: read() with 0, write_some() with less than all and broken() true; for good.
// Source: man 2 send, SSL_write(3).
//
// A plain socket's owner may also read it directly, which spares a coroutine for each read.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "http/loop_watch.h"
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

  // Waits for bytes, and rests `turn` meanwhile. 0: the peer has ended its side, or it failed, or was cancelled.
  net::Awaitable<std::size_t> read(std::span<char> space, CoroutineTurn& turn);
  // After read() has given 0: the peer said that nothing follows. For TLS it has to say so in TLS's own words, since
  // anybody on the way can end a connection.
  [[nodiscard]] bool ended() const { return ended_; }

  // Through TLS only. `cancelled` is not the peer's doing.
  enum class Handshake : unsigned char { done, failed, cancelled };
  net::Awaitable<Handshake> handshake(CoroutineTurn& turn);

  // What a TLS write that could not go on waits for; want_write for plain bytes.
  [[nodiscard]] TlsState write_wants() const { return write_wants_; }
  // Waits for the socket. False: cancelled, or broken.
  net::Awaitable<bool> wait(TlsState wanted);

  // The peer has ended its side, or the connection is gone. Seen without reading, whatever still lies there to be read.
  [[nodiscard]] bool peer_has_left();

  // Nothing follows from this side.
  void shut_down_sending();
  void cancel();  // who waits or reads is woken and fails, even where the socket has become ready meanwhile
  void close();
  // The peer sees a reset, not an end.
  void reset();

 private:
  [[nodiscard]] std::size_t write_some_tls(std::string_view bytes);
  net::Awaitable<std::size_t> read_plain(std::span<char> space, CoroutineTurn& turn);
  net::Awaitable<std::size_t> read_tls(std::span<char> space, CoroutineTurn& turn);

  net::Socket socket_;
  std::unique_ptr<TlsChannel> tls_;
  bool broken_ = false;
  bool ended_ = false;
  unsigned cancels_ = 0;
  TlsState write_wants_ = TlsState::want_write;
};

}  // namespace gputach::http
