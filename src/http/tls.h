// Purpose: TLS for connections, and the certificate of accepted ones. A channel moves bytes between a non-blocking
//          socket and its owner and never waits; the certificate is read again when its files have changed.
// Owns: TlsCertificate the OpenSSL context of the newest files that could be used, TlsChannel one connection's state.
//       The socket stays its owner's and must outlive the channel.
// Threads: the io thread.
// Fails: load() with a sentence that names the file; a channel with TlsState::failed, for good.
// Source: OpenSSL 3.0 manual, SSL_read(3), SSL_write(3), SSL_get_error(3); RFC 8446; RFC 7301 (ALPN).
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/result.h"
#include "http/counters.h"
#include "http/server.h"

using SSL = struct ssl_st;          // NOLINT(readability-identifier-naming): as OpenSSL spells them
using SSL_CTX = struct ssl_ctx_st;  // NOLINT(readability-identifier-naming)

namespace gputach::http {

enum class TlsState : unsigned char { done, want_read, want_write, closed, failed };

// The newest of OpenSSL's reasons, which is then forgotten with those before it.
[[nodiscard]] std::string openssl_reason();

class TlsChannel {
 public:
  struct Moved {
    TlsState state = TlsState::done;
    std::size_t bytes = 0;  // 0 unless done
  };

  [[nodiscard]] static std::unique_ptr<TlsChannel> accepting(SSL_CTX* context, int descriptor);
  // `name`: who is asked for (SNI, RFC 6066 section 3); empty where only an address is known.
  [[nodiscard]] static std::unique_ptr<TlsChannel> connecting(SSL_CTX* context, int descriptor,
                                                              const std::string& name);

  [[nodiscard]] TlsState handshake();
  // Why the peer's certificate was refused, if that is what failed the handshake; else empty. A literal.
  [[nodiscard]] std::string_view refusal() const;
  [[nodiscard]] Moved read(std::span<char> space);
  // After want_read or want_write the next call brings the same bytes, perhaps from another place.
  [[nodiscard]] Moved write(std::string_view bytes);
  // Tells the peer that nothing follows; once, and as far as the socket takes it.
  void shutdown();
  // The socket is being closed: its number may soon be another's, so every call from now on fails.
  void abandon() { broken_ = true; }

 private:
  TlsChannel(SSL_CTX* context, int descriptor);

  [[nodiscard]] TlsState state_after(int result);

  struct Free {
    void operator()(SSL* ssl) const;
  };
  std::unique_ptr<SSL, Free> ssl_;  // null: there was no memory for it, and every call fails
  bool broken_ = false;
};

class TlsCertificate {
 public:
  [[nodiscard]] static Result<std::unique_ptr<TlsCertificate>> load(const TlsFiles& files);

  // For a connection accepted `now`. Looks at the files at most once a second, and only when somebody connects.
  [[nodiscard]] std::unique_ptr<TlsChannel> channel(int descriptor, Instant now, Counters& counters);

 private:
  struct Free {
    void operator()(SSL_CTX* context) const;
  };
  using Context = std::unique_ptr<SSL_CTX, Free>;

  TlsCertificate(TlsFiles files, Context context, std::string version)
      : files_(std::move(files)), context_(std::move(context)), version_(std::move(version)) {}

  [[nodiscard]] static Result<Context> make_context(const TlsFiles& files);
  void reload_if_changed(Counters& counters);

  TlsFiles files_;
  Context context_;
  std::string version_;  // of the files on disk, as last seen
  Instant looked_{};
};

}  // namespace gputach::http
