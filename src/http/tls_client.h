// Purpose: the other side of TLS: connections that we make, and by which certificates we know whom we reach.
// Units: none.
// Owns: the OpenSSL context; channels hold it as long as they need it.
// Threads: made anywhere, then the io thread.
// Fails: make() with a sentence that names the file. What a peer shows fails its handshake, see TlsChannel::refusal().
// Source: OpenSSL 3.0 manual, SSL_CTX_load_verify_file(3), SSL_set1_host(3), X509_VERIFY_PARAM_set_flags(3); RFC 9525.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "http/tls.h"

namespace gputach::http {

enum class TlsVerify : unsigned char {
  on,
  off,  // encrypted, but by whom nobody knows
};

struct TlsPeer {
  std::string host;     // the name or IP address that its certificate has to hold
  std::string ca_file;  // who may have signed it (PEM); empty: whom the system trusts
  TlsVerify verify = TlsVerify::on;
};

class TlsConnector {
 public:
  // Files are read here, once.
  [[nodiscard]] static Result<std::unique_ptr<TlsConnector>> make(const TlsPeer& peer);

  // For a socket that is connected to the peer, or about to be.
  [[nodiscard]] std::unique_ptr<TlsChannel> channel(int descriptor) const;

 private:
  struct Free {
    void operator()(SSL_CTX* context) const;
  };
  using Context = std::unique_ptr<SSL_CTX, Free>;

  TlsConnector(Context context, std::string name) : context_(std::move(context)), name_(std::move(name)) {}

  [[nodiscard]] static Result<void> trust(SSL_CTX& context, const TlsPeer& peer);

  Context context_;
  std::string name_;  // for SNI, which has no place for addresses
};

}  // namespace gputach::http
