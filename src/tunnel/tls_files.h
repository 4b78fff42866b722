// Certificates and keys from files. Private to tunnel/tls*.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "tunnel/tls.h"

namespace finhold::tunnel {

// All mistakes are added to `mistakes`; they begin with the key of the configuration and the path.

// The certificate may be followed by those that it was issued by; one that is not valid at present
// is a warning, and so is a key that others may read.
void use_certificate(ssl_ctx_st& context, const std::string& certificate, const std::string& key,
                     std::vector<std::string>& warnings, TlsMistakes& mistakes);

// The certificates of a file are believed: what they issued, and they themselves.
// `announce`: clients are told their names.
void believe(ssl_ctx_st& context, std::string_view role, const std::string& path, bool announce,
             TlsMistakes& mistakes);

// Of what is in these files; "" for a path, and a file that cannot be read, count as empty.
std::string digest_of(std::initializer_list<std::string> paths);

}  // namespace finhold::tunnel
