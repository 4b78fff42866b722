// Which certificates an end of a connection has, and whom it believes: plain values.
#pragma once

#include <string>

namespace finhold::tls {

// Paths of files in PEM form.
struct ClientSettings {
  std::string ca;           // whom to believe; empty: the authorities that the system knows
  std::string certificate;  // shown to the far end, with what it was issued by; empty: none
  std::string key;          // of the certificate
  std::string server_name;  // the name, or the IP address, that the far end's certificate must have
  std::string crl = {};     // what those of ca have revoked; empty: it is not asked

  friend bool operator==(const ClientSettings&, const ClientSettings&) = default;
};

struct ServerSettings {
  std::string certificate;
  std::string key;
  std::string client_ca;  // who issues near ends' certificates; empty: none is asked for
  std::string crl = {};   // what those of client_ca have revoked; empty: it is not asked

  friend bool operator==(const ServerSettings&, const ServerSettings&) = default;
};

}  // namespace finhold::tls
