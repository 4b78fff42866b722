#include "tunnel/host_addresses.h"

#include "net/address_owner.h"
#include "tunnel/address_kind.h"

namespace finhold::tunnel {

base::Result<HostAddresses> host_addresses(std::span<const base::Address> in_question,
                                           std::uint32_t mark) {
  std::vector<base::Address> asked;
  for (const base::Address& one : in_question) {
    asked.push_back(one.unmapped());
    const base::Address real = stands_for(one);
    if (!(real == asked.back())) asked.push_back(real);
  }
  const auto owners = net::owners_of(asked, mark);
  if (!owners.ok()) return owners.error();
  HostAddresses host;
  for (std::size_t i = 0; i < asked.size(); ++i) {
    const net::AddressOwner owner = owners.value()[i];
    if (owner == net::AddressOwner::this_host) host.own.push_back(asked[i]);
    if (owner == net::AddressOwner::broadcast) host.broadcast.push_back(asked[i]);
  }
  return host;
}

}  // namespace finhold::tunnel
