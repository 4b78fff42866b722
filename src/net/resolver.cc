#include "net/resolver.h"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <memory>
#include <netdb.h>

#include <uv.h>

namespace finhold::net {
namespace {

std::atomic<std::uint32_t> running_look_ups{0};

std::vector<base::Address> addresses_of(const addrinfo* found) {
  std::vector<base::Address> addresses;
  for (; found != nullptr; found = found->ai_next) {
    if (found->ai_family != AF_INET && found->ai_family != AF_INET6) continue;
    addresses.push_back(base::Address::from(found->ai_addr));
  }
  return addresses;
}

int as_errno(int status) {
  switch (status) {
    case 0:
    case UV_EAI_NONAME:
    case UV_EAI_NODATA:
    case UV_EAI_ADDRFAMILY:
      return 0;
    case UV_EAI_MEMORY:
      return ENOMEM;
    default:
      // libuv hands the errno of EAI_SYSTEM through as a small negative number; its own codes for
      // getaddrinfo() begin at -3000.
      return status > UV_EAI_ADDRFAMILY ? -status : EAGAIN;
  }
}

}  // namespace

// libuv's threads work on this block, and cannot always be stopped: so it belongs to libuv until
// the callback, and the resolver may leave before.
struct Resolver::LookUp {
  uv_getaddrinfo_t request{};
  Resolver* resolver = nullptr;
  std::string key;
  std::vector<Waiter*> waiters;  // nullptr: forgotten while they are being told
};

Resolver::~Resolver() {
  for (const auto& [key, look_up] : look_ups_) {
    look_up->resolver = nullptr;
    uv_cancel(reinterpret_cast<uv_req_t*>(&look_up->request));
  }
}

int Resolver::resolve(const base::HostPort& host, Waiter& waiter) {
  std::string key = host.text();
  if (const auto known = look_ups_.find(key); known != look_ups_.end()) {
    known->second->waiters.push_back(&waiter);
    return 0;
  }
  auto look_up = std::make_unique<LookUp>();
  look_up->resolver = this;
  look_up->key = key;
  look_up->request.data = look_up.get();
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_ADDRCONFIG | AI_NUMERICSERV;
  const int failure = uv_getaddrinfo(
      loop_.raw(), &look_up->request,
      [](uv_getaddrinfo_t* request, int status, addrinfo* found) {
        running_look_ups.fetch_sub(1);
        const std::unique_ptr<LookUp> done(static_cast<LookUp*>(request->data));
        const auto addresses = addresses_of(found);
        uv_freeaddrinfo(found);
        if (done->resolver == nullptr) return;
        // It stays in the map while the waiters are told, for forget(); and a waiter that asks anew
        // for the same name joins them.
        std::size_t next = 0;
        while (next < done->waiters.size()) {
          Waiter* told = std::exchange(done->waiters[next], nullptr);
          ++next;
          if (told != nullptr) told->on_resolved(addresses, as_errno(status));
        }
        done->resolver->look_ups_.erase(done->key);
      },
      host.host.c_str(), std::to_string(host.port).c_str(), &hints);
  if (failure != 0) return -failure;
  running_look_ups.fetch_add(1);
  look_up->waiters.push_back(&waiter);
  look_ups_.emplace(std::move(key), look_up.release());
  return 0;
}

void Resolver::forget(const Waiter& waiter) {
  for (const auto& [key, look_up] : look_ups_) {
    for (Waiter*& each : look_up->waiters) {
      if (each == &waiter) each = nullptr;
    }
  }
}

std::uint32_t Resolver::running() { return running_look_ups.load(); }

}  // namespace finhold::net
