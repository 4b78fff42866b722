// Files in PEM form, and what all that is read from them has in common. Private to tls/.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <sys/stat.h>
#include <vector>

#include "base/result.h"

struct bio_st;

namespace finhold::tls {

template <typename Type, void (*free)(Type*)>
struct Free {
  void operator()(Type* it) const { free(it); }
};
template <typename Type, void (*free)(Type*)>
using Owned = std::unique_ptr<Type, Free<Type, free>>;
struct FreeMemory {
  void operator()(bio_st* memory) const;
};
using MemoryBio = std::unique_ptr<bio_st, FreeMemory>;

// A file in memory that is wiped afterwards: it may hold a key.
class PemFile {
 public:
  PemFile() = default;
  PemFile(const PemFile&) = delete;
  PemFile& operator=(const PemFile&) = delete;
  ~PemFile();

  // 0, or an errno.
  int read(const std::string& path);

  [[nodiscard]] std::span<const char> bytes() const { return {bytes_.data(), size_}; }
  // Of the file that was read.
  [[nodiscard]] const struct stat& status() const { return status_; }

  // Valid as long as this is.
  [[nodiscard]] MemoryBio as_bio() const;

 private:
  void grow();

  std::vector<char> bytes_;
  std::size_t size_ = 0;
  struct stat status_ = {};
};

// About the file that a key of the configuration (`role`) names.
base::Mistake wrong(std::string_view role, const std::string& path, const std::string& why);

// Nothing: it was read.
std::optional<base::Mistake> read_file(std::string_view role, const std::string& path,
                                       PemFile& contents);

// Whether OpenSSL's last error is that nothing more stands in the file.
bool at_end_of_pem();

}  // namespace finhold::tls
