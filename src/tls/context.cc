#include "tls/context.h"

#include <array>
#include <memory>
#include <new>
#include <optional>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "tls/callbacks.h"
#include "tls/certificate_files.h"
#include "tls/context_digest.h"
#include "tls/revocation.h"

namespace finhold::tls {
namespace {

using base::Mistake;
using ContextResult = base::Result<Context, Mistakes>;

// ALPN names have their length before them (RFC 7301 section 3.1).
constexpr std::array<unsigned char, 3> h2{2, 'h', '2'};

// Of what the client offers the far end takes h2, or nothing.
int choose_protocol(SSL* /*ssl*/, const unsigned char** chosen, unsigned char* chosen_size,
                    const unsigned char* offered, unsigned offered_size, void* /*unused*/) {
  unsigned char* found = nullptr;
  if (SSL_select_next_proto(&found, chosen_size, h2.data(), h2.size(), offered, offered_size) !=
      OPENSSL_NPN_NEGOTIATED) {
    return SSL_TLSEXT_ERR_ALERT_FATAL;
  }
  *chosen = found;
  return SSL_TLSEXT_ERR_OK;
}

// What both ends agree on keys with, also with a stranger. The others that OpenSSL has on by
// default cost up to a hundred times as much, and who sends a recorded hello pays nothing: finite
// fields to 8192 bits (CVE-2002-20001), P-521, X448; P-384 six times (2.6 ms on 2026-11-28). RFC
// 8446 section 9.1 has P-256, and X25519 as what should be there.
constexpr const char* groups = "X25519:P-256";

// Bytes. Each certificate of a chain costs 0.13 ms to decode, believed or not
// (certificate_message.h refuses those that cost far more), and OpenSSL would take 100 KiB of them.
// What a stranger shows a far end is four with keys of RSA 4096, or ten of P-256; the far end was
// chosen, and public authorities may have longer ones.
constexpr long longest_chain = 32L << 10;
constexpr long longest_chain_of_stranger = 8L << 10;

SSL_CTX* new_context(const SSL_METHOD* method) {
  SSL_CTX* context = SSL_CTX_new(method);
  if (context == nullptr) throw std::bad_alloc();
  SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
  SSL_CTX_set_max_proto_version(context, TLS1_3_VERSION);
  if (SSL_CTX_set1_groups_list(context, groups) != 1) throw std::bad_alloc();
  SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
  SSL_CTX_set_num_tickets(context, 0);
  SSL_CTX_set_max_cert_list(context, longest_chain);
  SSL_CTX_set_max_early_data(context, 0);
  SSL_CTX_set_recv_max_early_data(context, 0);
  SSL_CTX_set_options(context, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
#ifdef SSL_OP_NO_RX_CERTIFICATE_COMPRESSION  // since OpenSSL 3.2: few bytes that become many (RFC
                                             // 8879)
  SSL_CTX_set_options(context,
                      SSL_OP_NO_RX_CERTIFICATE_COMPRESSION | SSL_OP_NO_TX_CERTIFICATE_COMPRESSION);
#endif
  // Without AUTO_RETRY SSL_read returns after each message of TLS itself, so that a flood of them
  // is seen. A session without bytes under way has no buffers (2 x 17 KiB).
  SSL_CTX_clear_mode(context, SSL_MODE_AUTO_RETRY);
  SSL_CTX_set_mode(context, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
  SSL_CTX_set_msg_callback(context, &Callbacks::on_message);
  return context;
}

// A certificate for the other end of a pair is none for this one's. One without any
// extendedKeyUsage is good for either (RFC 5280 section 4.2.1.12). OpenSSL would ask for the same;
// it is said here, since it is what keeps a far end's certificate, that is not guarded as near
// ends' are, from being shown by a near end.
void expect_purpose(SSL_CTX& context, int purpose) {
  X509_VERIFY_PARAM_set_purpose(SSL_CTX_get0_param(&context), purpose);
}

// Whom the near end wants to talk to.
std::optional<Mistake> expect_server(SSL_CTX& context, const std::string& name, bool& is_name) {
  X509_VERIFY_PARAM* expected = SSL_CTX_get0_param(&context);
  is_name = X509_VERIFY_PARAM_set1_ip_asc(expected, name.c_str()) != 1;
  if (!is_name) return std::nullopt;
  ERR_clear_error();
  // The subject's common name is no host name any more (RFC 9525 section 2).
  X509_VERIFY_PARAM_set_hostflags(
      expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
  if (name.empty() || X509_VERIFY_PARAM_set1_host(expected, name.c_str(), name.size()) != 1) {
    return Mistake{"server_name \"" + name + "\" is neither a name nor an IP address"};
  }
  return std::nullopt;
}

void believe_system(SSL_CTX& context, const SystemAuthorities& of_system,
                    std::vector<std::string>& warnings) {
  SSL_CTX_set_default_verify_paths(&context);
  ERR_clear_error();
  const auto* const loaded = X509_STORE_get0_objects(SSL_CTX_get_cert_store(&context));
  if (sk_X509_OBJECT_num(loaded) > 0 || of_system.any_in_directories()) return;
  warnings.push_back(
      "ca is empty, and this system knows no authority, so no far end is believed: none is in \"" +
      of_system.file() + "\", nor in \"" + of_system.directories() +
      R"("; install ca-certificates, or write ca = "ca.pem")");
}

}  // namespace

void Context::Free::operator()(SSL_CTX* context) const { SSL_CTX_free(context); }

ContextResult Context::load(const ClientSettings& settings) {
  std::string name = settings.server_name;
  if (name.ends_with('.')) name.pop_back();
  Context loaded(new_context(TLS_client_method()), name);
  // First: a file that is replaced now makes the next fingerprint another one.
  loaded.fingerprint_ = digest_of({settings.ca, settings.certificate, settings.key, settings.crl});
  loaded.asks_system_ = settings.ca.empty();
  const SystemAuthorities of_system = SystemAuthorities::find();
  if (loaded.asks_system_) loaded.fingerprint_ += of_system.digest();
  SSL_CTX& context = *loaded.context_;
  Mistakes mistakes;
  if (auto mistake = expect_server(context, name, loaded.announces_name_)) {
    mistakes.push_back(*std::move(mistake));
  }
  SSL_CTX_set_verify(&context, SSL_VERIFY_PEER, &Callbacks::on_verified);
  expect_purpose(context, X509_PURPOSE_SSL_SERVER);
  if (settings.ca.empty()) {
    believe_system(context, of_system, loaded.warnings_);
  } else {
    believe(context, "ca", settings.ca, false, mistakes);
    if (!settings.crl.empty()) {
      revoke(context, settings.crl, "ca", loaded.warnings_, mistakes);
    }
  }
  if (!settings.certificate.empty()) {
    use_certificate(context, X509_PURPOSE_SSL_CLIENT, settings.certificate, settings.key,
                    loaded.warnings_, mistakes);
  }
  if (!mistakes.empty()) return mistakes;
  if (SSL_CTX_set_alpn_protos(&context, h2.data(), h2.size()) != 0) throw std::bad_alloc();
  return loaded;
}

ContextResult Context::load(const ServerSettings& settings) {
  Context loaded(new_context(TLS_server_method()), {});
  SSL_CTX_set_max_cert_list(loaded.context_.get(), longest_chain_of_stranger);
  loaded.fingerprint_ =
      digest_of({settings.certificate, settings.key, settings.client_ca, settings.crl});
  SSL_CTX& context = *loaded.context_;
  Mistakes mistakes;
  use_certificate(context, X509_PURPOSE_SSL_SERVER, settings.certificate, settings.key,
                  loaded.warnings_, mistakes);
  if (!settings.client_ca.empty()) {
    believe(context, "client_ca", settings.client_ca, true, mistakes);
    expect_purpose(context, X509_PURPOSE_SSL_CLIENT);
    if (!settings.crl.empty()) {
      revoke(context, settings.crl, "client_ca", loaded.warnings_, mistakes);
    }
    SSL_CTX_set_verify(&context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT,
                       &Callbacks::on_verified);
  }
  if (!mistakes.empty()) return mistakes;
  SSL_CTX_set_alpn_select_cb(&context, &choose_protocol, nullptr);
  return loaded;
}

}  // namespace finhold::tls
