// The far end's allowed: what opens it, and everything that must not.
#include "tunnel/allow_list.h"

#include <initializer_list>
#include <string>
#include <vector>

#include <doctest/doctest.h>

using finhold::base::Address;
using finhold::tunnel::AllowEntry;
using finhold::tunnel::AllowList;
using finhold::tunnel::Destination;
using finhold::tunnel::HostAddresses;

namespace {

using Texts = std::initializer_list<std::string>;

Address address(const std::string& text) {
  auto parsed = Address::parse(text);
  REQUIRE_MESSAGE(parsed.ok(), text);
  return parsed.value();
}

std::vector<Address> addresses(Texts texts) {
  std::vector<Address> all;
  for (const auto& text : texts) all.push_back(address(text));
  return all;
}

Destination destination(const std::string& authority) {
  auto parsed = Destination::parse(authority);
  REQUIRE_MESSAGE(parsed, authority);
  return *parsed;
}

std::string said_of(const std::string& item) {
  const auto parsed = AllowEntry::parse(item);
  return parsed.ok() ? "ok" : parsed.error().text;
}

class Allowed {
 public:
  explicit Allowed(Texts items) : list_(entries(items)) {}

  // What may be dialed, or why nothing may be, for a name that resolves so.
  [[nodiscard]] std::string named(const std::string& authority, Texts resolved) const {
    const Destination wanted = destination(authority);
    CHECK_FALSE(wanted.name.empty());
    if (!list_.may_look_up(wanted)) return "not looked up";
    return shown(wanted, addresses(resolved));
  }

  // The same for an address.
  [[nodiscard]] std::string at(const std::string& authority) const {
    const Destination wanted = destination(authority);
    CHECK(wanted.name.empty());
    return shown(wanted, {wanted.address});
  }

  [[nodiscard]] bool opens(const std::string& authority) const {
    return at(authority) == destination(authority).address.text();
  }

 private:
  static std::vector<AllowEntry> entries(Texts items) {
    std::vector<AllowEntry> all;
    for (const auto& item : items) {
      auto parsed = AllowEntry::parse(item);
      REQUIRE_MESSAGE(parsed.ok(), item);
      all.push_back(parsed.value());
    }
    return all;
  }

  [[nodiscard]] std::string shown(const Destination& wanted,
                                  const std::vector<Address>& found) const {
    const HostAddresses host{
        addresses({"127.0.0.1:0", "10.1.2.3:0", "[2001:db8::3]:0", "169.254.1.1:0"}),
        addresses({"10.1.2.255:0"})};
    const auto admitted = list_.admit(wanted, found, host);
    if (!admitted.ok()) return admitted.error().text;
    std::string text;
    for (const auto& one : admitted.value()) text += (text.empty() ? "" : " ") + one.text();
    return text;
  }

  AllowList list_;
};

}  // namespace

TEST_CASE("allow: an empty list opens nothing") {
  const Allowed allowed({});
  CHECK(allowed.at("10.0.0.5:514") == "10.0.0.5:514 is not in allow");
  CHECK(allowed.named("db.internal:5432", {"10.0.0.5:0"}) == "not looked up");
}

TEST_CASE("allow: a network opens its addresses at its ports") {
  const Allowed allowed({"10.0.0.0/8:514", "[2001:db8::/32]:7000-7010"});
  CHECK(allowed.opens("10.0.0.5:514"));
  CHECK(allowed.at("10.0.0.5:515") == "10.0.0.5:515 is not in allow");
  CHECK(allowed.at("11.0.0.5:514") == "11.0.0.5:514 is not in allow");
  CHECK(allowed.opens("[2001:db8::5]:7000"));
  CHECK(allowed.opens("[2001:db8:ffff::5]:7010"));
  CHECK_FALSE(allowed.opens("[2001:db8::5]:7011"));
  CHECK_FALSE(allowed.opens("[2001:db9::5]:7000"));
}

TEST_CASE("allow: a listed name opens what it resolves to, at its port only") {
  const Allowed allowed({"db.internal:5432", "10.0.0.0/8:514"});
  CHECK(allowed.named("db.internal:5432", {"192.0.2.7:0", "[2001:db8::7]:0"}) ==
        "192.0.2.7:5432 [2001:db8::7]:5432");
  CHECK(allowed.named("db.internal:5433", {"192.0.2.7:0"}) == "not looked up");
  CHECK(allowed.named("db.internal:514", {"192.0.2.7:0"}) == "192.0.2.7:514 is not in allow");
  CHECK(allowed.named("db.internal:5432", {}) == "the name has no address");
  CHECK(allowed.at("192.0.2.7:5432") == "192.0.2.7:5432 is not in allow");
}

TEST_CASE("allow: names are compared without case and last dot, and whole") {
  const Allowed allowed({"DB.Internal.:5432"});
  CHECK(allowed.named("db.internal:5432", {"192.0.2.7:0"}) == "192.0.2.7:5432");
  CHECK(allowed.named("Db.INTERNAL.:5432", {"192.0.2.7:0"}) == "192.0.2.7:5432");
  for (const std::string other : {"xdb.internal:5432", "x.db.internal:5432", "db.internal.x:5432",
                                  "db.interna:5432", "internal:5432", "db-internal:5432"}) {
    CHECK_MESSAGE(allowed.named(other, {"192.0.2.7:0"}) == "not looked up", other);
  }
}

TEST_CASE("allow: a name is looked up with the last dot that it has here or there") {
  const auto looked_up = [](const std::string& item, const std::string& authority) {
    const AllowList list({AllowEntry::parse(item).value()});
    return list.to_look_up(destination(authority));
  };
  CHECK(looked_up("db.internal:5432", "db.internal:5432") == "db.internal");
  CHECK(looked_up("db.internal:5432", "DB.internal.:5432") == "db.internal.");
  CHECK(looked_up("DB.internal.:5432", "db.internal:5432") == "db.internal.");
  CHECK(looked_up("db.internal.:5432", "db.internal.:5432") == "db.internal.");
  CHECK(looked_up("db.internal.:5432", "db.internal:5433") == "db.internal");
  CHECK(looked_up("db.internal.:5432", "other.internal:5432") == "other.internal");
  CHECK(looked_up("10.0.0.0/8:5432", "other.internal.:5432") == "other.internal.");
}

TEST_CASE("allow: another name opens addresses of listed networks, and only those of its answer") {
  const Allowed allowed({"10.0.0.0/8:514"});
  CHECK(allowed.named("any.name:514", {"10.0.0.5:0"}) == "10.0.0.5:514");
  CHECK(allowed.named("any.name:514", {"192.0.2.7:0", "10.0.0.5:0", "10.0.0.6:99"}) ==
        "10.0.0.5:514 10.0.0.6:514");
  CHECK(allowed.named("any.name:514", {"192.0.2.7:0", "127.0.0.1:0"}) ==
        "192.0.2.7:514 is not in allow");
  CHECK(allowed.named("any.name:515", {"10.0.0.5:0"}) == "not looked up");
}

TEST_CASE("allow: the port of an answer is not believed") {
  const Allowed allowed({"10.0.0.0/8:514"});
  CHECK(allowed.named("any.name:514", {"10.0.0.5:22"}) == "10.0.0.5:514");
}

TEST_CASE("allow: a wide network opens neither loopback nor link-local nor this host") {
  for (const std::string authority :
       {"127.0.0.1:80", "127.255.255.255:80", "169.254.169.254:80", "10.1.2.3:80", "169.254.1.1:80",
        "[::1]:80", "[fe80::1%lo]:80", "[febf::1%lo]:80", "[2001:db8::3]:80"}) {
    const Allowed allowed({"0.0.0.0/0:80", "[::/0]:80", "10.0.0.0/8:80", "10.1.2.2/31:80",
                           "126.0.0.0/7:80", "[2001:db8::2/127]:80", "[fe80::/9]:80",
                           "[::/127]:80"});
    CHECK_MESSAGE(!allowed.opens(authority), authority);
  }
  const Allowed allowed({"0.0.0.0/0:80", "[::/0]:80"});
  CHECK(allowed.at("127.0.0.1:80") == "127.0.0.1:80 is loopback, and not in allow as an address");
  CHECK(allowed.at("[fe80::1%lo]:80") ==
        "[fe80::1%lo]:80 is link-local, and not in allow as an address");
  CHECK(allowed.at("10.1.2.3:80") ==
        "10.1.2.3:80 is an address of this host, and not in allow as an address");
  for (const std::string authority :
       {"126.255.255.255:80", "128.0.0.1:80", "169.253.255.255:80", "169.255.0.0:80", "10.1.2.4:80",
        "[::2:0:0:1]:80", "[fec0::1]:80"}) {
    CHECK_MESSAGE(allowed.opens(authority), authority);
  }
}

TEST_CASE("allow: listed as an address they are opened, at the listed port") {
  CHECK(Allowed({"127.0.0.1:5432"}).opens("127.0.0.1:5432"));
  CHECK_FALSE(Allowed({"127.0.0.1:5432"}).opens("127.0.0.1:5433"));
  CHECK_FALSE(Allowed({"127.0.0.1:5432"}).opens("127.0.0.2:5432"));
  CHECK(Allowed({"127.0.0.1/32:5432"}).opens("127.0.0.1:5432"));
  CHECK(Allowed({"127.0.0.0/8:5432"}).opens("127.9.9.9:5432"));
  CHECK(Allowed({"127.0.0.0/31:5432"}).opens("127.0.0.1:5432"));
  CHECK(Allowed({"[::1]:5432"}).opens("[::1]:5432"));
  CHECK(Allowed({"169.254.0.0/16:80"}).opens("169.254.169.254:80"));
  CHECK(Allowed({"[fe80::/64]:80"}).opens("[fe80::1%lo]:80"));
  CHECK(Allowed({"10.1.2.3:80"}).opens("10.1.2.3:80"));
  CHECK(Allowed({"[2001:db8::3]:80"}).opens("[2001:db8::3]:80"));
  // A link-local address that is this host's too: the range says it.
  CHECK(Allowed({"169.254.0.0/16:80"}).opens("169.254.1.1:80"));
}

TEST_CASE("allow: a link-local address is one of an interface of this host") {
  for (const std::string item : {"[fe80::/10]:80", "[fe80::1]:80", "[fe80::1%lo]:80",
                                 "[fe80::%lo/64]:80", "[fe80::1%25lo]:80"}) {
    const Allowed allowed({item});
    CHECK(allowed.opens("[fe80::1%lo]:80"));
    CHECK(allowed.opens("[fe80::1%25lo]:80"));  // RFC 6874
    CHECK(allowed.opens("[fe80::1%1]:80"));
    CHECK_FALSE(allowed.opens("[fe80::1%lo]:81"));
    const std::string nowhere = "[fe80::1]:80 is link-local, and of no interface of this host";
    CHECK(allowed.at("[fe80::1]:80") == nowhere);
    CHECK(allowed.at("[fe80::1%nowhere]:80") == nowhere);
  }
  CHECK_FALSE(Allowed({"[fe80::1%eth77]:80"}).opens("[fe80::1%lo]:80"));
  CHECK_FALSE(Allowed({"[fe80::2%lo]:80"}).opens("[fe80::1%lo]:80"));
  CHECK(said_of("[2001:db8::1%lo]:80") ==
        "has an interface behind the %, which belongs to link-local addresses only; take it away");
  CHECK(said_of("[fe80::1%]:80").starts_with("\"\" is not the name of an interface; "));
  CHECK(said_of("[fe80::1%l o]:80").starts_with("\"l o\" is not the name of an interface; "));
  CHECK(said_of("[fe80::%lo]").starts_with("has no port"));
}

TEST_CASE("allow: a name that turns to this host is refused, listed or not") {
  const Allowed allowed({"db.internal:5432", "0.0.0.0/0:5432"});
  for (const std::string name : {"db.internal:5432", "evil.example:5432", "localhost:5432"}) {
    CHECK(allowed.named(name, {"127.0.0.1:0"}) ==
          "127.0.0.1:5432 is loopback, and not in allow as an address");
    CHECK(allowed.named(name, {"10.1.2.3:0"}) ==
          "10.1.2.3:5432 is an address of this host, and not in allow as an address");
    CHECK(allowed.named(name, {"0.0.0.0:0"}) == "0.0.0.0:5432 is no address of a server");
    CHECK(allowed.named(name, {"[::ffff:127.0.0.1]:0"}) ==
          "127.0.0.1:5432 is loopback, and not in allow as an address");
    CHECK(allowed.named(name, {"[::1]:0", "192.0.2.7:0"}) == "192.0.2.7:5432");
  }
  const Allowed both({"db.internal:5432", "127.0.0.1:5432"});
  CHECK(both.named("db.internal:5432", {"127.0.0.1:0"}) == "127.0.0.1:5432");
  CHECK(both.named("localhost:5432", {"[::1]:0", "127.0.0.1:0"}) == "127.0.0.1:5432");
}

TEST_CASE("allow: no server has an unspecified, multicast or broadcast address") {
  const Allowed allowed({"0.0.0.0/0:80", "[::/0]:80"});
  for (const std::string authority :
       {"0.0.0.0:80", "0.1.2.3:80", "224.0.0.1:80", "239.255.255.255:80", "255.255.255.255:80",
        "[::]:80", "[ff02::1]:80", "[ff0e::1]:80", "[::ffff:0.0.0.0]:80", "10.1.2.255:80",
        "[::ffff:10.1.2.255]:80"}) {
    CHECK_MESSAGE(allowed.at(authority).ends_with(" is no address of a server"), authority);
  }
  CHECK_FALSE(Allowed({"10.1.2.255:80"}).opens("10.1.2.255:80"));
  CHECK_FALSE(allowed.opens("[64:ff9b::10.1.2.255]:80"));
}

TEST_CASE("allow: an IPv4 address in IPv6 clothes is the IPv4 address") {
  const Allowed v4({"10.0.0.0/8:80"});
  const Allowed v6({"[::/0]:80"});
  const Allowed any({"0.0.0.0/0:80", "[::/0]:80"});
  for (const std::string clothes : {"[::ffff:10.0.0.5]:80", "[::10.0.0.5]:80",
                                    "[::ffff:0:10.0.0.5]:80", "[64:ff9b::10.0.0.5]:80"}) {
    CHECK_MESSAGE(v4.opens(clothes), clothes);
    CHECK_MESSAGE(!v6.opens(clothes), clothes);
  }
  // A site behind 10.0.0.5, and translators that look for the IPv4 address elsewhere.
  for (const std::string others :
       {"[2002:a00:5::1]:80", "[64:ff9b:1::10.0.0.5]:80", "[64:ff9b:1:a01:2:300:a00:5]:80"}) {
    CHECK_MESSAGE(!v4.opens(others), others);
    CHECK_MESSAGE(!any.opens(others), others);
  }
  CHECK_FALSE(Allowed({"10.0.0.5:80"}).opens("[2002:a00:5:1::99]:80"));
  CHECK(Allowed({"[64:ff9b:1::/48]:80"}).opens("[64:ff9b:1::10.0.0.5]:80"));
  for (const std::string clothes :
       {"[::ffff:127.0.0.1]:80", "[::127.0.0.1]:80", "[::ffff:0:127.0.0.1]:80",
        "[64:ff9b::127.0.0.1]:80", "[64:ff9b:1::127.0.0.1]:80", "[2002:7f00:1::1]:80",
        "[64:ff9b::169.254.169.254]:80", "[::ffff:169.254.169.254]:80", "[64:ff9b::10.1.2.3]:80",
        "[::ffff:10.1.2.3]:80", "[2002:a01:203::1]:80", "[64:ff9b::]:80"}) {
    CHECK_MESSAGE(!any.opens(clothes), clothes);
  }
  CHECK(any.at("[64:ff9b::10.1.2.3]:80") ==
        "[64:ff9b::a01:203]:80, which stands for 10.1.2.3:80, is an address of this host, and not "
        "in allow as an address");
  CHECK(any.at("[64:ff9b::7f00:1]:80") ==
        "[64:ff9b::7f00:1]:80, which stands for 127.0.0.1:80, is no address of a server");
}

TEST_CASE("allow: what is listed as 127.0.0.1 is this host's, not a translator's") {
  const Allowed allowed({"127.0.0.1:80", "[64:ff9b::/96]:80"});
  CHECK(allowed.opens("[::ffff:127.0.0.1]:80"));
  CHECK_FALSE(allowed.opens("[64:ff9b::127.0.0.1]:80"));
  CHECK_FALSE(allowed.opens("[2002:7f00:1::]:80"));
}

TEST_CASE("allow: a network of stand-ins opens them, since whoever writes it means them") {
  CHECK(Allowed({"[64:ff9b::/96]:80"}).opens("[64:ff9b::10.0.0.5]:80"));
  CHECK(Allowed({"[2002:a00::/24]:80"}).opens("[2002:a00:5::1]:80"));
  CHECK_FALSE(Allowed({"[64:ff9b::/96]:80"}).opens("[64:ff9b::10.1.2.3]:80"));
  CHECK(Allowed({"[64:ff9b::10.1.2.3]:80"}).opens("[64:ff9b::10.1.2.3]:80"));
  CHECK(Allowed({"db.internal:80"}).named("db.internal:80", {"[64:ff9b::10.0.0.5]:0"}) ==
        "[64:ff9b::a00:5]:80");
  CHECK_FALSE(Allowed({"db.internal:80"})
                  .named("db.internal:80", {"[64:ff9b::127.0.0.1]:0"})
                  .starts_with("[64:ff9b::7f00:1]:80 "));
}

TEST_CASE("allow: an authority is a host and a port, exactly") {
  CHECK(destination("db.internal:5432").name == "db.internal");
  CHECK(destination("DB.internal.:5432").name == "db.internal");
  CHECK(destination("10.0.0.5:7000").address.text() == "10.0.0.5:7000");
  CHECK(destination("[2001:DB8::5]:7000").address.text() == "[2001:db8::5]:7000");
  CHECK(destination("[::ffff:127.0.0.1]:80").address == address("127.0.0.1:80"));
  CHECK(destination("localhost:80").name == "localhost");
  for (const std::string authority : {"",
                                      ":",
                                      ":80",
                                      "db.internal",
                                      "db.internal:",
                                      "db.internal:0",
                                      "db.internal:05432",
                                      "10.0.0.5:07000",
                                      "[2001:db8::5]:07000",
                                      "db.internal:65536",
                                      "db.internal:80 ",
                                      " db.internal:80",
                                      "db.internal:+80",
                                      "db.internal:0x50",
                                      "db.internal:http",
                                      "a@b:80",
                                      "user:pass@db.internal:80",
                                      "http://db.internal:80",
                                      "db.internal:80/",
                                      "db.internal/:80",
                                      "db.internal:80?x",
                                      "db.internal:80#x",
                                      "..:80",
                                      ".:80",
                                      "db..internal:80",
                                      "db%2einternal:80",
                                      "*.internal:80",
                                      "d\xC3\xA4.internal:80",
                                      "db.internal:80:80",
                                      "::1:80",
                                      "[::1]",
                                      "[::1]:",
                                      "[::1]:0",
                                      "[::1%lo]:80",
                                      "[fe80::1%]:80",
                                      "[fe80::1%l o]:80",
                                      "[fe80::1%lo%lo]:80",
                                      "[2001:db8::5%lo]:80",
                                      "[db.internal]:80",
                                      "[127.0.0.1]:80",
                                      "[]:80",
                                      "[[::1]]:80",
                                      "[v1.x]:80",
                                      "db.internal:80\n",
                                      "db.internal\r\nx:80"}) {
    CHECK_MESSAGE(!Destination::parse(authority), authority);
  }
  CHECK_FALSE(Destination::parse(std::string("db\0.internal:80", 15)));
  CHECK_FALSE(Destination::parse(std::string(64, 'x') + ":80"));
  CHECK_FALSE(Destination::parse(std::string(1 << 20, 'x') + ":80"));
  CHECK_FALSE(Destination::parse(std::string(1 << 20, ':')));
}

TEST_CASE("allow: no form of an IPv4 address but the full decimal one") {
  for (const std::string authority :
       {"127.1:80", "127.0.1:80", "2130706433:80", "0177.0.0.1:80", "017700000001:80", "0x7f.1:80",
        "0x7f.0.0.1:80", "0x7f000001:80", "0X7F000001:80", "127.0.0.0x1:80", "0x7f.0x1:80",
        "127.0.0.1.:80", "127.0.0.01:80", "127.0.0.256:80", "127.0.0.1.1:80", "1:80", "0:80",
        "0x:80", "x.0x:80"}) {
    CHECK_MESSAGE(!Destination::parse(authority), authority);
  }
}

TEST_CASE("allow: items are printed with their cure when they are wrong") {
  for (const std::string item :
       {"10.0.0.0/8:514", "[2001:db8::/32]:7000-7010", "db.internal:5432", "127.0.0.1:1-65535",
        "[::1]:80", "0.0.0.0/0:80", "[::/0]:80", "DB_1.internal.:80"}) {
    CHECK_MESSAGE(said_of(item) == "ok", item);
  }
  const std::string forms =
      R"(is not understood; write "10.0.0.0/8:514", "[2001:db8::/32]:7000-7010" or "db.internal:5432")";
  for (const std::string item : {"2001:db8::/32:514", "::1", "[::]/0:514", "[10.0.0.0/8]:514",
                                 "a b:80", "0x7f.1:80", "127.1:80", "a@b:80", "http://a:80"}) {
    CHECK_MESSAGE(said_of(item) == forms, item);
  }
  CHECK(said_of("10.0.0.0/8") ==
        "has no port; write a port from 1 to 65535, or two as 7000-7010, the lower one first, "
        "behind a colon (1-65535 for every port)");
  CHECK(said_of("db.internal").starts_with("has no port"));
  for (const std::string item :
       {"db.internal:", "db.internal:0", "db.internal:9-8", "10.0.0.0/8:x"}) {
    CHECK_MESSAGE(said_of(item).starts_with("has a wrong port behind the colon; write a port"),
                  item);
  }
  CHECK(said_of(":514").starts_with("has nothing before the colon; every destination is"));
  CHECK(said_of("").starts_with("has nothing before the colon"));
  CHECK(said_of("*.internal:443").starts_with("has a wildcard"));
  CHECK(said_of("*:443").starts_with("has a wildcard"));
  CHECK(said_of("10.0.0.1/8:514").find("bits set behind its prefix") != std::string::npos);
  CHECK(said_of("localhost:5432").starts_with("opens nothing: loopback is listed as an address"));
  CHECK(said_of("db.localhost.:5432").starts_with("opens nothing: loopback"));
  CHECK(said_of("0.0.0.0:80") == "opens nothing: no server has an address in 0.0.0.0");
  CHECK(said_of("[ff02::/16]:80") == "opens nothing: no server has an address in ff02::/16");
  CHECK(said_of("255.255.255.255:80").starts_with("opens nothing"));
}
