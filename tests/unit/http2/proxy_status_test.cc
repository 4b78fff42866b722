#include "http2/proxy_status.h"

#include <doctest/doctest.h>

namespace finhold::http2 {
namespace {

TEST_CASE("proxy status: what is written is understood") {
  for (int i = 1; i <= static_cast<int>(ProxyError::proxy_internal_error); ++i) {
    const auto error = static_cast<ProxyError>(i);
    CHECK(proxy_error_in(proxy_status_of(error)) == error);
  }
}

TEST_CASE(
    "proxy status: the first member with an error, whoever wrote it and whatever else it says") {
  const auto in = &proxy_error_in;
  CHECK(in("ExampleCDN; error=connection_timeout") == ProxyError::connection_timeout);
  CHECK(in("\"a \\\"quoted\\\", name\";error=dns_error") == ProxyError::dns_error);
  CHECK(in("p ;error=dns_error") == ProxyError::none);  // no space before the semicolon
  CHECK(in("p;  error=dns_error") == ProxyError::dns_error);
  CHECK(in("near, p;error=dns_error,q;error=connection_refused") == ProxyError::dns_error);
  CHECK(in("p; received-status=502; details=\"a; error=dns_error\"; error=connection_refused; "
           "next-hop=\"10.0.0.1:7\"") == ProxyError::connection_refused);
  CHECK(in("p; alpn=:aDI=:; rcode=?1; flag; error=dns_timeout") == ProxyError::dns_timeout);
  CHECK(in("p; error=dns_error; error=dns_timeout") == ProxyError::dns_error);
}

TEST_CASE("proxy status: what is malformed or says nothing is none") {
  for (const char* header :
       {"", " ", ",", "p", "p;", "p; error", "p; error=", "p; error=tls_alert_received",
        "p; error=\"dns_error", "p; error=dns_error,", "p; error=dns_error q",
        "p; Error=x; =dns_error", "p; details=\"\\", "p; error=DNS_ERROR", "p, ; error=dns_error",
        "\x7f", "p; error=dns_error\x01"}) {
    CAPTURE(header);
    CHECK(proxy_error_in(header) == ProxyError::none);
  }
}

}  // namespace
}  // namespace finhold::http2
