#include "tls/messages.h"

#include <algorithm>
#include <memory>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

namespace finhold::tls {
namespace {

constexpr std::size_t longest_name = 200;
constexpr int most_names = 5;

using Memory = std::unique_ptr<BIO, decltype(&BIO_free)>;

Memory memory() { return {BIO_new(BIO_s_mem()), &BIO_free}; }

// It is the other side that has written much of it.
std::string fit(std::string text) {
  if (text.size() > longest_name) text = text.substr(0, longest_name) + "...";
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c < ' ' || c > '~'; }, '?');
  return text;
}

std::string written(const Memory& from) {
  char* text = nullptr;
  const long size = BIO_get_mem_data(from.get(), &text);
  return size > 0 ? fit({text, static_cast<std::size_t>(size)}) : std::string();
}

// "far.example.net, 192.0.2.7": what a certificate is for.
std::string names_of(const X509* certificate) {
  const std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> names(
      static_cast<GENERAL_NAMES*>(
          X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)),
      &GENERAL_NAMES_free);
  std::string all;
  int shown = 0;
  for (int i = 0; i < sk_GENERAL_NAME_num(names.get()); ++i) {
    if (shown++ == most_names) return all + ", ...";
    const Memory to = memory();
    GENERAL_NAME_print(to.get(), sk_GENERAL_NAME_value(names.get(), i));
    all += (all.empty() ? "" : ", ") + written(to);
  }
  return all;
}

std::string_view words_of_alert(int alert) {
  switch (alert) {
    case SSL_AD_UNKNOWN_CA:
      return "it does not know who issued our certificate";
    case SSL_AD_CERTIFICATE_REQUIRED:
      return "it wants a certificate from us, and we have shown none";
    case SSL_AD_CERTIFICATE_EXPIRED:
      return "our certificate, or its authority's list of revoked ones, has expired, or is not "
             "valid "
             "yet";
    case SSL_AD_CERTIFICATE_REVOKED:
      return "our certificate was revoked";
    case SSL_AD_UNSUPPORTED_CERTIFICATE:
      return "our certificate is not meant for our end (its extendedKeyUsage must have serverAuth "
             "for "
             "a far end, clientAuth for a near end)";
    case SSL_AD_BAD_CERTIFICATE:
    case SSL_AD_CERTIFICATE_UNKNOWN:
      return "it does not accept our certificate";
    case SSL_AD_PROTOCOL_VERSION:
      return "it does not speak TLS 1.3";
    case SSL_AD_NO_APPLICATION_PROTOCOL:
      return "it does not speak HTTP/2 (ALPN h2)";
    case SSL_AD_UNRECOGNIZED_NAME:
      return "it is not the server of that name";
    case SSL_AD_HANDSHAKE_FAILURE:
      return "we have no algorithm in common";
    default:
      return {};
  }
}

std::string who_lists(const Judged& judged) {
  if (judged.server_name.empty()) return "the client_ca does not list";
  if (!judged.by_system) return "the ca does not list";
  return "is none of the authorities that this system knows; if it is your own, write ca = "
         "\"ca.pem\", its certificate, in tls of [[tunnel]]";
}

// " on Nov 22 16:00:12 2026 GMT", if that is known.
std::string when_revoked(X509_STORE_CTX* verification, const X509* certificate) {
  X509_CRL* const list = X509_STORE_CTX_get0_current_crl(verification);
  X509_REVOKED* entry = nullptr;
  if (list == nullptr ||
      X509_CRL_get0_by_serial(list, &entry, X509_get0_serialNumber(certificate)) == 0) {
    return {};
  }
  return " on " + words_of_time(X509_REVOKED_get0_revocationDate(entry));
}

std::string why_no_list(X509_STORE_CTX* verification) {
  const X509_CRL* const list = X509_STORE_CTX_get0_current_crl(verification);
  switch (X509_STORE_CTX_get_error(verification)) {
    case X509_V_ERR_CRL_HAS_EXPIRED:
      return "was good until " + words_of_time(X509_CRL_get0_nextUpdate(list));
    case X509_V_ERR_CRL_NOT_YET_VALID:
      return "is not good before " + words_of_time(X509_CRL_get0_lastUpdate(list));
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
      return "is by an authority that may sign none (its keyUsage lacks cRLSign)";
    default:
      return "was not signed by that authority";
  }
}

}  // namespace

std::string words_of(const X509_NAME* name) {
  const Memory to = memory();
  X509_NAME_print_ex(to.get(), name, 0, XN_FLAG_RFC2253);
  return written(to);
}

std::string words_of_time(const ASN1_TIME* time) {
  const Memory to = memory();
  ASN1_TIME_print(to.get(), time);
  return written(to);
}

std::string valid_from(const X509* certificate) {
  return words_of_time(X509_get0_notBefore(certificate));
}

std::string valid_until(const X509* certificate) {
  return words_of_time(X509_get0_notAfter(certificate));
}

std::string why_not_believed(X509_STORE_CTX* verification, const Judged& judged) {
  const bool of_server = !judged.server_name.empty();
  const int error = X509_STORE_CTX_get_error(verification);
  const std::string whose = of_server ? "the far end's certificate is refused: "
                                      : "the client's certificate is refused: ";
  const X509* certificate = X509_STORE_CTX_get_current_cert(verification);
  if (certificate == nullptr) return whose + X509_verify_cert_error_string(error);
  const std::string it = "\"" + words_of(X509_get_subject_name(certificate)) + "\" ";
  switch (error) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
      return whose + it + "was valid until " + valid_until(certificate);
    case X509_V_ERR_CERT_NOT_YET_VALID:
      return whose + it + "is valid from " + valid_from(certificate);
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH: {
      const std::string names = names_of(certificate);
      return whose + "it is not for \"" + std::string(judged.server_name) + "\" but for " +
             (names.empty() ? "no name at all (it has no subjectAltName)" : names);
    }
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
      return whose + it + "was issued by \"" + words_of(X509_get_issuer_name(certificate)) +
             "\", which " + who_lists(judged);
    case X509_V_ERR_INVALID_PURPOSE:
      return whose + it + "is not meant for a " + (of_server ? "server" : "client") +
             " (extendedKeyUsage)";
    case X509_V_ERR_CERT_REVOKED:
      return whose + it + "was revoked by \"" + words_of(X509_get_issuer_name(certificate)) + "\"" +
             when_revoked(verification, certificate);
    case X509_V_ERR_UNABLE_TO_GET_CRL:
      return whose + it + "was issued by \"" + words_of(X509_get_issuer_name(certificate)) +
             "\", of which the crl has no list";
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
    case X509_V_ERR_KEYUSAGE_NO_CRL_SIGN:
      return whose + it + "cannot be looked for in the crl: the list of \"" +
             words_of(X509_get_issuer_name(certificate)) + "\" " + why_no_list(verification);
    default:
      return whose + it + "(" + X509_verify_cert_error_string(error) + ")";
  }
}

std::string why_failed() {
  const unsigned long error = ERR_peek_error();
  if (error == 0) return "no reason is known";
  const int reason = ERR_GET_REASON(error);
  if (ERR_GET_LIB(error) == ERR_LIB_SSL) {
    if (reason > SSL_AD_REASON_OFFSET && reason < SSL_AD_REASON_OFFSET + 256) {
      const std::string_view words = words_of_alert(reason - SSL_AD_REASON_OFFSET);
      return "the other side refused: " +
             (words.empty() ? std::string(SSL_alert_desc_string_long(reason - SSL_AD_REASON_OFFSET))
                            : std::string(words));
    }
    switch (reason) {
      case SSL_R_HTTP_REQUEST:
      case SSL_R_HTTPS_PROXY_REQUEST:
      case SSL_R_WRONG_VERSION_NUMBER:
      case SSL_R_BAD_PROTOCOL_VERSION_NUMBER:
      case SSL_R_UNEXPECTED_MESSAGE:
        return "what the other side sends is not TLS";
      case SSL_R_EXCESSIVE_MESSAGE_SIZE:
        return "the other side's chain of certificates is too long: 8 KiB are taken from a near "
               "end, "
               "32 KiB from a far end; leave the authority's own away, or take EC keys";
      case SSL_R_UNSUPPORTED_PROTOCOL:
      case SSL_R_WRONG_SSL_VERSION:
      case SSL_R_VERSION_TOO_LOW:
        return "the other side does not speak TLS 1.3";
      case SSL_R_NO_SUITABLE_KEY_SHARE:
      case SSL_R_NO_SUITABLE_GROUPS:
      case SSL_R_NO_SHARED_GROUPS:
        return "the other side offers none of the groups X25519 and P-256";
      case SSL_R_NO_APPLICATION_PROTOCOL:
        return "the other side does not speak HTTP/2 (ALPN h2)";
      case SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE:
        return "the client has shown no certificate";
      case SSL_R_DECRYPTION_FAILED_OR_BAD_RECORD_MAC:
        return "a record was changed on its way, or is not TLS";
      default:
        break;
    }
  }
  const char* words = ERR_reason_error_string(error);
  return words != nullptr ? words : "OpenSSL error " + std::to_string(error);
}

}  // namespace finhold::tls
