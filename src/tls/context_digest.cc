#include "tls/context_digest.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstddef>
#include <cstdlib>
#include <filesystem>
#include <span>
#include <string_view>
#include <sys/stat.h>
#include <system_error>
#include <vector>

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "tls/pem_file.h"

namespace finhold::tls {
namespace {

// Debian has 140. More than these do not count.
constexpr std::size_t most_in_directory = 10'000;

std::string digest_of_bytes(std::span<const char> bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr);
  return {reinterpret_cast<const char*>(digest.data()), size};
}

// "5ed36f99.0", as "openssl rehash" makes them.
bool is_looked_for(std::string_view name) {
  constexpr std::size_t hash = 8;
  if (name.size() < hash + 2 || name[hash] != '.') return false;
  const auto is_hex = [](char c) { return std::isxdigit(static_cast<unsigned char>(c)) != 0; };
  return std::all_of(name.begin(), name.begin() + hash, is_hex);
}

// Names that belong to files elsewhere, as Debian's do, change with these.
std::string listing_of(const std::string& directory) {
  std::vector<std::string> lines;
  std::error_code error;
  std::filesystem::directory_iterator at(directory, error);
  for (; !error && at != std::filesystem::directory_iterator() && lines.size() < most_in_directory;
       at.increment(error)) {
    const std::string name = at->path().filename();
    struct stat status = {};
    if (!is_looked_for(name) || stat(at->path().c_str(), &status) != 0) continue;
    lines.push_back(name + ' ' + std::to_string(status.st_size) + ' ' +
                    std::to_string(status.st_mtim.tv_sec) + '.' +
                    std::to_string(status.st_mtim.tv_nsec) + '\n');
  }
  std::sort(lines.begin(), lines.end());
  std::string all;
  for (const std::string& line : lines) all += line;
  return all;
}

// As OpenSSL asks for it.
std::string found_at(const char* variable, const char* otherwise) {
  const char* const set = secure_getenv(variable);
  return set != nullptr ? set : otherwise;
}

}  // namespace

std::string digest_of(std::initializer_list<std::string> paths) {
  std::string digests;
  for (const std::string& path : paths) {
    digests += '.';
    PemFile contents;
    if (path.empty() || contents.read(path) != 0) continue;
    digests += digest_of_bytes(contents.bytes());
  }
  return digests;
}

SystemAuthorities SystemAuthorities::find() {
  return {found_at(X509_get_default_cert_file_env(), X509_get_default_cert_file()),
          found_at(X509_get_default_cert_dir_env(), X509_get_default_cert_dir())};
}

std::string SystemAuthorities::digest() const {
  return digest_of({file_}) + digest_of_bytes(listings());
}

std::string SystemAuthorities::listings() const {
  std::string all;
  for (std::size_t begin = 0; begin <= directories_.size();) {
    const std::size_t end = std::min(directories_.find(':', begin), directories_.size());
    if (end > begin) all += listing_of(directories_.substr(begin, end - begin));
    begin = end + 1;
  }
  return all;
}

}  // namespace finhold::tls
