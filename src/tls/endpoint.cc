#include "tls/endpoint.h"

#include <algorithm>
#include <cstring>
#include <new>

#include <openssl/err.h>
#include <openssl/ssl.h>

#include "base/check.h"
#include "tls/callbacks.h"
#include "tls/dear_messages.h"
#include "tls/messages.h"

namespace finhold::tls {
namespace {

constexpr std::size_t largest_record = SSL3_RT_MAX_PLAIN_LENGTH;
// Header, content type, tag (RFC 8446 section 5.2); finhold pads nothing.
constexpr std::size_t record_overhead = 5 + 1 + 16;

// More than the largest handshake has (a chain of certificates), and all that a session keeps.
constexpr std::size_t most_kept = 256'000;

// KeyUpdates and tickets: each costs far more than its bytes. So many, and one more for so many
// bytes of data; others renew their keys after some GB.
constexpr std::uint64_t most_messages = 32;
constexpr std::uint64_t data_for_message = std::uint64_t{64} << 10U;

// As much of `plain` as goes into the room: whole records, and a short one only where it is the
// last or the only one.
std::size_t what_fits(std::size_t plain, std::size_t room) {
  constexpr std::size_t whole = largest_record + record_overhead;
  const std::size_t in_whole = room / whole * largest_record;
  if (plain <= in_whole) return plain;
  const std::size_t left = room % whole;
  const std::size_t in_rest = left > record_overhead ? left - record_overhead : 0;
  if (in_whole == 0 || plain - in_whole <= in_rest)
    return in_whole + std::min(plain - in_whole, in_rest);
  return in_whole;
}

}  // namespace

void Endpoint::Free::operator()(SSL* ssl) const { SSL_free(ssl); }

Endpoint::Endpoint(const Context& context)
    : ssl_(SSL_new(context.context_.get())),
      server_name_(context.server_name_),
      records_per_key_(context.records_per_key_),
      asks_system_(context.asks_system_) {
  BIO* bio = BIO_new(Callbacks::wire());
  if (ssl_ == nullptr || bio == nullptr) throw std::bad_alloc();
  BIO_set_data(bio, &wire_);
  BIO_set_init(bio, 1);
  SSL_set_bio(ssl_.get(), bio, bio);
  SSL_set_app_data(ssl_.get(), this);
  if (server_name_.empty()) {
    SSL_set_accept_state(ssl_.get());
    return;
  }
  SSL_set_connect_state(ssl_.get());
  if (context.announces_name_) SSL_set_tlsext_host_name(ssl_.get(), server_name_.c_str());
  handshake();
}

Endpoint::~Endpoint() = default;

Endpoint::Moved Endpoint::read(std::span<const std::byte> ciphertext, std::span<std::byte> plain) {
  FINHOLD_CHECK(!plain.empty());
  Moved moved;
  if (state_ == State::handshaking && server_name_.empty() && !hello_.look(ciphertext)) {
    fail(State::failed, "TLS: the other side's hello is too long");
  }
  wire_.in = ciphertext;
  handshake();
  while (state_ == State::open && moved.made < plain.size()) {
    std::size_t size = 0;
    wire_.starved = false;
    const auto room = plain.subspan(moved.made);
    ERR_clear_error();
    const int result = SSL_read_ex(ssl_.get(), room.data(), room.size(), &size);
    if (result == 1) {
      moved.made += size;
      received_ += size;
    } else if (!may_go_on(result)) {
      break;
    }
  }
  moved.taken = is_over() ? ciphertext.size() : ciphertext.size() - wire_.in.size();
  wire_.in = {};
  return moved;
}

Endpoint::Moved Endpoint::write(std::span<const std::byte> plain, std::span<std::byte> ciphertext) {
  Moved moved;
  flush_kept(ciphertext, moved);
  const bool may_write = (state_ == State::open || state_ == State::ended) && !closed_;
  const std::size_t size = what_fits(plain.size(), ciphertext.size() - moved.made);
  if (!may_write || has_output() || size == 0) return moved;

  wire_.out = ciphertext.subspan(moved.made);
  wire_.made = 0;
  ERR_clear_error();
  if (records_ >= records_per_key_) {
    records_ = 0;
    SSL_key_update(ssl_.get(), SSL_KEY_UPDATE_NOT_REQUESTED);  // goes before the next record
  }
  const int result = SSL_write_ex(ssl_.get(), plain.data(), size, &moved.taken);
  records_ += size / largest_record + 1;
  moved.made += wire_.made;
  wire_.out = {};
  wire_.made = 0;
  if (result != 1) fail(State::failed, "TLS: " + why_failed());
  return moved;
}

void Endpoint::close() {
  if (closed_ || (state_ != State::open && state_ != State::ended)) return;
  closed_ = true;
  ERR_clear_error();
  SSL_shutdown(ssl_.get());
}

void Endpoint::transport_ended() {
  if (is_over()) return;
  fail(State::truncated,
       state_ == State::open
           ? "the connection ended without TLS's close_notify, so something may be missing"
           : "the connection ended in the TLS handshake; the other side may expect no TLS there");
}

std::string Endpoint::other_side() const {
  const X509* certificate = SSL_get0_peer_certificate(ssl_.get());
  return certificate != nullptr ? words_of(X509_get_subject_name(certificate)) : std::string();
}

void Endpoint::handshake() {
  while (state_ == State::handshaking) {
    wire_.starved = false;
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_.get());
    if (result == 1) {
      check_protocol();
    } else if (!may_go_on(result)) {
      return;
    }
  }
}

// A side that does not know ALPN comes through the handshake.
void Endpoint::check_protocol() {
  const unsigned char* name = nullptr;
  unsigned size = 0;
  SSL_get0_alpn_selected(ssl_.get(), &name, &size);
  if (size == 2 && std::memcmp(name, "h2", 2) == 0) {
    state_ = State::open;
    return;
  }
  SSL_shutdown(ssl_.get());
  fail(State::failed, "TLS: the other side does not speak HTTP/2 (ALPN h2)");
}

// After a call that did not succeed: whether to try it again at once.
bool Endpoint::may_go_on(int result) {
  const int error = SSL_get_error(ssl_.get(), result);
  if (error == SSL_ERROR_WANT_READ) {
    if (messages_ <= most_messages + received_ / data_for_message) return !wire_.starved;
    fail(State::failed, "TLS: the other side renews its keys without end");
  } else if (error == SSL_ERROR_ZERO_RETURN) {
    if (state_ == State::open) {
      state_ = State::ended;
    } else {
      fail(State::failed, "TLS: the other side ended the handshake");
    }
  } else {
    fail(State::failed, "TLS: " + why_failed());
  }
  return false;
}

// The first reason counts: on_verified() may have noted a better one than OpenSSL has.
void Endpoint::fail(State state, std::string why) {
  state_ = state;
  if (failure_.empty()) failure_ = std::move(why);
  ERR_clear_error();
}

void Endpoint::flush_kept(std::span<std::byte> ciphertext, Moved& moved) {
  auto& kept = wire_.kept;
  moved.made = std::min(kept.size(), ciphertext.size());
  if (moved.made == 0) return;
  std::memcpy(ciphertext.data(), kept.data(), moved.made);
  kept.erase(kept.begin(), kept.begin() + static_cast<std::ptrdiff_t>(moved.made));
  if (kept.empty()) kept.shrink_to_fit();
}

const BIO_METHOD* Callbacks::wire() {
  static BIO_METHOD* const method = [] {
    BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "finhold");
    if (made == nullptr) throw std::bad_alloc();
    BIO_meth_set_read_ex(made, &read_wire);
    BIO_meth_set_write_ex(made, &write_wire);
    BIO_meth_set_ctrl(made, [](BIO*, int command, long, void*) -> long {
      return command == BIO_CTRL_FLUSH ? 1 : 0;
    });
    return made;
  }();
  return method;
}

int Callbacks::read_wire(BIO* bio, char* data, std::size_t size, std::size_t* done) {
  auto& wire = *static_cast<Endpoint::Wire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  *done = std::min(size, wire.in.size());
  if (*done == 0) {
    wire.starved = true;
    BIO_set_retry_read(bio);
    return 0;
  }
  std::memcpy(data, wire.in.data(), *done);
  wire.in = wire.in.subspan(*done);
  return 1;
}

int Callbacks::write_wire(BIO* bio, const char* data, std::size_t size, std::size_t* done) {
  auto& wire = *static_cast<Endpoint::Wire*>(BIO_get_data(bio));
  BIO_clear_retry_flags(bio);
  if (wire.kept.empty() && wire.out.size() - wire.made >= size) {
    std::memcpy(wire.out.data() + wire.made, data, size);
    wire.made += size;
  } else if (wire.kept.size() + size <= most_kept) {
    const auto* bytes = reinterpret_cast<const std::byte*>(data);
    wire.kept.insert(wire.kept.end(), bytes, bytes + size);
  } else {
    return 0;
  }
  *done = size;
  return 1;
}

// Before OpenSSL decodes the message, which this cannot stop: it is spoilt in OpenSSL's buffer.
void Callbacks::on_message(int written, int /*version*/, int type, const void* message,
                           std::size_t size, SSL* ssl, void* /*unused*/) {
  auto* session = static_cast<Endpoint*>(SSL_get_app_data(ssl));
  if (written != 0 || type != SSL3_RT_HANDSHAKE || session == nullptr) return;
  if (session->state_ == State::open) ++session->messages_;
  const std::span bytes(static_cast<std::byte*>(const_cast<void*>(message)), size);
  const char* const why = why_too_dear(bytes);
  if (why == nullptr) return;
  spoil(bytes);
  session->failure_ = std::string("TLS: the other side ") + why;
}

}  // namespace finhold::tls
