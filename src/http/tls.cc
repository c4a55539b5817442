#include "http/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <sys/stat.h>

#include <array>
#include <climits>
#include <utility>

#include "base/log.h"

namespace gputach::http {
namespace {

constexpr Duration look_period = std::chrono::seconds(1);

std::unexpected<Error> cannot_use(std::string_view what, const std::string& file) {
  return fail(ErrorCode::invalid, "cannot use the TLS " + std::string(what) + " " + file + ": " + openssl_reason());
}

// Without it OpenSSL would ask the terminal.
int no_passphrase(char* /*buffer*/, int /*size*/, int /*for_writing*/, void* /*unused*/) {
  return 0;
}

// HTTP/1.1, whatever else is offered; a client that offers only others is told so (RFC 7301 section 3.2).
int select_protocol(SSL* /*ssl*/, const unsigned char** chosen, unsigned char* size, const unsigned char* offered,
                    unsigned offered_size, void* /*unused*/) {
  static constexpr std::array<unsigned char, 9> ours = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  unsigned char* selected = nullptr;
  const int outcome = SSL_select_next_proto(&selected, size, ours.data(), ours.size(), offered, offered_size);
  *chosen = selected;
  return outcome == OPENSSL_NPN_NEGOTIATED ? SSL_TLSEXT_ERR_OK : SSL_TLSEXT_ERR_ALERT_FATAL;
}

// Changes whenever a file is replaced or written. Links are followed, as Kubernetes replaces secrets by a link.
std::string version_on_disk(const TlsFiles& files) {
  std::string version;
  for (const std::string& file : {files.certificate, files.key}) {
    struct stat status{};
    if (::stat(file.c_str(), &status) != 0) return {};
    for (const auto part : {static_cast<long>(status.st_ino), static_cast<long>(status.st_size),
                            static_cast<long>(status.st_mtim.tv_sec), static_cast<long>(status.st_mtim.tv_nsec)})
      version += std::to_string(part) + ' ';
  }
  return version;
}

}  // namespace

// The others are how it came to that one.
std::string openssl_reason() {
  std::array<char, 256> text{};
  const unsigned long code = ERR_peek_last_error();
  ERR_clear_error();
  if (code == 0) return "unknown reason";
  ERR_error_string_n(code, text.data(), text.size());
  return text.data();
}

void TlsChannel::Free::operator()(SSL* ssl) const {
  SSL_free(ssl);
}

TlsChannel::TlsChannel(SSL_CTX* context, int descriptor) : ssl_(SSL_new(context)) {
  broken_ = ssl_ == nullptr || SSL_set_fd(ssl_.get(), descriptor) != 1;
}

std::unique_ptr<TlsChannel> TlsChannel::accepting(SSL_CTX* context, int descriptor) {
  std::unique_ptr<TlsChannel> channel(new TlsChannel(context, descriptor));
  if (!channel->broken_) SSL_set_accept_state(channel->ssl_.get());
  return channel;
}

std::unique_ptr<TlsChannel> TlsChannel::connecting(SSL_CTX* context, int descriptor, const std::string& name) {
  std::unique_ptr<TlsChannel> channel(new TlsChannel(context, descriptor));
  if (channel->broken_) return channel;
  SSL_set_connect_state(channel->ssl_.get());
  if (name.empty()) return channel;
  // SSL_set_tlsext_host_name without its old-style cast; the name is copied.
  std::string copy = name;
  channel->broken_ =
      SSL_ctrl(channel->ssl_.get(), SSL_CTRL_SET_TLSEXT_HOSTNAME, TLSEXT_NAMETYPE_host_name, copy.data()) != 1;
  return channel;
}

TlsState TlsChannel::state_after(int result) {
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ) return TlsState::want_read;
  if (error == SSL_ERROR_WANT_WRITE) return TlsState::want_write;
  broken_ = error != SSL_ERROR_ZERO_RETURN;  // not even a shutdown may follow (SSL_get_error(3))
  ERR_clear_error();
  return broken_ ? TlsState::failed : TlsState::closed;
}

TlsState TlsChannel::handshake() {
  if (broken_) return TlsState::failed;
  ERR_clear_error();
  const int result = SSL_do_handshake(ssl_.get());
  return result == 1 ? TlsState::done : state_after(result);
}

std::string_view TlsChannel::refusal() const {
  const bool asked = ssl_ != nullptr && SSL_get_verify_mode(ssl_.get()) != SSL_VERIFY_NONE;
  const long verdict = asked ? SSL_get_verify_result(ssl_.get()) : X509_V_OK;
  return verdict == X509_V_OK ? std::string_view{} : X509_verify_cert_error_string(verdict);
}

TlsChannel::Moved TlsChannel::read(std::span<char> space) {
  if (broken_) return {TlsState::failed, 0};
  Moved moved;
  ERR_clear_error();
  const int result = SSL_read_ex(ssl_.get(), space.data(), space.size(), &moved.bytes);
  if (result != 1) moved = {state_after(result), 0};
  return moved;
}

TlsChannel::Moved TlsChannel::write(std::string_view bytes) {
  if (broken_) return {TlsState::failed, 0};
  Moved moved;
  ERR_clear_error();
  const int result = SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &moved.bytes);
  if (result != 1) moved = {state_after(result), 0};
  return moved;
}

void TlsChannel::shutdown() {
  if (broken_ || SSL_in_init(ssl_.get()) != 0) return;
  SSL_shutdown(ssl_.get());
  ERR_clear_error();
}

void TlsCertificate::Free::operator()(SSL_CTX* context) const {
  SSL_CTX_free(context);
}

Result<TlsCertificate::Context> TlsCertificate::make_context(const TlsFiles& files) {
  ERR_clear_error();
  Context context(SSL_CTX_new(TLS_server_method()));
  if (context == nullptr) return fail(ErrorCode::io, "cannot start TLS: " + openssl_reason());
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                         SSL_OP_IGNORE_UNEXPECTED_EOF);
  // The unsent rest of an answer moves to another buffer; buffers of idle connections are given back.
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);  // tickets do without server memory
  SSL_CTX_set_default_passwd_cb(context.get(), no_passphrase);
  SSL_CTX_set_alpn_select_cb(context.get(), select_protocol, nullptr);
  if (SSL_CTX_use_certificate_chain_file(context.get(), files.certificate.c_str()) != 1)
    return cannot_use("certificate", files.certificate);
  if (SSL_CTX_use_PrivateKey_file(context.get(), files.key.c_str(), SSL_FILETYPE_PEM) != 1)
    return cannot_use("key", files.key);
  if (SSL_CTX_check_private_key(context.get()) != 1) {
    ERR_clear_error();
    return fail(ErrorCode::invalid,
                "cannot use the TLS key " + files.key + ": it does not belong to the certificate " + files.certificate);
  }
  return context;
}

Result<std::unique_ptr<TlsCertificate>> TlsCertificate::load(const TlsFiles& files) {
  // Before the files are read: a change in between is then seen as one.
  std::string version = version_on_disk(files);
  Result<Context> context = make_context(files);
  if (!context) return std::unexpected(std::move(context.error()));
  return std::unique_ptr<TlsCertificate>(new TlsCertificate(files, *std::move(context), std::move(version)));
}

std::unique_ptr<TlsChannel> TlsCertificate::channel(int descriptor, Instant now, Counters& counters) {
  if (now - looked_ >= look_period) {
    looked_ = now;
    reload_if_changed(counters);
  }
  return TlsChannel::accepting(context_.get(), descriptor);
}

void TlsCertificate::reload_if_changed(Counters& counters) {
  std::string version = version_on_disk(files_);
  if (version == version_) return;
  version_ = std::move(version);  // files that cannot be used are not tried again until they change again
  Result<Context> context = make_context(files_);
  if (!context) {
    bump(counters.tls_reload_failures);
    log_line(LogLevel::error, "tls_reload_failed", {{"what", context.error().context}});
    return;
  }
  context_ = *std::move(context);  // connections hold the old one as long as they need it
  log_line(LogLevel::info, "tls_reloaded", {{"certificate", files_.certificate}});
}

}  // namespace gputach::http
