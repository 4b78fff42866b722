// Why OpenSSL refused something, in words for a person. Private to tls/.
#pragma once

#include <string>
#include <string_view>

struct X509_name_st;
struct asn1_string_st;
struct x509_st;
struct x509_store_ctx_st;

namespace finhold::tls {

// "CN=far.example.net,O=Example", cut if very long; nothing in it but printable ASCII.
std::string words_of(const X509_name_st* name);

// "Nov 22 16:00:12 2026 GMT".
std::string words_of_time(const asn1_string_st* time);

// Since when, and until when, a certificate is valid.
std::string valid_from(const x509_st* certificate);
std::string valid_until(const x509_st* certificate);

// Whose certificate is judged, and by what.
struct Judged {
  std::string_view server_name;  // that it had to be for; empty: it is a client's
  bool by_system = false;        // by the authorities that the system knows, since ca is empty
};

// Of a certificate that was not believed, in the callback that is told so.
std::string why_not_believed(x509_store_ctx_st* verification, const Judged& judged);

// Of the first error that OpenSSL noted on this thread since they were last cleared.
std::string why_failed();

}  // namespace finhold::tls
