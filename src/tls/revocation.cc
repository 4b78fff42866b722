#include "tls/revocation.h"

#include <algorithm>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "tls/messages.h"
#include "tls/pem_file.h"

namespace finhold::tls {
namespace {

using base::Mistake;
using Lists = std::vector<Owned<X509_CRL, X509_CRL_free>>;

std::optional<Mistake> read_lists(const std::string& path, Lists& lists) {
  PemFile contents;
  if (auto mistake = read_file("crl", path, contents)) return mistake;
  const MemoryBio from = contents.as_bio();
  ERR_clear_error();
  while (X509_CRL* one = PEM_read_bio_X509_CRL(from.get(), nullptr, nullptr, nullptr)) {
    lists.emplace_back(one);
  }
  if (!at_end_of_pem()) {
    return wrong("crl", path,
                 "has a damaged list (number " + std::to_string(lists.size() + 1) +
                     "): " + why_failed() + "; copy it again from where it was issued");
  }
  ERR_clear_error();
  if (lists.empty()) {
    return wrong("crl", path,
                 "holds no list of revoked certificates in PEM form; it must have a line "
                 "\"-----BEGIN X509 CRL-----\" (a DER file becomes one by \"openssl crl -inform "
                 "der\")");
  }
  return std::nullopt;
}

std::vector<X509*> authorities_of(X509_STORE& store) {
  std::vector<X509*> found;
  const STACK_OF(X509_OBJECT)* objects = X509_STORE_get0_objects(&store);
  for (int i = 0; i < sk_X509_OBJECT_num(objects); ++i) {
    X509* const one = X509_OBJECT_get0_X509(sk_X509_OBJECT_value(objects, i));
    if (one != nullptr && X509_check_ca(one) > 0) found.push_back(one);
  }
  return found;
}

bool is_of(X509_CRL* list, X509* authority) {
  const bool is = X509_NAME_cmp(X509_CRL_get_issuer(list), X509_get_subject_name(authority)) == 0 &&
                  X509_CRL_verify(list, X509_get0_pubkey(authority)) == 1;
  ERR_clear_error();
  return is;
}

std::string list_of(X509_CRL* list) {
  return "the list of \"" + words_of(X509_CRL_get_issuer(list)) + "\" ";
}

void warn_of_dates(const std::string& begin, X509_CRL* list, std::vector<std::string>& warnings) {
  const ASN1_TIME* const from = X509_CRL_get0_lastUpdate(list);
  const ASN1_TIME* const until = X509_CRL_get0_nextUpdate(list);
  if (until != nullptr && X509_cmp_current_time(until) < 0) {
    warnings.push_back(begin + list_of(list) + "was good until " + words_of_time(until) +
                       " (nextUpdate): who was issued a certificate by it is refused until a newer "
                       "one is there; fetch that, and send SIGHUP");
  } else if (X509_cmp_current_time(from) > 0) {
    warnings.push_back(begin + list_of(list) + "is not good before " + words_of_time(from) +
                       ": who was issued a certificate by it is refused until then");
  }
}

void warn(const std::string& path, std::string_view ca_role, const Lists& lists,
          const std::vector<X509*>& authorities, std::vector<std::string>& warnings) {
  const std::string begin = "crl \"" + path + "\": ";
  for (const auto& list : lists) {
    warn_of_dates(begin, list.get(), warnings);
    if (std::any_of(authorities.begin(), authorities.end(),
                    [&](X509* one) { return is_of(list.get(), one); })) {
      continue;
    }
    warnings.push_back(begin + list_of(list.get()) + "was signed by no authority that ");
    warnings.back()
        .append(ca_role)
        .append(
            " has, so it counts only below one that is shown together with a certificate; take the "
            "list of those in ")
        .append(ca_role);
  }
  for (X509* const one : authorities) {
    if (std::any_of(lists.begin(), lists.end(),
                    [&](const auto& list) { return is_of(list.get(), one); })) {
      continue;
    }
    warnings.push_back(begin + "it has no list of \"" + words_of(X509_get_subject_name(one)) +
                       "\", which ");
    warnings.back().append(ca_role).append(
        " has: whoever shows a certificate that this one has issued is refused; add its list, an "
        "empty one if nothing is revoked");
  }
}

}  // namespace

void revoke(SSL_CTX& context, const std::string& path, std::string_view ca_role,
            std::vector<std::string>& warnings, Mistakes& mistakes) {
  Lists lists;
  if (auto mistake = read_lists(path, lists)) return mistakes.push_back(*std::move(mistake));
  X509_STORE* const store = SSL_CTX_get_cert_store(&context);
  for (const auto& list : lists) {
    if (X509_STORE_add_crl(store, list.get()) == 1) continue;
    mistakes.push_back(wrong("crl", path, "cannot be used: " + why_failed()));
    ERR_clear_error();
    return;
  }
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(&context),
                              X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
  warn(path, ca_role, lists, authorities_of(*store), warnings);
}

bool is_about_believed(X509_STORE_CTX* verification) {
  const int shown = X509_STORE_CTX_get_num_untrusted(verification);
  if (X509_STORE_CTX_get_error_depth(verification) < shown) return false;
  switch (X509_STORE_CTX_get_error(verification)) {
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_UNABLE_TO_GET_CRL_ISSUER:
    case X509_V_ERR_CRL_SIGNATURE_FAILURE:
      return true;
    default:
      return false;
  }
}

}  // namespace finhold::tls
