// Comparing what only those who know it may pass with.
#pragma once

#include <cstddef>
#include <string_view>

namespace finhold::tls {

// Takes as long for a guess whose first characters are right as for one that is all wrong, so that
// a secret cannot be found character by character. Its length may show: that helps nobody with a
// token that was made by chance. (OpenSSL's CRYPTO_memcmp does the same; its header stays in
// tls*.cc.)
inline bool is_same_secret(std::string_view one, std::string_view other) {
  if (one.size() != other.size()) return false;
  volatile unsigned char differences = 0;  // volatile: no compiler may leave the loop early
  for (std::size_t i = 0; i < one.size(); ++i) {
    differences = static_cast<unsigned char>(
        differences | (static_cast<unsigned char>(one[i]) ^ static_cast<unsigned char>(other[i])));
  }
  return differences == 0;
}

}  // namespace finhold::tls
