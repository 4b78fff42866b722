// Runs one of the programs of nft_rules.h and waits for its end.
#pragma once

#include <optional>
#include <vector>

#include "base/result.h"
#include "rules/nft_library.h"
#include "rules/nft_rules.h"

namespace finhold::rules {

// Runs them in their order, until one fails; then says what was tried, and what the program said.
// They are looked for where PATH says, in absolute directories only, and where a system has its
// programs; of finhold's environment they get nothing but that PATH. They inherit the privileges
// that pass an exec, and nothing open but standard streams that are none of ours. Blocks; leaves a
// thread's signal mask and every signal's disposition to them. With SIGCHLD ignored nobody can tell
// how they end: each has then failed (ECHILD).
// `nft`: does in place of the program nft what that would be given; nullptr: the program does.
std::optional<base::Mistake> run_programs(const std::vector<Program>& programs,
                                          NftLibrary* nft = nullptr);

}  // namespace finhold::rules
