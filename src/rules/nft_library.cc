#include "rules/nft_library.h"

#include <cstdint>
#include <dlfcn.h>
#include <type_traits>

#include "base/check.h"

namespace finhold::rules {
namespace {

using base::Mistake;

// As in nftables/libnftables.h, of which no more is needed.
struct Functions {
  nft_ctx* (*ctx_new)(std::uint32_t flags) = nullptr;
  void (*ctx_free)(nft_ctx*) = nullptr;
  int (*ctx_buffer_error)(nft_ctx*) = nullptr;
  const char* (*ctx_get_error_buffer)(nft_ctx*) = nullptr;
  int (*run_cmd_from_buffer)(nft_ctx*, const char*) = nullptr;
};

constexpr const char* library_name = "libnftables.so.1";

// Nothing missing: an empty text.
std::string find_functions(Functions& functions) {
  // Never unloaded.
  void* const library = dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
  // The keeper, whose library this is, has one thread.
  if (library == nullptr) return dlerror();  // NOLINT(concurrency-mt-unsafe)
  const auto find = [library](auto& function, const char* name) {
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(dlsym(library, name));
    return function != nullptr;
  };
  const bool all = find(functions.ctx_new, "nft_ctx_new") &&
                   find(functions.ctx_free, "nft_ctx_free") &&
                   find(functions.ctx_buffer_error, "nft_ctx_buffer_error") &&
                   find(functions.ctx_get_error_buffer, "nft_ctx_get_error_buffer") &&
                   find(functions.run_cmd_from_buffer, "nft_run_cmd_from_buffer");
  return all ? "" : dlerror();  // NOLINT(concurrency-mt-unsafe)
}

Functions& functions() {
  static Functions found;
  return found;
}

}  // namespace

void NftLibrary::Free::operator()(nft_ctx* context) const {
  FINHOLD_CHECK(functions().ctx_free != nullptr);
  functions().ctx_free(context);
}

base::Result<NftLibrary, Mistake> NftLibrary::load() {
  Functions& all = functions();
  if (all.ctx_new == nullptr) {
    Functions found;
    const std::string why = find_functions(found);
    if (!why.empty()) {
      return Mistake{std::string(library_name) + " cannot be loaded (" + why +
                     "); install nftables"};
    }
    all = found;
  }
  FINHOLD_CHECK(all.ctx_new != nullptr && all.ctx_buffer_error != nullptr);
  NftLibrary library(all.ctx_new(0));
  if (library.context_ == nullptr) return Mistake{"nftables cannot be used: out of memory"};
  all.ctx_buffer_error(library.context_.get());
  return library;
}

std::optional<Mistake> NftLibrary::run(const std::string& commands) {
  const Functions& all = functions();
  FINHOLD_CHECK(all.run_cmd_from_buffer != nullptr && all.ctx_get_error_buffer != nullptr);
  if (all.run_cmd_from_buffer(context_.get(), commands.c_str()) == 0) return std::nullopt;
  std::string said = all.ctx_get_error_buffer(context_.get());
  while (said.ends_with('\n')) said.pop_back();
  return Mistake{"nftables: " + (said.empty() ? "the rules were refused" : said)};
}

}  // namespace finhold::rules
