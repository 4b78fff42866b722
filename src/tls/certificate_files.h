// Certificates and keys from files. Private to tls/.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "tls/context.h"

namespace finhold::tls {

// All mistakes are added to `mistakes`; they begin with the key of the configuration and the path.

// The certificate may be followed by those that it was issued by; one that is not valid at present
// is a warning, and so are one that is not for `purpose` (of OpenSSL: whom the other end takes us
// for), one with a key that dear_messages.h refuses, and a key that others may read.
void use_certificate(ssl_ctx_st& context, int purpose, const std::string& certificate,
                     const std::string& key, std::vector<std::string>& warnings,
                     Mistakes& mistakes);

// The certificates of a file are believed: what they issued, and they themselves.
// `announce`: clients are told their names.
void believe(ssl_ctx_st& context, std::string_view role, const std::string& path, bool announce,
             Mistakes& mistakes);

}  // namespace finhold::tls
