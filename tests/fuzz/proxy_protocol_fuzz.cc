// Any bytes as the beginning of a connection that should begin with a PROXY protocol header: a
// verdict, the same however the bytes come in pieces, never a read behind them.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/check.h"
#include "net/proxy_protocol.h"

using finhold::net::longest_proxy_header;
using finhold::net::ProxyHeaderRead;
using What = ProxyHeaderRead::What;

namespace {

// In memory of its own, so that AddressSanitizer sees a byte read too far.
ProxyHeaderRead read(const std::uint8_t* data, std::size_t size) {
  const std::vector<std::uint8_t> bytes(data, data + size);
  return finhold::net::read_proxy_header(std::as_bytes(std::span(bytes)));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const ProxyHeaderRead whole = read(data, size);
  // Needs no more than it may have.
  if (whole.what == What::needs_more) FINHOLD_CHECK(size < longest_proxy_header);
  if (whole.what == What::invalid) FINHOLD_CHECK(*whole.mistake != '\0');
  if (whole.what == What::complete) {
    FINHOLD_CHECK(whole.length > 0 && whole.length <= std::min(size, longest_proxy_header));
  }

  // In pieces: once judged, judged for ever, and a header is complete with its last byte.
  for (std::size_t length = 0; length < std::min<std::size_t>(size, 300); ++length) {
    const ProxyHeaderRead part = read(data, length);
    if (part.what == What::needs_more) continue;
    FINHOLD_CHECK(part.what == whole.what && part.length == whole.length);
    if (part.what == What::complete) FINHOLD_CHECK(length >= whole.length);
  }

  // What it tells can be passed on.
  if (whole.addresses) {
    for (const auto version : {finhold::net::ProxyVersion::v1, finhold::net::ProxyVersion::v2}) {
      const std::string header = finhold::net::proxy_header(version, *whole.addresses);
      const auto again = finhold::net::read_proxy_header(std::as_bytes(std::span(header)));
      FINHOLD_CHECK(again.what == What::complete && again.length == header.size());
      FINHOLD_CHECK(again.addresses->source.unmapped() == whole.addresses->source.unmapped());
      FINHOLD_CHECK(again.addresses->destination.unmapped() ==
                    whole.addresses->destination.unmapped());
    }
  }
  return 0;
}
