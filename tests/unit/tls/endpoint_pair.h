// A near end and a far end in memory, and what passes between them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <random>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <doctest/doctest.h>

#include "tls/endpoint.h"
#include "unit/tls/certificates.h"

namespace tls_pair {

using finhold::test::Authority;
using finhold::test::CertificateFiles;
using finhold::tls::ClientSettings;
using finhold::tls::Context;
using finhold::tls::Endpoint;
using finhold::tls::ServerSettings;
using finhold::tls::State;

using Bytes = std::vector<std::byte>;

inline constexpr std::size_t room_size = 64'000;

inline Authority& authority() {
  static Authority made("Test CA");
  return made;
}

inline const CertificateFiles& far_certificate() {
  static const CertificateFiles made = authority().issue();
  return made;
}

template <typename Settings>
Context context(const Settings& settings) {
  auto loaded = Context::load(settings);
  REQUIRE_MESSAGE(loaded.ok(), loaded.error().front().text);
  return std::move(loaded.value());
}

inline ClientSettings near_settings() { return {authority().certificate(), {}, {}, "far.test"}; }
inline ServerSettings far_settings() {
  return {far_certificate().certificate, far_certificate().key, {}};
}

inline Bytes some_bytes(std::size_t size, unsigned seed) {
  std::mt19937 random(seed);
  Bytes bytes(size);
  for (auto& one : bytes) one = static_cast<std::byte>(random() & 0xffU);
  return bytes;
}

inline Bytes bytes_of(std::string_view text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

// One end and what it has: what it wants to write, and what it has read.
struct End {
  explicit End(const Context& with) : session(with) {}

  Endpoint session;
  Bytes wants;
  std::size_t sent = 0;
  Bytes got;

  // What goes on the wire now.
  Bytes speak(std::size_t room = room_size) {
    Bytes out(room);
    const auto moved =
        session.write(std::span<const std::byte>(wants).subspan(sent), std::span(out));
    sent += moved.taken;
    out.resize(moved.made);
    return out;
  }

  void hear(std::span<const std::byte> wire, std::size_t room = room_size) {
    Bytes plain(room);
    for (bool more = true; more;) {
      const auto moved = session.read(wire, plain);
      wire = wire.subspan(moved.taken);
      got.insert(got.end(), plain.begin(), plain.begin() + static_cast<std::ptrdiff_t>(moved.made));
      more = moved.made == plain.size();
    }
    CHECK(wire.empty());
  }
};

// Carries bytes both ways until nobody has more to say, in chunks of at most that many bytes; 0:
// random ones.
inline void carry(End& one, End& other, std::size_t chunk = room_size) {
  std::mt19937 random(7);  // NOLINT(cert-msc32-c,cert-msc51-cpp): the same every time
  const auto pass = [&](End& from, End& to) {
    const Bytes wire = from.speak();
    for (std::size_t at = 0; at < wire.size();) {
      const std::size_t most = chunk != 0 ? chunk : random() % 3000 + 1;
      const std::size_t size = std::min(most, wire.size() - at);
      to.hear(std::span(wire).subspan(at, size));
      at += size;
    }
    return !wire.empty();
  };
  for (bool more = true; more;) {
    const bool there = pass(one, other);
    more = pass(other, one) || there;
  }
}

struct Pair {
  explicit Pair(const ClientSettings& near_with = near_settings(),
                const ServerSettings& far_with = far_settings())
      : near(context(near_with)), far(context(far_with)) {}

  End near;
  End far;

  [[nodiscard]] bool open() const {
    return near.session.state() == State::open && far.session.state() == State::open;
  }
};

// A pair whose handshake must not succeed.
struct Refused {
  std::string near;
  std::string far;
};

inline Refused refused(const ClientSettings& near_with, const ServerSettings& far_with) {
  Pair pair(near_with, far_with);
  pair.near.wants = bytes_of("secret");
  carry(pair.near, pair.far);
  CHECK(pair.far.got.empty());
  CHECK(pair.near.session.state() == State::failed);
  CHECK(pair.far.session.state() == State::failed);
  return {pair.near.session.failure(), pair.far.session.failure()};
}

inline std::string said_of(const ServerSettings& settings) {
  const auto loaded = Context::load(settings);
  if (loaded.ok()) return "ok";
  std::string all;
  for (const auto& mistake : loaded.error()) all += (all.empty() ? "" : "\n") + mistake.text;
  return all;
}

}  // namespace tls_pair
