#include <openssl/err.h>
#include <openssl/ssl.h>
#include <poll.h>

#include <array>
#include <cerrno>

#include "app/probe_stream.h"

namespace gputach {
namespace {

struct FreeContext {
  void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
};
struct FreeConnection {
  void operator()(SSL* connection) const { SSL_free(connection); }
};
using Context = std::unique_ptr<SSL_CTX, FreeContext>;
using Connection = std::unique_ptr<SSL, FreeConnection>;

std::unexpected<Error> fail_tls() {
  std::array<char, 256> text{};
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return fail(ErrorCode::closed, "the server ended the TLS connection");
  ERR_error_string_n(code, text.data(), text.size());
  return fail(ErrorCode::io, std::string("TLS: ") + text.data());
}

class TlsStream final : public ProbeStream {
 public:
  TlsStream(Fd socket, Context context, Connection connection)
      : socket_(std::move(socket)), context_(std::move(context)), connection_(std::move(connection)) {}

  Result<void> handshake(const Deadline& deadline) {
    const auto done = repeat(deadline, [&] { return SSL_connect(connection_.get()); });
    if (!done) return std::unexpected(done.error());
    if (*done == 0) return fail(ErrorCode::closed, "the server ended the TLS connection");
    return {};
  }

  Result<void> send(std::string_view bytes, const Deadline& deadline) override {
    std::size_t sent = 0;  // of all bytes at once: partial writes are not enabled
    const auto done =
        repeat(deadline, [&] { return SSL_write_ex(connection_.get(), bytes.data(), bytes.size(), &sent); });
    if (!done) return std::unexpected(done.error());
    if (sent != bytes.size()) return fail(ErrorCode::closed, "the server ended the TLS connection");
    return {};
  }

  Result<std::size_t> receive(std::span<char> into, const Deadline& deadline) override {
    std::size_t length = 0;
    const auto done =
        repeat(deadline, [&] { return SSL_read_ex(connection_.get(), into.data(), into.size(), &length); });
    if (!done) return std::unexpected(done.error());
    return length;
  }

 private:
  // What a step gave once it neither wants to read nor to write; 0 when the server has said that it is done.
  template <class Step>
  Result<int> repeat(const Deadline& deadline, Step step) {
    for (;;) {
      ERR_clear_error();
      const int result = step();
      if (result > 0) return result;
      const int reason = SSL_get_error(connection_.get(), result);
      if (reason == SSL_ERROR_ZERO_RETURN) return 0;
      if (reason != SSL_ERROR_WANT_READ && reason != SSL_ERROR_WANT_WRITE) return fail_tls();
      const Result<void> ready = wait_ready(socket_.get(), reason == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline);
      if (!ready) return std::unexpected(ready.error());
    }
  }

  Fd socket_;
  Context context_;
  Connection connection_;
};

}  // namespace

Result<std::unique_ptr<ProbeStream>> tls_stream(Fd socket, const Deadline& deadline) {
  Context context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr || SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION) != 1) return fail_tls();
  SSL_CTX_set_verify(context.get(), SSL_VERIFY_NONE, nullptr);
  Connection connection(SSL_new(context.get()));
  if (connection == nullptr || SSL_set_fd(connection.get(), socket.get()) != 1) return fail_tls();
  auto stream = std::make_unique<TlsStream>(std::move(socket), std::move(context), std::move(connection));
  if (const Result<void> shaken = stream->handshake(deadline); !shaken) return std::unexpected(shaken.error());
  return stream;
}

}  // namespace gputach
