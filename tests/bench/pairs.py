"""Two ends with a connection or many between them: pairs of finhold, and what else does a part of their job.
README.md says which part. `tls`: AES-256-GCM, and each end shows a certificate (ssh: a key)."""

import os
import shutil
from pathlib import Path

import machine
from proxies import FAR, LISTEN, ROUTE, SERVER, Finhold, Proxy, first

NAMES = ("tls", "plain")
SSHD = machine.ROOT / "build" / "unpacked" / "usr" / "sbin" / "sshd"  # deploy/packages bench puts it there
RIDER = 6000
IDLE = 2_000  # sessions; some of these need 160 kB for each


def _certificates(folder: Path) -> None:
    """An authority, and far.pem, far.key, near.pem, near.key; both.pem of haproxy's has certificate and key."""
    if (folder / "ca.pem").exists():
        return
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")
    ca = ("-CA", f"{folder}/ca.pem", "-CAkey", f"{folder}/ca.key")
    machine.run("openssl", "req", "-x509", *key, "-days", "2", "-subj", "/CN=bench", "-keyout", f"{folder}/ca.key",
                "-out", f"{folder}/ca.pem")
    for end in ("far", "near"):
        machine.run("openssl", "req", "-x509", *key, "-days", "2", "-subj", f"/CN={end}", *ca, "-addext",
                    "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE",
                    "-keyout", f"{folder}/{end}.key", "-out", f"{folder}/{end}.pem")
        Path(folder, f"{end}-both.pem").write_text(
            Path(folder, f"{end}.pem").read_text() + Path(folder, f"{end}.key").read_text())


def _finhold(text: str, tls: bool) -> Proxy:
    """Each end has one worker."""
    build = Finhold(text)

    def far(folder: Path) -> list[str]:
        _certificates(folder)
        return build.command(folder / "far.toml", {"far": {
            "listen": f'"127.0.0.1:{FAR}"', "allow": f'["127.0.0.1:{SERVER}"]',
            "tls": '{ certificate = "far.pem", key = "far.key", client_ca = "ca.pem" }' if tls else '"off"'}})

    def near(folder: Path) -> list[str]:
        return build.command(folder / "near.toml", {
            "tunnel": {
                "name": '"pair"', "far": f'"127.0.0.1:{FAR}"',
                "tls": '{ ca = "ca.pem", certificate = "near.pem", key = "near.key" }' if tls else '"off"'},
            "route": {**ROUTE, "tunnel": '"pair"'}})

    return build.proxy(near, far=far, most_idle=IDLE, scraped="admin" in build.tables)


def _haproxy(listen: int, server: int, bind: str = "", line: str = "", splice: bool = False):
    def write(folder: Path) -> list[str]:
        _certificates(folder)
        config = folder / f"{listen}.cfg"
        config.write_text(f"""
global
  nbthread 1
  maxconn 8900
  {'maxpipes 512' if splice else ''}
defaults
  mode tcp
  {'option splice-request' if splice else ''}
  {'option splice-response' if splice else ''}
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen bench
  bind 127.0.0.1:{listen} {bind.format(folder=folder)}
  server one 127.0.0.1:{server} {line.format(folder=folder)}
""")
        return ["haproxy", "-db", "-f", str(config)]
    return write


def _stunnel(listen: int, server: int, end: str):
    def write(folder: Path) -> list[str]:
        _certificates(folder)
        config = folder / f"{end}.conf"
        config.write_text(f"""
foreground = yes
pid =
debug = err
sslVersionMin = TLSv1.3
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[bench]
{'client = yes' if end == 'near' else ''}
accept = 127.0.0.1:{listen}
connect = 127.0.0.1:{server}
cert = {folder}/{end}.pem
key = {folder}/{end}.key
CAfile = {folder}/ca.pem
verifyChain = yes
""")
        return ["stunnel4", str(config)]
    return write


def _as_rider(folder: Path, *command: str) -> list[str]:
    """As a user whom only their own /etc/passwd has: the machine's stays as it is."""
    passwd = folder / "passwd"
    if not passwd.exists():
        passwd.write_text(f"rider:*:{RIDER}:{RIDER}::/:/bin/sh\n")
        for name in ("host", "user"):
            machine.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name))
        folder.parent.chmod(0o711)
        for file in (folder, *folder.iterdir()):
            os.chown(file, RIDER, RIDER)
    return ["unshare", "-m", "sh", "-c", 'mount --bind "$0" /etc/passwd && exec "$@"', str(passwd), "setpriv",
            f"--reuid={RIDER}", f"--regid={RIDER}", "--clear-groups", *command]


def _sshd(folder: Path) -> list[str]:
    config = folder / "sshd"
    # What sshd starts since OpenSSH 9.8 (Debian 13): copies, since its user may not see the checkout.
    there = SSHD.parents[1] / "lib" / "openssh"
    parts = {key: shutil.copy(there / part, folder)
             for key, part in {"SshdSessionPath": "sshd-session", "SshdAuthPath": "sshd-auth"}.items() if (there / part).exists()}
    config.write_text(f"ListenAddress 127.0.0.1:{FAR}\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/user.pub\n"
                      "StrictModes no\nUsePAM no\nPidFile none\nLogLevel ERROR\n" +
                      "".join(f"{key} {path}\n" for key, path in parts.items()))
    return _as_rider(folder, str(SSHD), "-D", "-e", "-f", str(config))


def _ssh(folder: Path) -> list[str]:
    return _as_rider(
        folder, "ssh", "-F", "none", "-N", "-p", str(FAR), "-i", str(folder / "user"), "-c", "aes256-gcm@openssh.com",
        "-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "LogLevel=ERROR",
        "-L", f"127.0.0.1:{LISTEN}:127.0.0.1:{SERVER}", "rider@127.0.0.1")


def pairs(kind: str, builds: list[str]) -> list[Proxy]:
    def haproxy_version() -> str:
        return first(r"version (\S+)", "haproxy", "-v")

    if kind == "plain":
        return [
            *(_finhold(each, False) for each in builds),
            *(Proxy("haproxy" + suffix, _haproxy(LISTEN, FAR, splice=splice), haproxy_version, most_idle=IDLE,
                    far=_haproxy(FAR, SERVER, splice=splice))
              for suffix, splice in (("", False), ("-splice", True))),
        ]
    proof = "ca-file {folder}/ca.pem"
    return [
        *(_finhold(each, True) for each in builds),
        Proxy("haproxy-tls",
              _haproxy(LISTEN, FAR, "", f"ssl verify required {proof} crt {{folder}}/near-both.pem ssl-min-ver TLSv1.3"),
              haproxy_version, most_idle=IDLE,
              far=_haproxy(FAR, SERVER, f"ssl crt {{folder}}/far-both.pem {proof} verify required ssl-min-ver TLSv1.3", "")),
        Proxy("stunnel", _stunnel(LISTEN, FAR, "near"), lambda: first(r"stunnel (\d\S+)", "stunnel4", "-version"),
              far=_stunnel(FAR, SERVER, "far"), most_idle=IDLE),
        Proxy("ssh", _ssh, lambda: first(r"OpenSSH_(\S+)", "ssh", "-V"), far=_sshd, most_idle=IDLE),
    ]
