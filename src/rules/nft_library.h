// libnftables, which nft(8) is made of: a table that it has made with `flags owner` belongs to its
// netlink socket. So nobody else can change or flush it, and it goes with the process, however that
// ends (Linux 5.12). The library is loaded when it is needed: only who keeps rules needs it, and it
// is there where nft is.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/result.h"

struct nft_ctx;

namespace finhold::rules {

class NftLibrary {
 public:
  static base::Result<NftLibrary, base::Mistake> load();

  // All of these commands or none, as "nft -f" would; blocks.
  std::optional<base::Mistake> run(const std::string& commands);

 private:
  struct Free {
    void operator()(nft_ctx* context) const;
  };

  explicit NftLibrary(nft_ctx* context) : context_(context) {}

  std::unique_ptr<nft_ctx, Free> context_;
};

}  // namespace finhold::rules
