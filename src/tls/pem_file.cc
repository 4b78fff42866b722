#include "tls/pem_file.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "base/error.h"

namespace finhold::tls {
namespace {

constexpr std::size_t longest_file = std::size_t{4}
                                     << 20U;  // the system's authorities have 0.2 MiB

// A service starts in another directory than the one where the file was tried out.
std::string looked_for(const std::string& path) {
  if (path.starts_with('/')) return {};
  std::error_code none;
  const auto directory = std::filesystem::current_path(none);
  if (none) return {};
  return "; finhold was started in \"" + directory.string() + "\", write the whole path";
}

}  // namespace

void FreeMemory::operator()(BIO* memory) const { BIO_free_all(memory); }

PemFile::~PemFile() { OPENSSL_cleanse(bytes_.data(), bytes_.size()); }

int PemFile::read(const std::string& path) {
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

MemoryBio PemFile::as_bio() const {
  return MemoryBio(BIO_new_mem_buf(bytes_.data(), static_cast<int>(size_)));
}

void PemFile::grow() {
  constexpr std::size_t at_first = 64'000;
  std::vector<char> larger(bytes_.empty() ? at_first : 2 * bytes_.size());
  std::copy(bytes_.begin(), bytes_.end(), larger.begin());
  OPENSSL_cleanse(bytes_.data(), bytes_.size());
  bytes_.swap(larger);
}

base::Mistake wrong(std::string_view role, const std::string& path, const std::string& why) {
  return {std::string(role) + " \"" + path + "\" " + why};
}

std::optional<base::Mistake> read_file(std::string_view role, const std::string& path,
                                       PemFile& contents) {
  const int error = contents.read(path);
  if (error == 0) return std::nullopt;
  std::string why = "cannot be read: " + base::errno_text(error);
  if (error == EACCES) why += "; let the user that finhold runs as read it";
  if (error == ENOENT) why += looked_for(path);
  return wrong(role, path, why);
}

bool at_end_of_pem() {
  const unsigned long error = ERR_peek_last_error();
  return ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
}

}  // namespace finhold::tls
