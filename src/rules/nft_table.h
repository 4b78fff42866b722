// The text of the table `inet finhold`, as nft(8) reads it. Pure. Private to rules/.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "config/config.h"
#include "rules/nft_rules.h"

namespace finhold::rules {

// Added first, so that it is no error if there is none.
inline constexpr const char* no_table = "add table inet finhold\ndelete table inet finhold\n";

// "0x10000000".
std::string hex(std::uint32_t number);

// The routes of that kind, in their order.
std::vector<const relay::Route*> routes_of(const config::Config& config, relay::Intercept kind);

// Requires any_wants_rules(). Replaces the table that is there.
std::string table_of(const config::Config& config, TableOwner owner);

// What keeps conntrack's entries of redirected legs; empty if there is nothing for it to do.
std::string patience_of(const config::Config& config, TableOwner owner);

}  // namespace finhold::rules
