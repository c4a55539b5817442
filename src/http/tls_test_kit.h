// Purpose: for the tests of TLS: certificates made on the spot, and a client made of OpenSSL's own blocking calls.
// Owns: TemporaryFiles its folder, TlsClient its connection.
// Threads: the test's.
// Fails: through GoogleTest.
#pragma once

#include <gtest/gtest.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <sys/time.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <string>

#include "http/server.h"
#include "http/server_test_kit.h"

namespace gputach::http::test {

class TemporaryFiles {
 public:
  TemporaryFiles() {
    std::string name = (std::filesystem::temp_directory_path() / "gputach-tls-XXXXXX").string();
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  ~TemporaryFiles() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  TemporaryFiles(const TemporaryFiles&) = delete;
  TemporaryFiles& operator=(const TemporaryFiles&) = delete;

  [[nodiscard]] std::string path(const std::string& name) const { return folder_ / name; }

 private:
  std::filesystem::path folder_;
};

struct FreePkey {
  void operator()(EVP_PKEY* key) const { EVP_PKEY_free(key); }
};
struct FreeX509 {
  void operator()(X509* certificate) const { X509_free(certificate); }
};
struct CloseFile {
  void operator()(std::FILE* file) const { std::fclose(file); }
};

// A new key and a certificate of this serial number, signed by itself, moved into place as secrets are.
inline void write_certificate(const TlsFiles& files, long serial) {
  const std::unique_ptr<EVP_PKEY, FreePkey> key(EVP_EC_gen("P-256"));
  ASSERT_NE(key, nullptr);
  const std::unique_ptr<X509, FreeX509> certificate(X509_new());
  X509* x509 = certificate.get();
  ASN1_INTEGER_set(X509_get_serialNumber(x509), serial);
  X509_gmtime_adj(X509_getm_notBefore(x509), 0);
  X509_gmtime_adj(X509_getm_notAfter(x509), 3600);
  X509_set_pubkey(x509, key.get());
  const std::string name = "localhost";
  X509_NAME_add_entry_by_txt(X509_get_subject_name(x509), "CN", MBSTRING_ASC,
                             reinterpret_cast<const unsigned char*>(name.c_str()), -1, -1, 0);
  X509_set_issuer_name(x509, X509_get_subject_name(x509));
  ASSERT_GT(X509_sign(x509, key.get(), EVP_sha256()), 0);
  {
    const std::unique_ptr<std::FILE, CloseFile> out(std::fopen((files.certificate + ".new").c_str(), "w"));
    ASSERT_EQ(PEM_write_X509(out.get(), x509), 1);
    const std::unique_ptr<std::FILE, CloseFile> out_key(std::fopen((files.key + ".new").c_str(), "w"));
    ASSERT_EQ(PEM_write_PrivateKey(out_key.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr), 1);
  }
  std::filesystem::rename(files.key + ".new", files.key);
  std::filesystem::rename(files.certificate + ".new", files.certificate);
}

class TlsClient {
 public:
  // `prepare` sees the context before the handshake.
  explicit TlsClient(std::uint16_t port, const std::function<void(SSL_CTX*)>& prepare = {}, int receive_buffer = 0)
      : tcp_(port, receive_buffer), context_(SSL_CTX_new(TLS_client_method())) {
    if (prepare) prepare(context_.get());
    ssl_.reset(SSL_new(context_.get()));
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(patience).count();
    const timeval wait{.tv_sec = seconds, .tv_usec = 0};
    ::setsockopt(tcp_.descriptor(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    SSL_set_fd(ssl_.get(), tcp_.descriptor());
    connected_ = SSL_connect(ssl_.get()) == 1;
  }

  [[nodiscard]] bool connected() const { return connected_; }
  [[nodiscard]] SSL* ssl() { return ssl_.get(); }
  [[nodiscard]] long serial() const {
    const std::unique_ptr<X509, FreeX509> certificate(SSL_get1_peer_certificate(ssl_.get()));
    return certificate == nullptr ? -1 : ASN1_INTEGER_get(X509_get0_serialNumber(certificate.get()));
  }
  bool send(std::string_view bytes) {
    std::size_t sent = 0;
    return SSL_write_ex(ssl_.get(), bytes.data(), bytes.size(), &sent) == 1 && sent == bytes.size();
  }
  // As many bytes as asked for, or what came before the end.
  std::string read(std::size_t wanted) {
    std::string bytes(wanted, '\0');
    std::size_t have = 0;
    for (std::size_t got = 0; have < wanted; have += got)
      if (SSL_read_ex(ssl_.get(), bytes.data() + have, wanted - have, &got) != 1) break;
    bytes.resize(have);
    return bytes;
  }
  std::string response() {
    std::string head;
    while (!head.ends_with("\r\n\r\n")) {
      const std::string next = read(1);
      if (next.empty()) return head;
      head += next;
    }
    const std::size_t length = head.find("Content-Length: ");
    return length == std::string::npos ? head : head + read(std::stoul(head.substr(length + 16)));
  }
  // The end that TLS knows, not the one that anybody could forge.
  [[nodiscard]] bool ended_properly() {
    char byte = 0;
    std::size_t got = 0;
    return SSL_read_ex(ssl_.get(), &byte, 1, &got) != 1 && SSL_get_error(ssl_.get(), 0) == SSL_ERROR_ZERO_RETURN;
  }
  void reset() { tcp_.reset(); }

 private:
  struct FreeContext {
    void operator()(SSL_CTX* context) const { SSL_CTX_free(context); }
  };
  struct FreeSsl {
    void operator()(SSL* ssl) const { SSL_free(ssl); }
  };

  Client tcp_;
  std::unique_ptr<SSL_CTX, FreeContext> context_;
  std::unique_ptr<SSL, FreeSsl> ssl_;
  bool connected_ = false;
};

}  // namespace gputach::http::test
