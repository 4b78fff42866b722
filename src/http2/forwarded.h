// The Forwarded header (RFC 7239): a near end tells the far end by it who its client is.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/address.h"

namespace finhold::http2 {

// for="192.0.2.1:4711", for="[2001:db8::1]:4711"
std::string forwarded_for(const base::Address& client);

// Whom the nearest proxy names as its client: the `for` of the last element, which that proxy has
// added, whatever it was told itself. Port 0 if it names none. Nothing: the header is empty or
// malformed, the name is no address ("unknown", "_hidden"), or the header is longer than 1 KiB: it
// is read before it is known whether its sender may ask for anything, and a few bytes of HPACK can
// repeat much of it.
std::optional<base::Address> forwarded_client(std::string_view header);

}  // namespace finhold::http2
