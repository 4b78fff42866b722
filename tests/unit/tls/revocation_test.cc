// Lists of revoked certificates (CRL), and what certificates are for: whom either end refuses, and
// in what words.
#include <fstream>
#include <string>
#include <vector>

#include <doctest/doctest.h>

#include "unit/tls/certificates.h"
#include "unit/tls/endpoint_pair.h"

using namespace tls_pair;

namespace {

// A near end with a certificate, and a far end that asks for one.
struct Ends {
  CertificateFiles near_files = authority().issue({"near", "", "clientAuth"});
  ClientSettings near = {authority().certificate(), near_files.certificate, near_files.key,
                         "far.test"};
  ServerSettings far = {far_certificate().certificate, far_certificate().key,
                        authority().certificate()};

  [[nodiscard]] bool open() const {
    Pair pair(near, far);
    carry(pair.near, pair.far);
    return pair.open();
  }
  [[nodiscard]] Refused refused() const { return tls_pair::refused(near, far); }
};

std::vector<std::string> warnings_of(const ServerSettings& settings) {
  return context(settings).warnings();
}

}  // namespace

TEST_CASE("revocation: a near end's certificate that was revoked is refused, others are not") {
  Ends ends;
  const auto other = authority().issue({"other", "", "clientAuth"});
  ends.far.crl = authority().list("a.crl", {other.certificate});
  CHECK(ends.open());
  CHECK(warnings_of(ends.far).empty());
  ends.far.crl = authority().list("a.crl", {other.certificate, ends.near_files.certificate});
  const auto said = ends.refused();
  CHECK(
      said.far.starts_with("TLS: the client's certificate is refused: \"CN=near\" was revoked by "
                           "\"CN=Test CA\" on "));
  CHECK(said.near == "TLS: the other side refused: our certificate was revoked");
}

TEST_CASE("revocation: a far end's certificate that was revoked is refused") {
  Ends ends;
  ends.near.crl = authority().list("b.crl", {});
  CHECK(ends.open());
  ends.near.crl = authority().list("b.crl", {far_certificate().certificate});
  const auto said = ends.refused();
  CHECK(
      said.near.starts_with("TLS: the far end's certificate is refused: \"CN=far\" was revoked "
                            "by \"CN=Test CA\" on "));
  CHECK(said.far == "TLS: the other side refused: our certificate was revoked");
}

TEST_CASE("revocation: a list that is over, or is not good yet, lets nobody in") {
  Ends ends;
  ends.far.crl = authority().list("c.crl", {}, {-3, -1});
  CHECK(ends.refused().far.starts_with(
      "TLS: the client's certificate is refused: \"CN=near\" cannot be looked for in the crl: the "
      "list of \"CN=Test CA\" was good until "));
  auto warnings = warnings_of(ends.far);
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].starts_with("crl \"" + ends.far.crl +
                                "\": the list of \"CN=Test CA\" was good until "));
  ends.far.crl = authority().list("c.crl", {}, {1, 3});
  CHECK(ends.refused().far.find("is not good before ") != std::string::npos);
  warnings = warnings_of(ends.far);
  REQUIRE(warnings.size() == 1);
  CHECK(warnings[0].starts_with("crl \"" + ends.far.crl +
                                "\": the list of \"CN=Test CA\" is not good before "));
}

TEST_CASE("revocation: without a list of who has issued a certificate nobody is let in by it") {
  Authority other("Other CA");
  Authority namesake("Test CA");
  Ends ends;
  ends.far.crl = other.list("d.crl", {});
  CHECK(ends.refused().far ==
        "TLS: the client's certificate is refused: \"CN=near\" was issued by \"CN=Test CA\", of "
        "which the crl has no list");
  const std::string begin = "crl \"" + ends.far.crl + "\": ";
  const std::string no_list =
      "it has no list of \"CN=Test CA\", which client_ca has: whoever shows a certificate that "
      "this one has issued is refused; add its list, an empty one if nothing is revoked";
  CHECK(warnings_of(ends.far) ==
        std::vector<std::string>{
            begin +
                "the list of \"CN=Other CA\" was signed by no authority that client_ca has, so it "
                "counts only below one that is shown together with a certificate; take the list "
                "of those in client_ca",
            begin + no_list});
  ends.far.crl = namesake.list("d.crl", {});
  CHECK(ends.refused().far ==
        "TLS: the client's certificate is refused: \"CN=near\" cannot be looked for in the crl: "
        "the list of \"CN=Test CA\" was not signed by that authority");
  CHECK(warnings_of(ends.far).size() == 2);
  ends.far.crl =
      authority().joined("both.crl", {other.list("d.crl", {}), authority().list("d2.crl", {})});
  CHECK(ends.open());
}

TEST_CASE("revocation: every authority between has to have its list, but not who is believed") {
  Authority branch("Branch CA", authority());
  const auto client = branch.issue({"near", "", "clientAuth"});
  Ends ends;
  ends.near.certificate = branch.joined("chain.pem", {client.certificate, branch.certificate()});
  ends.near.key = client.key;
  const auto of_root = authority().list("root.crl", {});
  const auto of_branch = branch.list("branch.crl", {});
  ends.far.crl = branch.joined("both.crl", {of_root, of_branch});
  CHECK(ends.open());
  ends.far.crl = of_root;
  CHECK(ends.refused().far.find("was issued by \"CN=Branch CA\", of which the crl has no list") !=
        std::string::npos);
  ends.far.crl = of_branch;
  CHECK(ends.refused().far.find("was issued by \"CN=Test CA\", of which the crl has no list") !=
        std::string::npos);
  const auto branch_revoked = authority().list("root2.crl", {branch.certificate()});
  ends.far.crl = branch.joined("both.crl", {branch_revoked, of_branch});
  CHECK(ends.refused().far.find("\"CN=Branch CA\" was revoked") != std::string::npos);

  // Whom client_ca names is believed, whoever has issued it.
  ends.far.client_ca = branch.certificate();
  ends.far.crl = of_branch;
  CHECK(ends.open());
  CHECK(warnings_of(ends.far).empty());
  ends.far.crl = branch.list("branch.crl", {client.certificate});
  CHECK(ends.refused().far.find("\"CN=near\" was revoked") != std::string::npos);
  ends.far.client_ca = client.certificate;
  ends.far.crl = of_root;
  CHECK(ends.open());
  ends.near.certificate = client.certificate;
  CHECK(ends.open());
}

TEST_CASE("revocation: a newer context's list judges whom an older one has let in") {
  Ends ends;
  Pair pair(ends.near, ends.far);
  carry(pair.near, pair.far);
  REQUIRE(pair.open());
  ends.far.crl = authority().list("e.crl", {});
  CHECK(pair.far.session.would_be_believed_by(context(ends.far)));
  ends.far.crl = authority().list("e.crl", {ends.near_files.certificate});
  CHECK_FALSE(pair.far.session.would_be_believed_by(context(ends.far)));
  CHECK(pair.far.session.failure().empty());
}

TEST_CASE("revocation: another list is another context") {
  Ends ends;
  ends.far.crl = authority().list("f.crl", {});
  const auto before = context(ends.far).fingerprint();
  CHECK(context(ends.far).fingerprint() == before);
  authority().list("f.crl", {ends.near_files.certificate});
  CHECK(context(ends.far).fingerprint() != before);
  ends.near.crl = authority().list("g.crl", {});
  const auto of_near = context(ends.near).fingerprint();
  authority().list("g.crl", {ends.near_files.certificate});
  CHECK(context(ends.near).fingerprint() != of_near);
}

TEST_CASE("revocation: files that hold no list are named, with the cure") {
  const auto said = [](const std::string& path) {
    Ends ends;
    ends.far.crl = path;
    return said_of(ends.far);
  };
  const auto missing = authority().path("missing.crl");
  CHECK(said(missing) == "crl \"" + missing + "\" cannot be read: No such file or directory");
  CHECK(said(authority().certificate()) ==
        "crl \"" + authority().certificate() +
            "\" holds no list of revoked certificates in PEM form; it must have a line "
            "\"-----BEGIN X509 CRL-----\" (a DER file becomes one by \"openssl crl -inform der\")");
  const auto damaged =
      authority().file("damaged.crl", "-----BEGIN X509 CRL-----\nQUJD\n-----END X509 CRL-----\n");
  CHECK(said(damaged).starts_with("crl \"" + damaged + "\" has a damaged list (number 1): "));
}

TEST_CASE("purpose: either end's certificate is none for the other end") {
  Ends ends;
  const auto of_far = authority().issue({"far", "DNS:far.test", "serverAuth"});
  ends.near.certificate = of_far.certificate;
  ends.near.key = of_far.key;
  auto said = ends.refused();
  const std::string at_the_other =
      "TLS: the other side refused: our certificate is not meant for our end (its extendedKeyUsage "
      "must have serverAuth for a far end, clientAuth for a near end)";
  CHECK(said.far ==
        "TLS: the client's certificate is refused: \"CN=far\" is not meant for a client "
        "(extendedKeyUsage)");
  CHECK(said.near == at_the_other);
  CHECK(context(ends.near).warnings() ==
        std::vector<std::string>{"certificate \"" + of_far.certificate +
                                 "\" is not meant for a near end, and the far end will refuse it; "
                                 "have it issued with extendedKeyUsage = clientAuth"});

  Ends turned;
  const auto of_near = authority().issue({"near", "DNS:far.test", "clientAuth"});
  turned.far.certificate = of_near.certificate;
  turned.far.key = of_near.key;
  said = turned.refused();
  CHECK(said.near ==
        "TLS: the far end's certificate is refused: \"CN=near\" is not meant for a server "
        "(extendedKeyUsage)");
  CHECK(said.far == at_the_other);
  CHECK(warnings_of(turned.far) ==
        std::vector<std::string>{"certificate \"" + of_near.certificate +
                                 "\" is not meant for a far end, and the near end will refuse it; "
                                 "have it issued with extendedKeyUsage = serverAuth"});
}

TEST_CASE("purpose: a certificate that says nothing of it is good for either end") {
  const auto any = authority().issue({"any", "DNS:far.test", ""});
  Ends ends;
  ends.near.certificate = ends.far.certificate = any.certificate;
  ends.near.key = ends.far.key = any.key;
  CHECK(ends.open());
  CHECK(context(ends.near).warnings().empty());
  CHECK(warnings_of(ends.far).empty());
}
