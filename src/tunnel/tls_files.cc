#include "tunnel/tls_files.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <sys/stat.h>
#include <system_error>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/private_file.h"
#include "tunnel/tls_words.h"

namespace finhold::tunnel {
namespace {

using base::Mistake;

// OpenSSL keeps what a certificate's extensions say in the certificate, when it first needs that.
// All workers share it, so it is done here (with -1 that is all that the call does).
void make_shareable(X509& certificate) { X509_check_purpose(&certificate, -1, 0); }

constexpr std::size_t longest_file = std::size_t{4}
                                     << 20U;  // the system's authorities have 0.2 MiB

template <typename Type, void (*free)(Type*)>
struct Freed {
  void operator()(Type* it) const { free(it); }
};
using Certificate = std::unique_ptr<X509, Freed<X509, X509_free>>;
using Key = std::unique_ptr<EVP_PKEY, Freed<EVP_PKEY, EVP_PKEY_free>>;
using Memory = std::unique_ptr<BIO, Freed<BIO, BIO_free_all>>;

// A file in memory that is wiped afterwards: it may hold a key.
class Contents {
 public:
  Contents() = default;
  Contents(const Contents&) = delete;
  Contents& operator=(const Contents&) = delete;
  ~Contents() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

  // 0, or an errno.
  int read(const std::string& path) {
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"),
                                                               &std::fclose);
    if (!file) return errno;
    static_cast<void>(std::setvbuf(file.get(), nullptr, _IONBF, 0));  // leaves no copy behind
    if (fstat(fileno(file.get()), &status_) != 0) return errno;
    std::size_t size = 0;
    for (std::size_t n = 1; n > 0; size += n) {
      if (size > longest_file) return EFBIG;
      if (size == bytes_.size()) grow();
      errno = 0;
      n = std::fread(bytes_.data() + size, 1, bytes_.size() - size, file.get());
      if (n == 0 && std::ferror(file.get()) != 0) return errno;
    }
    size_ = size;
    return 0;
  }

  [[nodiscard]] std::span<const char> bytes() const { return {bytes_.data(), size_}; }
  // Of the file that was read.
  [[nodiscard]] const struct stat& status() const { return status_; }

  // Valid as long as this is.
  [[nodiscard]] Memory as_bio() const {
    return Memory(BIO_new_mem_buf(bytes_.data(), static_cast<int>(size_)));
  }

 private:
  void grow() {
    constexpr std::size_t at_first = 64'000;
    std::vector<char> larger(bytes_.empty() ? at_first : 2 * bytes_.size());
    std::copy(bytes_.begin(), bytes_.end(), larger.begin());
    OPENSSL_cleanse(bytes_.data(), bytes_.size());
    bytes_.swap(larger);
  }

  std::vector<char> bytes_;
  std::size_t size_ = 0;
  struct stat status_ = {};
};

Mistake wrong(std::string_view role, const std::string& path, const std::string& why) {
  return {std::string(role) + " \"" + path + "\" " + why};
}

// A service starts in another directory than the one where the file was tried out.
std::string looked_for(const std::string& path) {
  if (path.starts_with('/')) return {};
  std::error_code none;
  const auto directory = std::filesystem::current_path(none);
  if (none) return {};
  return "; finhold was started in \"" + directory.string() + "\", write the whole path";
}

std::optional<Mistake> read_file(std::string_view role, const std::string& path,
                                 Contents& contents) {
  const int error = contents.read(path);
  if (error == 0) return std::nullopt;
  std::string why = "cannot be read: " + base::errno_text(error);
  if (error == EACCES) why += "; let the user that finhold runs as read it";
  if (error == ENOENT) why += looked_for(path);
  return wrong(role, path, why);
}

bool at_end_of_file() {
  const unsigned long error = ERR_peek_last_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

std::optional<Mistake> read_certificates(std::string_view role, const std::string& path,
                                         std::vector<Certificate>& certificates) {
  Contents contents;
  if (auto mistake = read_file(role, path, contents)) return mistake;
  const Memory from = contents.as_bio();
  ERR_clear_error();
  while (Certificate one{PEM_read_bio_X509(from.get(), nullptr, nullptr, nullptr)}) {
    certificates.push_back(std::move(one));
  }
  if (!at_end_of_file()) {
    return wrong(role, path,
                 "has a damaged certificate (number " + std::to_string(certificates.size() + 1) +
                     "): " + why_failed() + "; copy it again from where it was issued");
  }
  ERR_clear_error();
  if (certificates.empty()) {
    return wrong(role, path,
                 "holds no certificate in PEM form; it must have a line \"-----BEGIN "
                 "CERTIFICATE-----\" (a DER file becomes one by \"openssl x509 -inform der\")");
  }
  return std::nullopt;
}

int no_password(char* /*buffer*/, int /*size*/, int /*writing*/, void* asked) {
  *static_cast<bool*>(asked) = true;
  return -1;
}

// Who has the key can pose as this end.
void warn_if_not_private(const std::string& path, const struct stat& status,
                         std::vector<std::string>& warnings) {
  const std::string mode = base::mode_if_shared(status);
  if (mode.empty()) return;
  warnings.push_back("key \"" + path + "\" has mode " + mode +
                     ", so others than its owner can use it; " + base::to_make_private);
}

std::optional<Mistake> read_key(const std::string& path, Key& key,
                                std::vector<std::string>& warnings) {
  Contents contents;
  if (auto mistake = read_file("key", path, contents)) return mistake;
  warn_if_not_private(path, contents.status(), warnings);
  const Memory from = contents.as_bio();
  bool encrypted = false;
  ERR_clear_error();
  key.reset(PEM_read_bio_PrivateKey(from.get(), nullptr, &no_password, &encrypted));
  if (key) return std::nullopt;
  if (encrypted) {
    return wrong("key", path,
                 "is encrypted, and finhold asks for no password; \"openssl pkey\" writes it "
                 "without one");
  }
  return wrong("key", path,
               "holds no private key in PEM form; it must have a line \"-----BEGIN PRIVATE "
               "KEY-----\"");
}

void warn_if_not_valid(const std::string& path, const X509* certificate,
                       std::vector<std::string>& warnings) {
  const std::string begin = "certificate \"" + path + "\" ";
  if (X509_cmp_current_time(X509_get0_notAfter(certificate)) < 0) {
    warnings.push_back(begin + "has expired: it was valid until " + valid_until(certificate) +
                       ", and the other side will refuse it");
  } else if (X509_cmp_current_time(X509_get0_notBefore(certificate)) > 0) {
    warnings.push_back(begin + "is not valid before " + valid_from(certificate) +
                       ", and the other side will refuse it until then");
  }
}

}  // namespace

void use_certificate(SSL_CTX& context, const std::string& certificate, const std::string& key,
                     std::vector<std::string>& warnings, TlsMistakes& mistakes) {
  std::vector<Certificate> chain;
  auto wrong_chain = read_certificates("certificate", certificate, chain);
  Key secret;
  auto wrong_key = read_key(key, secret, warnings);
  for (auto* const mistake : {&wrong_chain, &wrong_key}) {
    if (*mistake) mistakes.push_back(**mistake);
  }
  if (wrong_chain || wrong_key) return;
  if (X509_check_private_key(chain.front().get(), secret.get()) != 1) {
    ERR_clear_error();
    mistakes.push_back(
        wrong("key", key,
              "does not belong to the first certificate of \"" + certificate + "\" (\"" +
                  words_of(X509_get_subject_name(chain.front().get())) +
                  "\"); this end's own certificate stands first, those that it was issued "
                  "by follow"));
    return;
  }
  for (const auto& one : chain) {
    warn_if_not_valid(certificate, one.get(), warnings);
    make_shareable(*one);
  }
  bool used = SSL_CTX_use_certificate(&context, chain.front().get()) == 1 &&
              SSL_CTX_use_PrivateKey(&context, secret.get()) == 1;
  for (std::size_t i = 1; used && i < chain.size(); ++i) {
    used = SSL_CTX_add1_chain_cert(&context, chain[i].get()) == 1;
  }
  if (!used) {
    mistakes.push_back(wrong("certificate", certificate, "cannot be used: " + why_failed()));
  }
  ERR_clear_error();
}

void believe(SSL_CTX& context, std::string_view role, const std::string& path, bool announce,
             TlsMistakes& mistakes) {
  std::vector<Certificate> certificates;
  if (auto mistake = read_certificates(role, path, certificates)) {
    return mistakes.push_back(*std::move(mistake));
  }
  X509_STORE* store = SSL_CTX_get_cert_store(&context);
  for (const auto& one : certificates) {
    make_shareable(*one);
    if (X509_STORE_add_cert(store, one.get()) != 1 ||
        (announce && SSL_CTX_add_client_CA(&context, one.get()) != 1)) {
      mistakes.push_back(wrong(role, path, "cannot be used: " + why_failed()));
      ERR_clear_error();
      return;
    }
  }
  // What the user has written into the file is believed, whoever issued it.
  X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(&context), X509_V_FLAG_PARTIAL_CHAIN);
}

std::string digest_of(std::initializer_list<std::string> paths) {
  std::string digests;
  for (const std::string& path : paths) {
    digests += '.';
    Contents contents;
    if (path.empty() || contents.read(path) != 0) continue;
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    const std::span<const char> bytes = contents.bytes();
    EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
    digests.append(reinterpret_cast<const char*>(digest.data()), size);
  }
  return digests;
}

}  // namespace finhold::tunnel
