#include <memory>
#include <new>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>

#include "tls/callbacks.h"
#include "tls/endpoint.h"
#include "tls/messages.h"
#include "tls/revocation.h"

namespace finhold::tls {

// As OpenSSL does it in a handshake (ssl_verify_cert_chain), with another context's authorities.
bool Endpoint::would_be_believed_by(const Context& context) const {
  SSL_CTX* const with = context.context_.get();
  if ((SSL_CTX_get_verify_mode(with) & SSL_VERIFY_PEER) == 0) return true;
  X509* const shown = SSL_get0_peer_certificate(ssl_.get());
  if (shown == nullptr) return false;
  const std::unique_ptr<X509_STORE_CTX, decltype(&X509_STORE_CTX_free)> verification(
      X509_STORE_CTX_new(), &X509_STORE_CTX_free);
  if (verification == nullptr ||
      X509_STORE_CTX_init(verification.get(), SSL_CTX_get_cert_store(with), shown,
                          SSL_get_peer_cert_chain(ssl_.get())) != 1) {
    throw std::bad_alloc();
  }
  X509_VERIFY_PARAM* const how = X509_STORE_CTX_get0_param(verification.get());
  X509_VERIFY_PARAM_set_auth_level(how, SSL_CTX_get_security_level(with));
  X509_STORE_CTX_set_default(verification.get(), "ssl_client");
  X509_VERIFY_PARAM_set1(how, SSL_CTX_get0_param(with));
  X509_STORE_CTX_set_verify_cb(verification.get(), &Callbacks::on_verified);
  const bool believed = X509_verify_cert(verification.get()) == 1;
  ERR_clear_error();
  return believed;
}

// Keeps the reason, with names and dates, that OpenSSL forgets.
int Callbacks::on_verified(int ok, X509_STORE_CTX* verification) {
  if (ok == 1) return 1;
  if (is_about_believed(verification)) {
    X509_STORE_CTX_set_error(verification, X509_V_OK);
    return 1;
  }
  // Nothing: a session that stands is judged anew.
  auto* const ssl = static_cast<SSL*>(
      X509_STORE_CTX_get_ex_data(verification, SSL_get_ex_data_X509_STORE_CTX_idx()));
  if (ssl == nullptr) return 0;
  auto& session = *static_cast<Endpoint*>(SSL_get_app_data(ssl));
  if (session.failure_.empty()) {
    session.failure_ =
        "TLS: " + why_not_believed(verification, {session.server_name_, session.asks_system_});
  }
  return 0;
}

}  // namespace finhold::tls
