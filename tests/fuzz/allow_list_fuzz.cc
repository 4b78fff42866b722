// What a stranger asks to be opened (the first line), of a door with any items (the other lines).
// Of whatever they are: no form but the full one is taken for an address, a name has only what
// names have, and neither this host nor its loopback is opened by anything but an address of its
// own.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "tunnel/allow_list.h"

using finhold::base::Address;
using finhold::tunnel::AllowEntry;
using finhold::tunnel::AllowList;
using finhold::tunnel::Destination;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto line = text.substr(0, text.find('\n'));
  std::vector<AllowEntry> entries;
  bool lists_addresses = false;
  for (std::size_t at = line.size(); at < text.size();) {
    const auto end = text.find('\n', at + 1);
    const auto item = text.substr(at + 1, end == std::string_view::npos ? end : end - at - 1);
    auto entry = AllowEntry::parse(item);
    if (entry.ok()) {
      const auto& network = entry.value().network;
      lists_addresses |=
          network && (network->is_one_address() || network->text().starts_with("127.") ||
                      network->text().starts_with("169.254.") || network->text().starts_with("fe"));
      entries.push_back(entry.value());
    }
    at = end == std::string_view::npos ? text.size() : end;
  }

  const auto wanted = Destination::parse(line);
  if (!wanted) return 0;
  constexpr std::string_view characters = "abcdefghijklmnopqrstuvwxyz0123456789_.-";
  FINHOLD_CHECK(wanted->name.find_first_not_of(characters) == std::string::npos);
  FINHOLD_CHECK(wanted->port != 0);

  const AllowList list(std::move(entries));
  const std::vector<Address> own{Address::parse("10.1.2.3:0").value()};
  std::vector<Address> found{own[0], Address::parse("127.0.0.1:0").value(),
                             Address::parse("[::1]:0").value(),
                             Address::parse("0.0.0.0:0").value()};
  auto admitted = list.admit(*wanted, found, {own, {}});
  FINHOLD_CHECK(!admitted.ok() || lists_addresses);
  if (wanted->name.empty()) {
    found.assign(1, wanted->address);
    admitted = list.admit(*wanted, found, {own, {}});
    FINHOLD_CHECK(!admitted.ok() || admitted.value().front() == wanted->address);
  }
  return 0;
}
