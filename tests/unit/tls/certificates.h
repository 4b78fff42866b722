// Certificates made for a test, in a directory that goes with them.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace finhold::test {

struct CertificateOptions {
  std::string subject = "far";
  std::string names = "DNS:far.test,IP:192.0.2.7";  // subjectAltName; empty: none
  std::string usage = "serverAuth,clientAuth";      // extendedKeyUsage; empty: none
  int valid_from = -1;                              // days from now
  int valid_until = 1;
  std::string curve = "P-256";
  bool parameters = false;  // the curve is told by its parameters in place of its name
  bool compressed = false;  // the point
};

// Paths of files.
struct CertificateFiles {
  std::string certificate;
  std::string key;
};

// Of a list of revoked certificates: days from now.
struct RevocationDates {
  int from = -1;
  int until = 1;
};

// A certificate authority.
class Authority {
 public:
  explicit Authority(const std::string& name);
  // One that another one has issued.
  Authority(const std::string& name, Authority& issuer);
  Authority(const Authority&) = delete;
  Authority& operator=(const Authority&) = delete;
  ~Authority();

  [[nodiscard]] std::string certificate() const { return path("ca.pem"); }
  [[nodiscard]] std::string key() const { return path("ca.key"); }
  CertificateFiles issue(const CertificateOptions& options = {});

  // A file with its list (CRL) of these certificates.
  std::string list(const std::string& name, const std::vector<std::string>& revoked,
                   RevocationDates dates = {});

  // The same key in a file with a password.
  static std::string encrypted(const std::string& key);

  // A path in the directory; the second writes a file there.
  [[nodiscard]] std::string path(const std::string& name) const { return directory_ / name; }
  [[nodiscard]] std::string file(const std::string& name, const std::string& text) const;

  // A file there with all that is in these.
  std::string joined(const std::string& name, const std::vector<std::string>& paths);

 private:
  void make(const std::string& name, Authority* issuer);

  std::filesystem::path directory_;
  int issued_ = 0;
};

}  // namespace finhold::test
