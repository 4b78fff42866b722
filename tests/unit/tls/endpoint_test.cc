// A near end against a far end in memory: what they agree on, what they refuse and in what words.
#include "tls/endpoint.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <initializer_list>
#include <memory>
#include <random>
#include <string>
#include <sys/stat.h>
#include <unistd.h>
#include <vector>

#include <doctest/doctest.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "tls/dear_messages.h"
#include "unit/tls/certificates.h"
#include "unit/tls/endpoint_pair.h"

using namespace tls_pair;

namespace {

// Another program's TLS, on memory.
struct Stranger {
  explicit Stranger(const SSL_METHOD* method) : context(SSL_CTX_new(method), &SSL_CTX_free) {}

  void offer_h2() {
    SSL_CTX_set_alpn_protos(context.get(), reinterpret_cast<const unsigned char*>("\x02h2"), 3);
  }
  void start() {
    ssl.reset(SSL_new(context.get()));
    SSL_set_bio(ssl.get(), BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    BIO_set_mem_eof_return(SSL_get_rbio(ssl.get()), -1);
  }
  Bytes speak() {
    char* data = nullptr;
    const auto size = static_cast<std::size_t>(BIO_get_mem_data(SSL_get_wbio(ssl.get()), &data));
    Bytes out(size);
    if (size != 0) std::memcpy(out.data(), data, size);
    BIO_reset(SSL_get_wbio(ssl.get()));
    return out;
  }
  void hear(const Bytes& wire) {
    BIO_write(SSL_get_rbio(ssl.get()), wire.data(), static_cast<int>(wire.size()));
  }
  // Until the handshake is over, one way or the other.
  void shake_hands(End& end) {
    for (int i = 0; i < 8; ++i) {
      SSL_do_handshake(ssl.get());
      end.hear(speak());
      hear(end.speak());
    }
  }

  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context;
  std::unique_ptr<SSL, decltype(&SSL_free)> ssl{nullptr, &SSL_free};
};

// Of the subject of a certificate, by which OpenSSL looks for it in a directory.
std::string hash_of(const std::string& path) {
  const std::unique_ptr<BIO, decltype(&BIO_free)> file(BIO_new_file(path.c_str(), "r"), &BIO_free);
  const std::unique_ptr<X509, decltype(&X509_free)> certificate(
      PEM_read_bio_X509(file.get(), nullptr, nullptr, nullptr), &X509_free);
  std::array<char, 9> text{};
  static_cast<void>(
      std::snprintf(text.data(), text.size(), "%08lx", X509_subject_name_hash(certificate.get())));
  return text.data();
}

}  // namespace

TEST_CASE("tls: both ends open, and bytes go both ways, in chunks of any size") {
  for (const std::size_t chunk : {std::size_t{1}, std::size_t{7}, std::size_t{0}, room_size}) {
    Pair pair;
    CHECK(pair.near.session.has_output());
    CHECK_FALSE(pair.far.session.has_output());
    const std::size_t size = chunk == 1 || chunk == 7 ? 100'000 : 3'000'000;
    pair.near.wants = some_bytes(size, 1);
    pair.far.wants = some_bytes(size + 1, 2);
    carry(pair.near, pair.far, chunk);
    CHECK(pair.open());
    CHECK(pair.far.got == pair.near.wants);
    CHECK(pair.near.got == pair.far.wants);
    CHECK_FALSE(pair.near.session.has_output());
  }
}

TEST_CASE("tls: rooms of any size, for plain bytes and for records") {
  for (const std::size_t room : std::initializer_list<std::size_t>{
           1, 5, 22, 23, 100, 16'384, 16'406, 16'407, 40'000, 300'000}) {
    Pair pair;
    carry(pair.near, pair.far);
    REQUIRE(pair.open());
    pair.near.wants = some_bytes(room < 1000 ? 3'000 : 200'000, 3);
    Bytes wire;
    while (pair.near.sent < pair.near.wants.size()) {
      const auto some = pair.near.speak(room < 23 ? room_size : room);
      REQUIRE_FALSE(some.empty());
      wire.insert(wire.end(), some.begin(), some.end());
    }
    pair.far.hear(wire, room);
    CHECK(pair.far.got == pair.near.wants);
  }
}

TEST_CASE("tls: a room too small for a record takes nothing, and loses nothing") {
  Pair pair;
  carry(pair.near, pair.far);
  pair.near.wants = bytes_of("hello");
  CHECK(pair.near.speak(0).empty());
  CHECK(pair.near.speak(22).empty());
  CHECK(pair.near.sent == 0);
  pair.far.hear(pair.near.speak(23));
  CHECK(pair.near.sent == 1);
  carry(pair.near, pair.far);
  CHECK(pair.far.got == pair.near.wants);
}

TEST_CASE("tls: a handshake goes through a room of one byte") {
  Pair pair;
  for (int i = 0; i < 10'000 && !pair.open(); ++i) {
    pair.far.hear(pair.near.speak(1));
    pair.near.hear(pair.far.speak(1));
  }
  CHECK(pair.open());
}

TEST_CASE("tls: nothing is taken before the handshake is over") {
  Pair pair;
  pair.far.wants = bytes_of("early");
  CHECK(pair.far.speak().empty());
  CHECK(pair.far.sent == 0);
}

TEST_CASE("tls: an end is told by close_notify, and the other way goes on") {
  Pair pair;
  carry(pair.near, pair.far);
  pair.near.wants = bytes_of("last");
  Bytes wire = pair.near.speak();
  pair.near.session.close();
  pair.near.session.close();
  pair.near.wants = bytes_of("lastmore");
  const Bytes notice = pair.near.speak();
  CHECK(pair.near.sent == 4);
  wire.insert(wire.end(), notice.begin(), notice.end());
  pair.far.hear(wire);
  CHECK(pair.far.got == bytes_of("last"));
  CHECK(pair.far.session.state() == State::ended);
  pair.far.session.transport_ended();
  CHECK(pair.far.session.state() == State::ended);
  CHECK(pair.far.session.failure().empty());

  pair.far.wants = bytes_of("answer");
  pair.near.hear(pair.far.speak());
  CHECK(pair.near.got == bytes_of("answer"));
  pair.far.session.close();
  pair.near.hear(pair.far.speak());
  CHECK(pair.near.session.state() == State::ended);
  CHECK(pair.far.speak().empty());
}

TEST_CASE("tls: a transport that ends without close_notify is a loss") {
  Pair pair;
  carry(pair.near, pair.far);
  pair.near.wants = some_bytes(20'000, 4);
  Bytes wire = pair.near.speak();
  wire.resize(wire.size() - 1);  // within the second record
  pair.far.hear(wire);
  CHECK(pair.far.got.size() == 16'384);
  pair.far.session.transport_ended();
  CHECK(pair.far.session.state() == State::truncated);
  CHECK(pair.far.session.failure() ==
        "the connection ended without TLS's close_notify, so something may be missing");
  pair.far.wants = bytes_of("x");
  CHECK(pair.far.speak().empty());

  Pair early;
  early.near.session.transport_ended();
  CHECK(early.near.session.state() == State::truncated);
  CHECK(early.near.session.failure() ==
        "the connection ended in the TLS handshake; the other side may expect no TLS there");
  early.near.session.close();
  early.near.hear(bytes_of("ignored"));
  CHECK(early.near.got.empty());
}

TEST_CASE("tls: a changed byte is found, and what came before it is genuine") {
  Pair pair;
  carry(pair.near, pair.far);
  pair.near.wants = some_bytes(30'000, 5);
  Bytes wire = pair.near.speak();
  wire[20'000] ^= std::byte{1};
  pair.far.hear(wire);
  CHECK(pair.far.session.state() == State::failed);
  CHECK(pair.far.session.failure() == "TLS: a record was changed on its way, or is not TLS");
  CHECK(pair.far.got == Bytes(pair.near.wants.begin(), pair.near.wants.begin() + 16'384));
  CHECK(pair.far.session.has_output());
  pair.near.hear(pair.far.speak());
  CHECK(pair.near.session.state() == State::failed);
  CHECK(pair.near.session.failure() == "TLS: the other side refused: bad record mac");
}

TEST_CASE("tls: both sides know who the other is") {
  const auto client = authority().issue({"near one", "", "clientAuth"});
  auto far_with = far_settings();
  far_with.client_ca = authority().certificate();
  Pair pair({authority().certificate(), client.certificate, client.key, "192.0.2.7"}, far_with);
  carry(pair.near, pair.far);
  CHECK(pair.open());
  CHECK(pair.far.session.other_side() == "CN=near one");
  CHECK(pair.near.session.other_side() == "CN=far");
  CHECK(Pair().far.session.other_side().empty());
}

TEST_CASE("tls: a certificate of another authority is refused") {
  Authority other("Other CA");
  auto near_with = near_settings();
  near_with.ca = other.certificate();
  const auto said = refused(near_with, far_settings());
  CHECK(said.near ==
        "TLS: the far end's certificate is refused: \"CN=far\" was issued by \"CN=Test CA\", which "
        "the ca does not list");
  CHECK(said.far == "TLS: the other side refused: it does not know who issued our certificate");
}

// What the environment says of whom the system believes, as long as this lives. No other thread
// asks. NOLINTBEGIN(concurrency-mt-unsafe)
struct SystemBelieves {
  SystemBelieves(const std::string& file, const std::string& directories) {
    setenv("SSL_CERT_FILE", file.c_str(), 1);
    setenv("SSL_CERT_DIR", directories.c_str(), 1);
  }
  SystemBelieves(const SystemBelieves&) = delete;
  SystemBelieves& operator=(const SystemBelieves&) = delete;
  ~SystemBelieves() {
    unsetenv("SSL_CERT_FILE");
    unsetenv("SSL_CERT_DIR");
  }
};
// NOLINTEND(concurrency-mt-unsafe)

TEST_CASE("tls: the system's authorities do not know ours, and the log says what to do") {
  Authority other("Other CA");
  const SystemBelieves others(other.certificate(), "/nonexistent");
  auto near_with = near_settings();
  near_with.ca.clear();
  CHECK(context(near_with).warnings().empty());
  CHECK(refused(near_with, far_settings()).near ==
        "TLS: the far end's certificate is refused: \"CN=far\" was issued by \"CN=Test CA\", which "
        "is none of the authorities that this system knows; if it is your own, write ca = "
        "\"ca.pem\", its certificate, in tls of [[tunnel]]");
}

TEST_CASE("tls: without ca the system's authorities are believed, and a change of them is seen") {
  Authority other("Other CA");
  const auto file = authority().file("system.pem", "");
  auto near_with = near_settings();
  near_with.ca.clear();
  const auto opens = [&] {
    Pair pair(near_with);
    carry(pair.near, pair.far);
    return pair.open();
  };
  const auto fingerprint = [&] { return context(near_with).fingerprint(); };
  {
    const SystemBelieves in_file(file, "/nonexistent");
    const auto before = fingerprint();
    CHECK_FALSE(opens());
    authority().joined("system.pem", {authority().certificate()});
    CHECK(opens());
    const auto after = fingerprint();
    CHECK(after != before);
    CHECK(fingerprint() == after);
    authority().joined("system.pem", {other.certificate()});
    CHECK_FALSE(opens());
    CHECK(fingerprint() != after);
  }
  // As "openssl rehash" does it: a link by the hash of the subject.
  std::filesystem::create_directory(authority().path("believed"));
  const SystemBelieves in_directory("/nonexistent", "/none:" + authority().path("believed"));
  const auto before = fingerprint();
  CHECK_FALSE(opens());
  const auto name = hash_of(authority().certificate()) + ".0";
  std::filesystem::create_symlink("../ca.pem", authority().path("believed/" + name));
  CHECK(opens());
  const auto after = fingerprint();
  CHECK(after != before);
  CHECK(fingerprint() == after);
  CHECK(context(near_settings()).fingerprint() != after);
  std::filesystem::remove_all(authority().path("believed"));
  CHECK(fingerprint() == before);
}

TEST_CASE("tls: a system that knows no authority is a warning where ca is empty") {
  const SystemBelieves nobody("/nonexistent", "/none:/neither");
  CHECK(context(near_settings()).warnings().empty());
  auto near_with = near_settings();
  near_with.ca.clear();
  CHECK(context(near_with).warnings() ==
        std::vector<std::string>{
            "ca is empty, and this system knows no authority, so no far end is believed: none is "
            "in \"/nonexistent\", nor in \"/none:/neither\"; install ca-certificates, or write "
            "ca = \"ca.pem\""});
}

TEST_CASE("tls: a certificate for another name is refused") {
  auto near_with = near_settings();
  near_with.server_name = "other.test";
  CHECK(refused(near_with, far_settings()).near ==
        "TLS: the far end's certificate is refused: it is not for \"other.test\" but for "
        "DNS:far.test, IP Address:192.0.2.7");
  near_with.server_name = "192.0.2.8";
  CHECK(refused(near_with, far_settings()).near.find("it is not for \"192.0.2.8\"") !=
        std::string::npos);
  // A common name is no name.
  const auto nameless = authority().issue({"far.test", ""});
  CHECK(refused(near_settings(), {nameless.certificate, nameless.key, {}}).near ==
        "TLS: the far end's certificate is refused: it is not for \"far.test\" but for no name at "
        "all (it has no subjectAltName)");
}

TEST_CASE("tls: names are compared without case and last dot, and a wildcard is one label") {
  const auto wild = authority().issue({"far", "DNS:*.far.test"});
  const ServerSettings far_with{wild.certificate, wild.key, {}};
  auto near_with = near_settings();
  for (const char* name : {"a.far.test", "A.FAR.test", "a.far.test."}) {
    near_with.server_name = name;
    Pair pair(near_with, far_with);
    carry(pair.near, pair.far);
    CHECK(pair.open());
  }
  for (const char* name : {"far.test", "a.b.far.test"}) {
    near_with.server_name = name;
    refused(near_with, far_with);
  }
}

TEST_CASE("tls: an expired certificate is refused, and one that is not valid yet") {
  auto made = authority().issue({"far", "DNS:far.test", "serverAuth", -3, -1});
  auto said = refused(near_settings(), {made.certificate, made.key, {}});
  CHECK(said.near.starts_with(
      "TLS: the far end's certificate is refused: \"CN=far\" was valid until "));
  CHECK(said.far ==
        "TLS: the other side refused: our certificate, or its authority's list of revoked ones, "
        "has expired, or is not valid "
        "yet");
  made = authority().issue({"far", "DNS:far.test", "serverAuth", 1, 3});
  said = refused(near_settings(), {made.certificate, made.key, {}});
  CHECK(said.near.starts_with(
      "TLS: the far end's certificate is refused: \"CN=far\" is valid from "));
}

TEST_CASE(
    "tls: where client certificates are asked for, one must be shown, of the right authority") {
  auto far_with = far_settings();
  far_with.client_ca = authority().certificate();
  auto said = refused(near_settings(), far_with);
  CHECK(said.far == "TLS: the client has shown no certificate");
  CHECK(said.near ==
        "TLS: the other side refused: it wants a certificate from us, and we have shown none");

  Authority other("Other CA");
  const auto wrong = other.issue({"near", "", "clientAuth"});
  auto near_with = near_settings();
  near_with.certificate = wrong.certificate;
  near_with.key = wrong.key;
  said = refused(near_with, far_with);
  CHECK(said.far ==
        "TLS: the client's certificate is refused: \"CN=near\" was issued by \"CN=Other CA\", "
        "which the client_ca does not list");
  CHECK(said.near == "TLS: the other side refused: it does not know who issued our certificate");

  const auto expired = authority().issue({"near", "", "clientAuth", -3, -1});
  near_with.certificate = expired.certificate;
  near_with.key = expired.key;
  CHECK(refused(near_with, far_with)
            .far.starts_with(
                "TLS: the client's certificate is refused: \"CN=near\" was valid until "));
}

// To decode a point may cost a hundred times as much as all the rest.
TEST_CASE("tls: a certificate with a point that is dear to decode is refused before") {
  struct Case {
    const char* curve;
    bool parameters;
    bool compressed;
    bool taken;
  };
  for (const Case& each : {
           Case{"P-256", false, false, true},
           Case{"P-384", false, false, true},
           Case{"P-521", false, false, true},
           Case{"P-256", false, true, false},
           Case{"P-384", false, true, false},
           Case{"P-521", false, true, false},
           Case{"P-224", false, false, false},
           Case{"P-224", false, true, false},
           Case{"brainpoolP256r1", false, false, false},
           Case{"secp256k1", false, true, false},
           Case{"SM2", false, false, false},
           Case{"P-256", true, false, false},
       }) {
    CAPTURE(each.curve);
    CAPTURE(each.compressed);
    finhold::test::CertificateOptions options;
    options.curve = each.curve;
    options.parameters = each.parameters;
    options.compressed = each.compressed;
    // Behind one that TLS can use: it is decoded as well.
    auto shown = authority().issue();
    shown.certificate = authority().joined(
        "chain.pem", {shown.certificate, authority().issue(options).certificate});
    auto far_with = far_settings();
    far_with.client_ca = authority().certificate();
    auto near_with = near_settings();
    near_with.certificate = shown.certificate;
    near_with.key = shown.key;
    if (each.taken) {
      Pair pair(near_with, far_with);
      carry(pair.near, pair.far);
      CHECK(pair.open());
      continue;
    }
    const std::string why =
        "TLS: the other side shows a certificate with a key of an elliptic curve that is not "
        "taken; "
        "P-256, P-384 and P-521 are, by name and with points that are not compressed";
    CHECK(refused(near_with, far_with).far == why);
    const auto warnings = context(near_with).warnings();
    CHECK(std::any_of(warnings.begin(), warnings.end(), [](const std::string& one) {
      return one.find("a finhold at the other end will refuse it") != one.npos;
    }));

    far_with = far_settings();
    far_with.certificate = shown.certificate;
    far_with.key = shown.key;
    CHECK(refused(near_settings(), far_with).near == why);
  }
}

TEST_CASE("tls: more than ten certificates are refused before they are decoded") {
  auto shown = authority().issue();
  for (const int others : {9, 10}) {
    std::vector<std::string> files(1, shown.certificate);
    files.resize(1 + static_cast<std::size_t>(others), authority().issue().certificate);
    auto far_with = far_settings();
    far_with.certificate = authority().joined("many.pem", files);
    far_with.key = shown.key;
    if (others == 9) {
      Pair pair(near_settings(), far_with);
      carry(pair.near, pair.far);
      CHECK(pair.open());
    } else {
      CHECK(refused(near_settings(), far_with).near ==
            "TLS: the other side shows more than ten certificates");
    }
  }
}

TEST_CASE("tls: a compressed certificate is refused before it is decoded") {
  std::array<std::byte, 12> message{std::byte{25}};
  REQUIRE(finhold::tls::why_too_dear(message) != nullptr);
  CHECK(finhold::tls::why_too_dear(message) == std::string("sends a compressed certificate"));
  finhold::tls::spoil(message);
  CHECK(message[4] == std::byte{0xff});
}

TEST_CASE("tls: a hello with very many signature algorithms is refused before it is decoded") {
  const auto number = [](std::size_t value, std::size_t size) {
    std::string text;
    while (size-- > 0) text += static_cast<char>(value >> (8 * size) & 0xFFU);
    return text;
  };
  const auto with_length = [&](const std::string& text, std::size_t size) {
    return number(text.size(), size) + text;
  };
  struct Case {
    int type;
    int count;
    bool is_refused;
  };
  for (const Case& each :
       {Case{13, 64, false}, Case{13, 65, true}, Case{50, 3000, true}, Case{16, 65, false}}) {
    std::string algorithms;
    for (int i = 0; i < each.count; ++i) algorithms += "\x05\x03";
    const std::string extension =
        number(static_cast<std::size_t>(each.type), 2) + with_length(with_length(algorithms, 2), 2);
    const std::string hello = "\x03\x03" + std::string(32, 'r') + with_length("", 1) +
                              with_length("\x13\x01", 2) + with_length(std::string(1, '\0'), 1) +
                              with_length(extension, 2);
    const std::string record = "\x16\x03\x01" + with_length("\x01" + with_length(hello, 3), 2);
    CAPTURE(each.type);
    CAPTURE(each.count);
    End far(context(far_settings()));
    far.hear(bytes_of(record));
    const std::string& why = far.session.failure();
    CHECK(why.starts_with("TLS: "));  // one that is not refused for this lacks other things
    CHECK((why == "TLS: the other side has more than 64 signature algorithms") == each.is_refused);
  }
}

TEST_CASE("tls: a far end's own certificate may be whom the near end believes") {
  auto near_with = near_settings();
  near_with.ca = far_certificate().certificate;
  Pair pair(near_with);
  carry(pair.near, pair.far);
  CHECK(pair.open());
}

TEST_CASE("tls: a newer context judges whom an older one has let in") {
  const auto client = authority().issue({"near", "", "clientAuth"});
  auto asks = far_settings();
  asks.client_ca = authority().certificate();
  Pair known({authority().certificate(), client.certificate, client.key, "far.test"}, asks);
  carry(known.near, known.far);
  REQUIRE(known.open());
  const Endpoint& session = known.far.session;
  CHECK(session.would_be_believed_by(context(asks)));
  CHECK(session.would_be_believed_by(context(far_settings())));
  Authority other("Other CA");
  auto asks_others = far_settings();
  asks_others.client_ca = other.certificate();
  CHECK_FALSE(session.would_be_believed_by(context(asks_others)));
  asks_others.client_ca =
      other.joined("both.pem", {other.certificate(), authority().certificate()});
  CHECK(session.would_be_believed_by(context(asks_others)));
  asks_others.client_ca = client.certificate;  // only this one
  CHECK(session.would_be_believed_by(context(asks_others)));
  asks_others.client_ca = authority().issue({"near", "", "clientAuth"}).certificate;
  CHECK_FALSE(session.would_be_believed_by(context(asks_others)));

  Pair anonymous;
  carry(anonymous.near, anonymous.far);
  REQUIRE(anonymous.open());
  CHECK(anonymous.far.session.would_be_believed_by(context(far_settings())));
  CHECK_FALSE(anonymous.far.session.would_be_believed_by(context(asks)));
}

TEST_CASE("tls: a newer context judges with all the certificates that were shown") {
  Authority branch("Branch CA", authority());
  const auto client = branch.issue({"near", "", "clientAuth"});
  const auto chain = branch.joined("chain.pem", {client.certificate, branch.certificate()});
  auto asks = far_settings();
  asks.client_ca = authority().certificate();
  Pair pair({authority().certificate(), chain, client.key, "far.test"}, asks);
  carry(pair.near, pair.far);
  REQUIRE(pair.open());
  CHECK(pair.far.session.would_be_believed_by(context(asks)));
  asks.client_ca = branch.certificate();
  CHECK(pair.far.session.would_be_believed_by(context(asks)));
  Authority namesake("Test CA");
  asks.client_ca = namesake.certificate();
  CHECK_FALSE(pair.far.session.would_be_believed_by(context(asks)));
}

TEST_CASE("tls: what a certificate says cannot paint a terminal") {
  const auto evil = authority().issue({"\x1b[31mred\n", "DNS:x.test"});
  const auto said = refused(near_settings(), {evil.certificate, evil.key, {}}).near;
  CHECK(std::all_of(said.begin(), said.end(), [](char c) { return c >= ' ' && c <= '~'; }));
}

TEST_CASE("tls: a client that speaks TLS 1.2 at most is refused") {
  Stranger old(TLS_client_method());
  SSL_CTX_set_max_proto_version(old.context.get(), TLS1_2_VERSION);
  old.start();
  End far(context(far_settings()));
  SSL_set_connect_state(old.ssl.get());
  old.shake_hands(far);
  CHECK(far.session.state() == State::failed);
  CHECK(far.session.failure() == "TLS: the other side does not speak TLS 1.3");
}

TEST_CASE("tls: a server that speaks TLS 1.2 at most is refused") {
  Stranger old(TLS_server_method());
  SSL_CTX_set_max_proto_version(old.context.get(), TLS1_2_VERSION);
  SSL_CTX_use_certificate_file(old.context.get(), far_certificate().certificate.c_str(),
                               SSL_FILETYPE_PEM);
  SSL_CTX_use_PrivateKey_file(old.context.get(), far_certificate().key.c_str(), SSL_FILETYPE_PEM);
  old.start();
  SSL_set_accept_state(old.ssl.get());
  End near(context(near_settings()));
  old.hear(near.speak());
  old.shake_hands(near);
  CHECK(near.session.state() == State::failed);
  CHECK(near.session.failure().find("does not speak TLS 1.3") != std::string::npos);
}

TEST_CASE("tls: keys are agreed on in X25519 and P-256, and in nothing that costs more") {
  for (const char* good : {"X25519", "P-256", "ffdhe2048:P-256"}) {
    CAPTURE(good);
    Stranger client(TLS_client_method());
    client.offer_h2();
    REQUIRE(SSL_CTX_set1_groups_list(client.context.get(), good) == 1);
    client.start();
    SSL_set_connect_state(client.ssl.get());
    End far(context(far_settings()));
    client.shake_hands(far);
    CHECK(far.session.state() == State::open);
  }
  for (const char* bad : {"ffdhe2048", "ffdhe8192", "P-384", "P-521", "X448"}) {
    CAPTURE(bad);
    Stranger client(TLS_client_method());
    client.offer_h2();
    REQUIRE(SSL_CTX_set1_groups_list(client.context.get(), bad) == 1);
    client.start();
    SSL_set_connect_state(client.ssl.get());
    End far(context(far_settings()));
    client.shake_hands(far);
    CHECK(far.session.state() == State::failed);
    CHECK(far.session.failure() ==
          "TLS: the other side offers none of the groups X25519 and P-256");
  }
}

TEST_CASE("tls: the near end's hello offers X25519 and P-256, and no other group") {
  Stranger server(TLS_server_method());
  Bytes offered;
  SSL_CTX_set_client_hello_cb(
      server.context.get(),
      [](SSL* ssl, int* /*alert*/, void* to) {
        const unsigned char* groups = nullptr;
        std::size_t size = 0;
        if (SSL_client_hello_get0_ext(ssl, TLSEXT_TYPE_supported_groups, &groups, &size) == 1) {
          const auto* begin = reinterpret_cast<const std::byte*>(groups);
          static_cast<Bytes*>(to)->assign(begin, begin + size);
        }
        return SSL_CLIENT_HELLO_ERROR;
      },
      &offered);
  server.start();
  SSL_set_accept_state(server.ssl.get());
  End near(context(near_settings()));
  server.hear(near.speak());
  server.shake_hands(near);
  // A list of 4 bytes: 29 and 23 of RFC 8446 section 4.2.7.
  CHECK(offered == bytes_of({"\0\4\0\x1d\0\x17", 6}));
}

TEST_CASE("tls: whoever does not ask for HTTP/2 is refused") {
  for (const std::string& offered : {std::string(), std::string("\x08http/1.1")}) {
    Stranger client(TLS_client_method());
    if (!offered.empty()) {
      SSL_CTX_set_alpn_protos(client.context.get(),
                              reinterpret_cast<const unsigned char*>(offered.data()),
                              static_cast<unsigned>(offered.size()));
    }
    client.start();
    SSL_set_connect_state(client.ssl.get());
    End far(context(far_settings()));
    client.shake_hands(far);
    CHECK(far.session.state() == State::failed);
    CHECK(far.session.failure() == "TLS: the other side does not speak HTTP/2 (ALPN h2)");
  }
}

TEST_CASE("tls: a server that does not choose HTTP/2 is refused") {
  Stranger server(TLS_server_method());
  SSL_CTX_use_certificate_file(server.context.get(), far_certificate().certificate.c_str(),
                               SSL_FILETYPE_PEM);
  SSL_CTX_use_PrivateKey_file(server.context.get(), far_certificate().key.c_str(),
                              SSL_FILETYPE_PEM);
  server.start();
  SSL_set_accept_state(server.ssl.get());
  End near(context(near_settings()));
  server.hear(near.speak());
  server.shake_hands(near);
  CHECK(near.session.failure() == "TLS: the other side does not speak HTTP/2 (ALPN h2)");
}

TEST_CASE("tls: what is not TLS is refused in those words") {
  for (const char* text :
       {"GET / HTTP/1.1\r\n\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "SSH-2.0-OpenSSH_9.2\r\n"}) {
    End far(context(far_settings()));
    far.hear(bytes_of(text));
    CHECK(far.session.state() == State::failed);
    CHECK(far.session.failure() == "TLS: what the other side sends is not TLS");
    End near(context(near_settings()));
    near.hear(bytes_of(text));
    CHECK(near.session.state() == State::failed);
    CHECK(near.session.failure() == "TLS: what the other side sends is not TLS");
  }
}

TEST_CASE("tls: a hello that is announced to be long is refused before there is room for it") {
  const auto record = [](const std::string& part) {
    return std::string("\x16\x03\x01", 3) + static_cast<char>(part.size() >> 8U) +
           static_cast<char>(part.size()) + part;
  };
  const auto hello = [](std::size_t size) {
    return std::string("\x01", 1) + static_cast<char>(size >> 16U) + static_cast<char>(size >> 8U) +
           static_cast<char>(size) + "\x03\x03" + std::string(size < 1000 ? size - 2 : 32, 'x');
  };
  const std::string longest = hello(8192);
  const std::string too_long = hello(8193);
  // The header of the message may be spread over records, and come byte by byte.
  std::string in_pieces;
  for (const char byte : too_long) in_pieces += record(std::string(1, byte));
  for (const auto& bytes : {record(too_long), record(hello(131'000)), in_pieces}) {
    End far(context(far_settings()));
    for (const char byte : bytes) far.hear(bytes_of(std::string(1, byte)));
    CHECK(far.session.state() == State::failed);
    CHECK(far.session.failure() == "TLS: the other side's hello is too long");
  }
  End far(context(far_settings()));
  far.hear(bytes_of(record(longest)));
  CHECK(far.session.state() == State::handshaking);

  // So is the second one, which was asked for.
  finhold::tls::ClientHello second;
  const std::string two = record(hello(500)) + std::string("\x14\x03\x03\x00\x01\x01", 6);
  CHECK(second.look(bytes_of(two)));
  CHECK_FALSE(second.look(bytes_of(record(too_long))));
}

TEST_CASE("tls: garbage at any place fails, or waits") {
  for (unsigned seed = 0; seed < 300; ++seed) {
    Pair pair;
    if (seed % 3 != 0) carry(pair.near, pair.far);
    if (seed % 3 == 2) {
      pair.near.wants = some_bytes(1000, seed);
      pair.far.hear(pair.near.speak());
    }
    const auto before = pair.far.got.size();
    auto garbage = some_bytes(5000, seed);
    if (seed % 2 == 0) std::memcpy(garbage.data(), "\x17\x03\x03\x00\x50", 5);  // a record's header
    pair.far.hear(garbage);
    pair.far.session.transport_ended();
    CHECK(pair.far.session.is_over());
    CHECK(pair.far.session.state() != State::ended);
    CHECK(pair.far.got.size() == before);
    CHECK_FALSE(pair.far.session.failure().empty());
  }
}

TEST_CASE("tls: no tickets are given, and no early data is taken") {
  Stranger client(TLS_client_method());
  client.offer_h2();
  client.start();
  SSL_set_connect_state(client.ssl.get());
  End far(context(far_settings()));
  client.shake_hands(far);
  CHECK(far.session.state() == State::open);
  CHECK(SSL_version(client.ssl.get()) == TLS1_3_VERSION);
  char byte = 0;
  SSL_read(client.ssl.get(), &byte, 1);  // would take the tickets
  const SSL_SESSION* session = SSL_get0_session(client.ssl.get());
  CHECK(SSL_SESSION_is_resumable(session) == 0);
  CHECK(SSL_SESSION_get_max_early_data(session) == 0);
}

TEST_CASE("tls: keys are renewed, and the other side follows") {
  auto with = context(near_settings());
  with.renew_keys_after(3);
  End near(with);
  End far(context(far_settings()));
  near.wants = some_bytes(2'000'000, 6);
  far.wants = some_bytes(100'000, 7);
  carry(near, far, 0);
  CHECK(far.got == near.wants);
  CHECK(near.got == far.wants);
}

TEST_CASE("tls: keys that are renewed without end are refused, but for much data") {
  for (const std::size_t data : {0U, 1U, 16'000U, 65'536U}) {
    CAPTURE(data);
    Stranger client(TLS_client_method());
    client.offer_h2();
    client.start();
    SSL_set_connect_state(client.ssl.get());
    End far(context(far_settings()));
    client.shake_hands(far);
    REQUIRE(far.session.state() == State::open);
    const std::string bytes(data, 'x');
    for (int i = 0; i < 100; ++i) {
      SSL_key_update(client.ssl.get(), SSL_KEY_UPDATE_REQUESTED);
      SSL_do_handshake(client.ssl.get());
      if (data > 0) SSL_write(client.ssl.get(), bytes.data(), static_cast<int>(data));
      far.hear(client.speak());
      client.hear(far.speak());
      char byte = 0;
      SSL_read(client.ssl.get(), &byte, 1);
    }
    const bool is_much = data == 65'536;
    CHECK(far.session.state() == (is_much ? State::open : State::failed));
    if (!is_much) {
      CHECK(far.session.failure() == "TLS: the other side renews its keys without end");
    }
    CHECK((far.got.size() == 100 * data) == (is_much || data == 0));
  }
}

TEST_CASE("tls: a session outlives its context") {
  auto with = std::make_unique<Context>(context(near_settings()));
  End near(*with);
  with.reset();
  End far(context(far_settings()));
  near.wants = bytes_of("hello");
  carry(near, far);
  CHECK(far.got == near.wants);
}

TEST_CASE("tls: files that cannot be used are named, with what is wrong and the cure") {
  const auto& good = far_certificate();
  const auto missing = authority().path("missing.pem");
  CHECK(said_of({missing, good.key, {}}) ==
        "certificate \"" + missing + "\" cannot be read: No such file or directory");
  CHECK(said_of({good.certificate, missing, {}}) ==
        "key \"" + missing + "\" cannot be read: No such file or directory");
  CHECK(said_of({good.certificate, good.key, missing}) ==
        "client_ca \"" + missing + "\" cannot be read: No such file or directory");
  CHECK(said_of({missing, missing, missing}) ==
        "certificate \"" + missing + "\" cannot be read: No such file or directory\n" + "key \"" +
            missing + "\" cannot be read: No such file or directory\n" + "client_ca \"" + missing +
            "\" cannot be read: No such file or directory");
  const auto directory = authority().path("");
  CHECK(said_of({directory, good.key, {}}) ==
        "certificate \"" + directory + "\" cannot be read: Is a directory");
  CHECK(said_of({"/dev/zero", good.key, {}}) ==
        "certificate \"/dev/zero\" cannot be read: File too large");

  const auto empty = authority().file("empty.pem", "");
  CHECK(said_of({empty, good.key, {}})
            .starts_with("certificate \"" + empty + "\" holds no certificate in PEM form"));
  CHECK(said_of({good.key, good.key, {}})
            .starts_with("certificate \"" + good.key + "\" holds no certificate in PEM form"));
  CHECK(said_of({good.certificate, good.certificate, {}})
            .starts_with("key \"" + good.certificate + "\" holds no private key in PEM form"));
  const auto damaged = authority().file(
      "damaged.pem", "-----BEGIN CERTIFICATE-----\nQUJD\n-----END CERTIFICATE-----\n");
  CHECK(said_of({damaged, good.key, {}})
            .starts_with("certificate \"" + damaged + "\" has a damaged certificate (number 1): "));

  const auto other = authority().issue({"other"});
  CHECK(said_of({good.certificate, other.key, {}}) ==
        "key \"" + other.key + "\" does not belong to the first certificate of \"" +
            good.certificate +
            "\" (\"CN=far\"); this end's own certificate stands first, those that it was issued by "
            "follow");

  const auto encrypted = Authority::encrypted(good.key);
  CHECK(said_of({good.certificate, encrypted, {}}) ==
        "key \"" + encrypted +
            "\" is encrypted, and finhold asks for no password; \"openssl pkey\" writes it without "
            "one");
}

TEST_CASE("tls: a certificate that the other side will refuse is a warning") {
  CHECK(context(far_settings()).warnings().empty());
  const auto old = authority().issue({"far", "DNS:far.test", "serverAuth", -3, -1});
  const auto warnings = context(ServerSettings{old.certificate, old.key, {}}).warnings();
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].starts_with("certificate \"" + old.certificate +
                                "\" has expired: it was valid until "));
  const auto early = authority().issue({"far", "DNS:far.test", "serverAuth", 1, 3});
  CHECK(context(ServerSettings{early.certificate, early.key, {}})
            .warnings()[0]
            .starts_with("certificate \"" + early.certificate + "\" is not valid before "));
}

TEST_CASE("tls: a key that others can use is a warning, but for a group's of root") {
  const auto files = authority().issue();
  const auto warnings = [&](unsigned mode) {
    REQUIRE(chmod(files.key.c_str(), mode) == 0);
    return context(ServerSettings{files.certificate, files.key, {}}).warnings();
  };
  const auto said = [&](const std::string& mode) {
    return std::vector<std::string>{
        "key \"" + files.key + "\" has mode " + mode +
        ", so others than its owner can use it; \"chmod 600\" it, or, owned by root and by the "
        "group that finhold runs as, \"chmod 640\""};
  };
  CHECK(warnings(0600).empty());
  CHECK(warnings(0400).empty());
  CHECK(warnings(0644) == said("0644"));
  CHECK(warnings(0604) == said("0604"));
  CHECK(warnings(0660) == said("0660"));
  if (geteuid() != 0) {
    CHECK(warnings(0640) == said("0640"));
    return;
  }
  CHECK(warnings(0640).empty());
  REQUIRE(chown(files.key.c_str(), 65534, 0) == 0);
  CHECK(warnings(0600).empty());
  CHECK(warnings(0640) == said("0640"));
}

TEST_CASE("tls: a near end without a name to look for is none") {
  auto near_with = near_settings();
  for (const std::string& name : {std::string(), std::string("."), std::string("a\0b", 3)}) {
    near_with.server_name = name;
    CHECK_FALSE(Context::load(near_with).ok());
  }
}
