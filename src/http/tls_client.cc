#include "http/tls_client.h"

#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <array>
#include <utility>

namespace gputach::http {
namespace {

bool is_address(const std::string& host) {
  std::array<unsigned char, sizeof(in6_addr)> binary{};
  return ::inet_pton(AF_INET, host.c_str(), binary.data()) == 1 ||
         ::inet_pton(AF_INET6, host.c_str(), binary.data()) == 1;
}

std::unexpected<Error> cannot_start() {
  return fail(ErrorCode::io, "cannot start TLS: " + openssl_reason());
}

}  // namespace

void TlsConnector::Free::operator()(SSL_CTX* context) const {
  SSL_CTX_free(context);
}

Result<void> TlsConnector::trust(SSL_CTX& context, const TlsPeer& peer) {
  if (!peer.ca_file.empty() && SSL_CTX_load_verify_file(&context, peer.ca_file.c_str()) != 1)
    return fail(ErrorCode::invalid, "cannot use the CA certificates " + peer.ca_file + ": " + openssl_reason());
  if (peer.ca_file.empty() && SSL_CTX_set_default_verify_paths(&context) != 1) return cannot_start();
  if (peer.verify == TlsVerify::off) return {};
  X509_VERIFY_PARAM* const expected = SSL_CTX_get0_param(&context);
  X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
  // What the file holds is trusted as it is, be it a root, an intermediate or the peer's own certificate.
  if (!peer.ca_file.empty()) X509_VERIFY_PARAM_set_flags(expected, X509_V_FLAG_PARTIAL_CHAIN);
  const int set = is_address(peer.host) ? X509_VERIFY_PARAM_set1_ip_asc(expected, peer.host.c_str())
                                        : X509_VERIFY_PARAM_set1_host(expected, peer.host.c_str(), peer.host.size());
  if (set != 1) return fail(ErrorCode::invalid, "no certificate can hold the name " + peer.host);
  SSL_CTX_set_verify(&context, SSL_VERIFY_PEER, nullptr);
  return {};
}

Result<std::unique_ptr<TlsConnector>> TlsConnector::make(const TlsPeer& peer) {
  static constexpr std::array<unsigned char, 9> http11 = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};
  ERR_clear_error();
  Context context(SSL_CTX_new(TLS_client_method()));
  if (context == nullptr) return cannot_start();
  SSL_CTX_set_min_proto_version(context.get(), TLS1_2_VERSION);
  // Unlike with clients, an end that TLS was not told of is a failure: an answer may end where its connection does.
  SSL_CTX_set_options(context.get(), SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
  SSL_CTX_set_mode(context.get(),
                   SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
  SSL_CTX_set_session_cache_mode(context.get(), SSL_SESS_CACHE_OFF);
  if (SSL_CTX_set_alpn_protos(context.get(), http11.data(), http11.size()) != 0) return cannot_start();
  if (const Result<void> trusted = trust(*context, peer); !trusted) return std::unexpected(trusted.error());
  std::string name = is_address(peer.host) ? std::string() : peer.host;
  return std::unique_ptr<TlsConnector>(new TlsConnector(std::move(context), std::move(name)));
}

std::unique_ptr<TlsChannel> TlsConnector::channel(int descriptor) const {
  return TlsChannel::connecting(context_.get(), descriptor, name_);
}

}  // namespace gputach::http
