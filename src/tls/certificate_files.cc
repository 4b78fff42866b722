#include "tls/certificate_files.h"

#include <array>
#include <cstdio>
#include <memory>
#include <optional>
#include <span>
#include <sys/stat.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/private_file.h"
#include "tls/dear_messages.h"
#include "tls/messages.h"
#include "tls/pem_file.h"

namespace finhold::tls {
namespace {

using base::Mistake;

// OpenSSL keeps what a certificate's extensions say in the certificate, when it first needs that.
// All workers share it, so it is done here (with -1 that is all that the call does).
void make_shareable(X509& certificate) { X509_check_purpose(&certificate, -1, 0); }

using Certificate = Owned<X509, X509_free>;
using Key = Owned<EVP_PKEY, EVP_PKEY_free>;

std::optional<Mistake> read_certificates(std::string_view role, const std::string& path,
                                         std::vector<Certificate>& certificates) {
  PemFile contents;
  if (auto mistake = read_file(role, path, contents)) return mistake;
  const MemoryBio from = contents.as_bio();
  ERR_clear_error();
  while (Certificate one{PEM_read_bio_X509(from.get(), nullptr, nullptr, nullptr)}) {
    certificates.push_back(std::move(one));
  }
  if (!at_end_of_pem()) {
    return wrong(role, path,
                 "has a damaged certificate (number " + std::to_string(certificates.size() + 1) +
                     "): " + why_failed() + "; copy it again from where it was issued");
  }
  ERR_clear_error();
  if (certificates.empty()) {
    return wrong(role, path,
                 "holds no certificate in PEM form; it must have a line \"-----BEGIN "
                 "CERTIFICATE-----\" (a DER file becomes one by \"openssl x509 -inform der\")");
  }
  return std::nullopt;
}

int no_password(char* /*buffer*/, int /*size*/, int /*writing*/, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

// Who has the key can pose as this end.
void warn_if_not_private(const std::string& path, const struct stat& status,
                         std::vector<std::string>& warnings) {
  const std::string mode = base::mode_if_shared(status);
  if (mode.empty()) return;
  warnings.push_back("key \"" + path + "\" has mode " + mode +
                     ", so others than its owner can use it; " + base::to_make_private);
}

std::optional<Mistake> read_key(const std::string& path, Key& key,
                                std::vector<std::string>& warnings) {
  PemFile contents;
  if (auto mistake = read_file("key", path, contents)) return mistake;
  warn_if_not_private(path, contents.status(), warnings);
  const MemoryBio from = contents.as_bio();
  bool encrypted = false;
  ERR_clear_error();
  key.reset(PEM_read_bio_PrivateKey(from.get(), nullptr, &no_password, &encrypted));
  if (key) return std::nullopt;
  if (encrypted) {
    return wrong("key", path,
                 "is encrypted, and finhold asks for no password; \"openssl pkey\" writes it "
                 "without one");
  }
  return wrong("key", path,
               "holds no private key in PEM form; it must have a line \"-----BEGIN PRIVATE "
               "KEY-----\"");
}

void warn_if_not_valid(const std::string& path, const X509* certificate,
                       std::vector<std::string>& warnings) {
  const std::string begin = "certificate \"" + path + "\" ";
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
    warnings.push_back(begin + "has expired: it was valid until " + valid_until(certificate) +
                       ", and the other side will refuse it");
  } else if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
    warnings.push_back(begin + "is not valid before " + valid_from(certificate) +
                       ", and the other side will refuse it until then");
  }
}

void warn_if_for_others(const std::string& path, X509* certificate, int purpose,
                        std::vector<std::string>& warnings) {
  if (X509_check_purpose(certificate, purpose, 0) == 1) return;
  const bool is_near = purpose == X509_PURPOSE_SSL_CLIENT;
  const std::uint32_t wanted = is_near ? XKU_SSL_CLIENT : XKU_SSL_SERVER;
  const bool is_listed = (X509_get_extended_key_usage(certificate) & wanted) != 0;
  const std::string cure = is_listed ? "keyUsage = digitalSignature"
                           : is_near ? "extendedKeyUsage = clientAuth"
                                     : "extendedKeyUsage = serverAuth";
  warnings.push_back("certificate \"" + path + "\" is not meant for a " +
                     (is_near ? "near end, and the far end" : "far end, and the near end") +
                     " will refuse it; have it issued with " + cure);
}

void warn_if_of_other_curve(const std::string& path, X509* certificate,
                            std::vector<std::string>& warnings) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  if (size <= 0) return;
  if (has_unknown_point(std::as_bytes(std::span(der, static_cast<std::size_t>(size))))) {
    warnings.push_back("certificate \"" + path + "\" has a key (\"" +
                       words_of(X509_get_subject_name(certificate)) +
                       "\") of an elliptic curve, or with a compressed point, that finhold does "
                       "not take, so a finhold at the other end will refuse it; make one of P-256");
  }
  OPENSSL_free(der);
}

}  // namespace

void use_certificate(SSL_CTX& context, int purpose, const std::string& certificate,
                     const std::string& key, std::vector<std::string>& warnings,
                     Mistakes& mistakes) {
  std::vector<Certificate> chain;
  auto wrong_chain = read_certificates("certificate", certificate, chain);
  Key secret;
  auto wrong_key = read_key(key, secret, warnings);
  for (auto* const mistake : {&wrong_chain, &wrong_key}) {
    if (*mistake) mistakes.push_back(**mistake);
  }
  if (wrong_chain || wrong_key) return;
  if (X509_check_private_key(chain.front().get(), secret.get()) != 1) {
    ERR_clear_error();
    mistakes.push_back(
        wrong("key", key,
              "does not belong to the first certificate of \"" + certificate + "\" (\"" +
                  words_of(X509_get_subject_name(chain.front().get())) +
                  "\"); this end's own certificate stands first, those that it was issued "
                  "by follow"));
    return;
  }
  for (const auto& one : chain) {
    warn_if_not_valid(certificate, one.get(), warnings);
    warn_if_of_other_curve(certificate, one.get(), warnings);
    make_shareable(*one);
  }
  warn_if_for_others(certificate, chain.front().get(), purpose, warnings);
  bool used = SSL_CTX_use_certificate(&context, chain.front().get()) == 1 &&
              SSL_CTX_use_PrivateKey(&context, secret.get()) == 1;
  for (std::size_t i = 1; used && i < chain.size(); ++i) {
    used = SSL_CTX_add1_chain_cert(&context, chain[i].get()) == 1;
  }
  if (!used) {
    mistakes.push_back(wrong("certificate", certificate, "cannot be used: " + why_failed()));
  }
  ERR_clear_error();
}

void believe(SSL_CTX& context, std::string_view role, const std::string& path, bool announce,
             Mistakes& mistakes) {
  std::vector<Certificate> certificates;
  if (auto mistake = read_certificates(role, path, certificates)) {
    return mistakes.push_back(*std::move(mistake));
  }
  X509_STORE* store = SSL_CTX_get_cert_store(&context);
  for (const auto& one : certificates) {
    make_shareable(*one);
    if (X509_STORE_add_cert(store, one.get()) != 1 ||
        (announce && SSL_CTX_add_client_CA(&context, one.get()) != 1)) {
      mistakes.push_back(wrong(role, path, "cannot be used: " + why_failed()));
      ERR_clear_error();
      return;
    }
  }
  // What the user has written into the file is believed, whoever issued it.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(&context), X509_V_FLAG_PARTIAL_CHAIN);
}

}  // namespace finhold::tls
