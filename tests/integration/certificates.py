"""Certificates for the ends of pairs, made by the program openssl: in the directory of a test, each when it is
first asked for."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

FAR = "far.test"  # the far end's name in its certificates; it has 127.0.0.1 in them too
ROLES = ("DNS:far.test,IP:127.0.0.1", "serverAuth,clientAuth")


def openssl(*arguments: str) -> None:
    made = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=20)
    assert made.returncode == 0, made.stderr


@dataclass(frozen=True)
class Identity:
    """Paths of a certificate and its key."""

    certificate: str
    key: str


class Authority:
    """A certificate authority: what it issues is believed by who believes `certificate`."""

    def __init__(self, directory: Path, name: str = "authority"):
        self.directory = directory
        self.name = name

    def _paths(self, name: str) -> Identity:
        base = self.directory / f"{self.name}-{name}"
        return Identity(f"{base}.pem", f"{base}.key")

    @cached_property
    def own(self) -> Identity:
        made = self._paths("ca")
        openssl("req", "-x509", *self._new(made.key, f"test {self.name}"), "-out", made.certificate, "-days", "2",
                *self._extensions("basicConstraints=critical,CA:TRUE", "keyUsage=critical,keyCertSign,cRLSign"))
        return made

    @property
    def certificate(self) -> str:
        return self.own.certificate

    @cached_property
    def far(self) -> Identity:
        return self.issue("far")

    @cached_property
    def near(self) -> Identity:
        return self.issue("near", names="")

    @cached_property
    def expired(self) -> Identity:
        return self.issue("expired", expired=True)

    def issue(self, name: str, names: str = ROLES[0], usage: str = ROLES[1], expired: bool = False) -> Identity:
        """`names`: subjectAltName."""
        made, request = self._paths(name), str(self.directory / f"{self.name}-{name}.csr")
        extensions = ["basicConstraints=critical,CA:FALSE", f"extendedKeyUsage={usage}"]
        extensions += [f"subjectAltName={names}"] if names else []
        openssl("req", *self._new(made.key, name), "-out", request, *self._extensions(*extensions))
        if expired:
            self._sign_long_ago(request, made.certificate)
        else:
            openssl("x509", "-req", "-in", request, "-copy_extensions", "copy", "-CA", self.own.certificate,
                    "-CAkey", self.own.key, "-days", "2", "-out", made.certificate)
        Path(made.key).chmod(0o640)
        if os.geteuid() == 0:
            os.chown(made.key, 0, pwd.getpwnam("nobody").pw_gid)  # finhold may run as nobody
        return made

    def revocations(self, *revoked: Identity, days: int = 2) -> str:
        """The path of its list of revoked certificates (CRL): with these. `days`: for which it is good."""
        path = self.directory / f"{self.name}.crl"
        config = self._configuration()
        for each in revoked:
            self._ca(config, "-revoke", each.certificate)
        self._ca(config, "-gencrl", "-crldays", str(days), "-out", str(path))
        return str(path)

    def _sign_long_ago(self, request: str, certificate: str) -> None:
        """By `openssl ca`, the only one that takes dates in OpenSSL 3.0 and in 3.5."""
        self._ca(self._configuration(), "-notext", "-create_serial", "-in", request, "-out", certificate,
                 "-startdate", "20200101000000Z", "-enddate", "20200102000000Z")

    def _configuration(self) -> Path:
        """Of `openssl ca`, which knows of no certificate that it has issued."""
        config, index = self.directory / f"{self.name}-ca.cnf", self.directory / f"{self.name}-ca.index"
        config.write_text(f"[ca]\ndefault_ca = own\n[own]\ndatabase = {index}\nnew_certs_dir = {self.directory}\npolicy = any\nserial = {index}.serial\n"
                          "default_md = sha256\ncopy_extensions = copy\n[any]\ncommonName = supplied\n")
        index.write_text("")
        return config

    def _ca(self, config: Path, *arguments: str) -> None:
        openssl("ca", "-config", str(config), "-batch", "-cert", self.own.certificate, "-keyfile", self.own.key, *arguments)

    @staticmethod
    def _new(key: str, name: str) -> list[str]:
        return ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key,
                "-subj", f"/CN={name}"]

    @staticmethod
    def _extensions(*extensions: str) -> list[str]:
        return [word for extension in extensions for word in ("-addext", extension)]
