// What the connections of one end have in common: certificates, and whom to believe.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "tls/settings.h"

struct ssl_ctx_st;

namespace finhold::tls {

class Endpoint;

// What is wrong with files: at least one.
using Mistakes = std::vector<base::Mistake>;

// Immutable, so any thread may start connections with it; these keep what they need of it when it
// is replaced. Only TLS 1.3, with ALPN "h2" (RFC 9113 section 3.2). No early data, which could be
// replayed. No session tickets: a connection lives long, and each new one is to be judged by
// today's certificates.
class Context {
 public:
  // Reads the files. Each mistake names the file, what is wrong, and the cure.
  static base::Result<Context, Mistakes> load(const ClientSettings& settings);
  static base::Result<Context, Mistakes> load(const ServerSettings& settings);

  // What the other side will not like, of what was loaded, what will make us refuse it, and keys
  // that others may read: sentences for the log.
  [[nodiscard]] const std::vector<std::string>& warnings() const { return warnings_; }

  // A digest of the files: as long as it is the same they are. Where ca is empty, of the
  // authorities that the system knows: OpenSSL reads these once a context.
  [[nodiscard]] const std::string& fingerprint() const { return fingerprint_; }

  // Records written before the sending key is renewed. AES-GCM allows 2^24.5 (RFC 8446 section
  // 5.5), which a tunnel reaches in some hundred GB; OpenSSL does not count.
  void renew_keys_after(std::uint64_t records) { records_per_key_ = records; }

 private:
  friend class Endpoint;
  struct Free {
    void operator()(ssl_ctx_st* context) const;
  };

  Context(ssl_ctx_st* context, std::string server_name)
      : context_(context), server_name_(std::move(server_name)) {}

  std::unique_ptr<ssl_ctx_st, Free> context_;
  std::string server_name_;      // empty: this is the far end
  bool announces_name_ = false;  // an IP address is no server_name of RFC 6066 section 3
  bool asks_system_ = false;     // ca is empty
  std::vector<std::string> warnings_;
  std::string fingerprint_;
  std::uint64_t records_per_key_ = std::uint64_t{1} << 24U;
};

}  // namespace finhold::tls
