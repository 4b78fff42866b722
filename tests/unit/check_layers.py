"""Fails on an include that goes up a layer, or around one of the house rules (DESIGN.md section 7).

A layer may include itself and the layers below it:

    base <- core <- relay <- tunnel <- admin <- app
    base <- net  <- relay

Only net/ may include libuv and socket headers, and each heavy library stays in one file.
"""

import pathlib
import re
import sys

BELOW = {
    "base": {"base"},
    "core": {"base", "core"},
    "net": {"base", "net"},
    "relay": {"base", "core", "net", "relay"},
    "tunnel": {"base", "core", "net", "relay", "tunnel"},
    "admin": {"base", "core", "net", "relay", "tunnel", "admin"},
    "app": {"base", "core", "net", "relay", "tunnel", "admin", "app"},
}

# A system header, and the files that may include it.
ONLY_IN = [
    (re.compile(r"uv\.h|sys/epoll\.h|netinet/tcp\.h|linux/tcp\.h"), re.compile(r"net/")),
    (re.compile(r"sys/socket\.h|netinet/in\.h"), re.compile(r"net/|base/address\.|relay/tcp_leg\.cc|tunnel/connection\.cc|admin/http_(server|client)\.cc|app/listen_overlap\.cc")),
    (re.compile(r"spdlog/"), re.compile(r"base/log\.cc")),
    (re.compile(r"nghttp2/"), re.compile(r"tunnel/http2[a-z_]*\.cc|tunnel/http2_callbacks\.h")),
    (re.compile(r"openssl/"), re.compile(r"tunnel/tls[a-z_]*\.cc")),
    (re.compile(r"systemd/"), re.compile(r"app/notify\.cc|app/passed_sockets\.cc")),
    (re.compile(r"boost/"), re.compile(r"admin/http\.cc")),
    (re.compile(r"nlohmann/"), re.compile(r"admin/status_(json|text)\.cc")),
    (re.compile(r"prometheus/"), re.compile(r"admin/metrics\.cc")),
    (re.compile(r"CLI/"), re.compile(r"app/cli\.cc")),
    (re.compile(r"toml\+\+/"), re.compile(r"app/config_reader\.cc")),
]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')


def problems_of(path: pathlib.Path, source: pathlib.Path):
    layer = path.relative_to(source).parts[0]
    inside = path.relative_to(source).as_posix()
    if layer not in BELOW:
        yield f"src/{inside}: the folder {layer}/ is no layer"
        return
    for number, line in enumerate(path.read_text().splitlines(), 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        kind, header = match.groups()
        where = f"src/{inside}:{number}"
        if kind == '"':
            target = header.split("/")[0] if "/" in header else layer
            if target not in BELOW[layer]:
                yield f"{where}: {layer}/ must not include {header}: {target}/ is no layer below it"
            if "/" not in header:
                yield f'{where}: write "{layer}/{header}", from src/'
        for system, allowed in ONLY_IN:
            if kind == "<" and system.match(header) and not allowed.match(inside):
                yield f"{where}: <{header}> belongs to {allowed.pattern} only"


def main() -> int:
    source = pathlib.Path(sys.argv[1])
    files = sorted(p for p in source.rglob("*") if p.suffix in {".h", ".cc"})
    found = [problem for path in files for problem in problems_of(path, source)]
    print("\n".join(found) if found else f"{len(files)} files, every include goes down")
    return 1 if found or len(files) < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
