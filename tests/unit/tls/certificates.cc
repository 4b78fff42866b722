#include "unit/tls/certificates.h"

#include <array>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <memory>

#include <doctest/doctest.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

namespace finhold::test {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;
using Certificate = std::unique_ptr<X509, decltype(&X509_free)>;
using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

File open(const std::string& path, const char* mode) {
  File file(std::fopen(path.c_str(), mode), &std::fclose);
  REQUIRE_MESSAGE(file, path);
  return file;
}

Key read_key(const std::string& path) {
  return {PEM_read_PrivateKey(open(path, "r").get(), nullptr, nullptr, nullptr), &EVP_PKEY_free};
}

Certificate read_certificate(const std::string& path) {
  return {PEM_read_X509(open(path, "r").get(), nullptr, nullptr, nullptr), &X509_free};
}

void extend(X509* certificate, X509* issuer, int what, const std::string& value) {
  X509V3_CTX context;
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  const std::unique_ptr<X509_EXTENSION, decltype(&X509_EXTENSION_free)> extension(
      X509V3_EXT_conf_nid(nullptr, &context, what, value.c_str()), &X509_EXTENSION_free);
  REQUIRE_MESSAGE(extension, value);
  X509_add_ext(certificate, extension.get(), -1);
}

Certificate draft(EVP_PKEY* key, const std::string& subject, long number) {
  constexpr long version_3 = 2;
  Certificate certificate(X509_new(), &X509_free);
  X509_set_version(certificate.get(), version_3);
  ASN1_INTEGER_set(X509_get_serialNumber(certificate.get()), number);
  X509_set_pubkey(certificate.get(), key);
  X509_NAME_add_entry_by_txt(X509_get_subject_name(certificate.get()), "CN", MBSTRING_UTF8,
                             reinterpret_cast<const unsigned char*>(subject.data()),
                             static_cast<int>(subject.size()), -1, 0);
  return certificate;
}

void set_days(X509* certificate, int from, int until) {
  X509_time_adj_ex(X509_getm_notBefore(certificate), from, 0, nullptr);
  X509_time_adj_ex(X509_getm_notAfter(certificate), until, 0, nullptr);
}

void save(const std::string& certificate_path, const X509* certificate, const std::string& key_path,
          const EVP_PKEY* key) {
  PEM_write_X509(open(certificate_path, "w").get(), certificate);
  PEM_write_PrivateKey(open(key_path, "w").get(), key, nullptr, nullptr, 0, nullptr, nullptr);
  std::filesystem::permissions(key_path, std::filesystem::perms::owner_read);
}

}  // namespace

Authority::Authority(const std::string& name) { make(name, nullptr); }

Authority::Authority(const std::string& name, Authority& issuer) { make(name, &issuer); }

void Authority::make(const std::string& name, Authority* issuer) {
  std::string pattern = std::filesystem::temp_directory_path() / "finhold-unit-XXXXXX";
  REQUIRE(mkdtemp(pattern.data()) != nullptr);
  directory_ = pattern;
  const Key secret(EVP_EC_gen("P-256"), &EVP_PKEY_free);
  const Certificate made = draft(secret.get(), name, issuer != nullptr ? ++issuer->issued_ + 1 : 1);
  const Certificate of_issuer = issuer != nullptr ? read_certificate(issuer->certificate())
                                                  : Certificate{nullptr, &X509_free};
  const Key key_of_issuer =
      issuer != nullptr ? read_key(issuer->key()) : Key{nullptr, &EVP_PKEY_free};
  X509* const by = of_issuer ? of_issuer.get() : made.get();
  X509_set_issuer_name(made.get(), X509_get_subject_name(by));
  set_days(made.get(), -30, 30);
  extend(made.get(), by, NID_basic_constraints, "critical,CA:TRUE");
  extend(made.get(), by, NID_key_usage, "critical,keyCertSign,cRLSign");
  EVP_PKEY* const signing = key_of_issuer ? key_of_issuer.get() : secret.get();
  REQUIRE(X509_sign(made.get(), signing, EVP_sha256()) > 0);
  save(certificate(), made.get(), key(), secret.get());
}

Authority::~Authority() {
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
}

CertificateFiles Authority::issue(const CertificateOptions& options) {
  const Key issuer_key = read_key(key());
  const Certificate issuer = read_certificate(certificate());
  const Key secret(EVP_EC_gen(options.curve.c_str()), &EVP_PKEY_free);
  REQUIRE(secret);
  if (options.parameters) {
    REQUIRE(EVP_PKEY_set_utf8_string_param(secret.get(), OSSL_PKEY_PARAM_EC_ENCODING,
                                           OSSL_PKEY_EC_ENCODING_EXPLICIT) == 1);
  }
  if (options.compressed) {
    REQUIRE(EVP_PKEY_set_utf8_string_param(secret.get(), OSSL_PKEY_PARAM_EC_POINT_CONVERSION_FORMAT,
                                           OSSL_PKEY_EC_POINT_CONVERSION_FORMAT_COMPRESSED) == 1);
  }
  const Certificate made = draft(secret.get(), options.subject, ++issued_ + 1);
  X509_set_issuer_name(made.get(), X509_get_subject_name(issuer.get()));
  set_days(made.get(), options.valid_from, options.valid_until);
  extend(made.get(), issuer.get(), NID_basic_constraints, "critical,CA:FALSE");
  if (!options.usage.empty()) extend(made.get(), issuer.get(), NID_ext_key_usage, options.usage);
  if (!options.names.empty()) {
    extend(made.get(), issuer.get(), NID_subject_alt_name, options.names);
  }
  REQUIRE(X509_sign(made.get(), issuer_key.get(), EVP_sha256()) > 0);
  const std::string number = std::to_string(issued_);
  CertificateFiles files{path(number + ".pem"), path(number + ".key")};
  save(files.certificate, made.get(), files.key, secret.get());
  return files;
}

std::string Authority::list(const std::string& name, const std::vector<std::string>& revoked,
                            RevocationDates dates) {
  const std::unique_ptr<X509_CRL, decltype(&X509_CRL_free)> made(X509_CRL_new(), &X509_CRL_free);
  X509_CRL_set_version(made.get(), 1);
  X509_CRL_set_issuer_name(made.get(),
                           X509_get_subject_name(read_certificate(certificate()).get()));
  const std::unique_ptr<ASN1_TIME, decltype(&ASN1_TIME_free)> time(ASN1_TIME_new(),
                                                                   &ASN1_TIME_free);
  X509_time_adj_ex(time.get(), dates.until, 0, nullptr);
  X509_CRL_set1_nextUpdate(made.get(), time.get());
  X509_time_adj_ex(time.get(), dates.from, 0, nullptr);
  X509_CRL_set1_lastUpdate(made.get(), time.get());
  for (const std::string& path : revoked) {
    X509_REVOKED* const entry = X509_REVOKED_new();
    X509_REVOKED_set_serialNumber(entry, X509_get_serialNumber(read_certificate(path).get()));
    X509_REVOKED_set_revocationDate(entry, time.get());
    X509_CRL_add0_revoked(made.get(), entry);
  }
  X509_CRL_sort(made.get());
  REQUIRE(X509_CRL_sign(made.get(), read_key(key()).get(), EVP_sha256()) > 0);
  PEM_write_X509_CRL(open(path(name), "w").get(), made.get());
  return path(name);
}

std::string Authority::encrypted(const std::string& key) {
  const Key secret = read_key(key);
  std::string password = "password";
  PEM_write_PrivateKey(open(key + ".encrypted", "w").get(), secret.get(), EVP_aes_128_cbc(),
                       reinterpret_cast<unsigned char*>(password.data()),
                       static_cast<int>(password.size()), nullptr, nullptr);
  return key + ".encrypted";
}

std::string Authority::file(const std::string& name, const std::string& text) const {
  std::ofstream(path(name)) << text;
  return path(name);
}

std::string Authority::joined(const std::string& name, const std::vector<std::string>& paths) {
  std::string all;
  for (const std::string& each : paths) {
    std::ifstream from(each);
    all.append(std::istreambuf_iterator<char>(from), {});
  }
  return file(name, all);
}

}  // namespace finhold::test
