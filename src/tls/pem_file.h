// Files in PEM form, and what all that is read from them has in common. Private to tunnel/tls*.
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

namespace finhold::tunnel {

template <typename Type, void (*free)(Type*)>
struct TlsFree {
  void operator()(Type* it) const { free(it); }
};
template <typename Type, void (*free)(Type*)>
using TlsOwned = std::unique_ptr<Type, TlsFree<Type, free>>;
struct TlsFreeMemory {
  void operator()(bio_st* memory) const;
};
using TlsMemory = std::unique_ptr<bio_st, TlsFreeMemory>;

// A file in memory that is wiped afterwards: it may hold a key.
class TlsContents {
 public:
  TlsContents() = default;
  TlsContents(const TlsContents&) = delete;
  TlsContents& operator=(const TlsContents&) = delete;
  ~TlsContents();

  // 0, or an errno.
  int read(const std::string& path);

  [[nodiscard]] std::span<const char> bytes() const { return {bytes_.data(), size_}; }
  // Of the file that was read.
  [[nodiscard]] const struct stat& status() const { return status_; }

  // Valid as long as this is.
  [[nodiscard]] TlsMemory as_bio() const;

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
                                       TlsContents& contents);

// Whether OpenSSL's last error is that nothing more stands in the file.
bool at_end_of_pem();

}  // namespace finhold::tunnel
