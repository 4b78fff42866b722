// Lists of revoked certificates (CRL, RFC 5280 section 5) from a file. Private to tls/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tls/context.h"

struct x509_store_ctx_st;

namespace finhold::tls {

// From now on each certificate that is shown, and each between it and one that the store has, must
// be on a list's good side: there must be a list of who has issued it, in force today, and the
// certificate not on it. After believe(), whose file `ca_role` names. What is about to surprise is
// a warning: lists that are over, and authorities without one.
void revoke(ssl_ctx_st& context, const std::string& path, std::string_view ca_role,
            std::vector<std::string>& warnings, Mistakes& mistakes);

// In the callback about a mistake: whether it is only that nobody's list speaks of the certificate
// that the user has written into ca or client_ca. That one is believed, whoever issued it; OpenSSL
// has no way to ask for its list where its issuer is not there (X509_V_FLAG_PARTIAL_CHAIN).
bool is_about_believed(x509_store_ctx_st* verification);

}  // namespace finhold::tls
