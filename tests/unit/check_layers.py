"""Fails on an include that goes up a floor, or around one of the house rules (DESIGN.md section 7).

The floors are those of the picture in src/README.md, a line each, the highest first:

    tunnel -> http2 tls relay core net base

A floor includes itself and what its line names, which are floors below it, and of those with a star only
headers that are plain values. The picture is exactly what the includes give: no arrow is missing, and
none is left over.
"""

import pathlib
import re
import sys

# Plain values of floors that act on them: all that config/ sees of these.
VALUES = {"relay/route.h", "relay/traffic.h", "tunnel/settings.h", "tls/settings.h"}

# A system header, and the files that may include it.
ONLY_IN = [
    (r"uv\.h|sys/epoll\.h|netinet/tcp\.h|linux/tcp\.h", r"net/"),
    (r"linux/netlink\.h|linux/rtnetlink\.h|linux/netfilter/", r"net/|rules/(lock|policy_routing_monitor)\.cc"),
    (r"sys/socket\.h|netinet/in\.h",
     r"net/|base/address\.|relay/tcp_leg\.cc|tunnel/connection[a-z_]*\.cc|admin/http_(server|client)\.cc|"
     r"config/listen_overlap\.cc|rules/(lock|policy_routing_monitor)\.cc"),
    (r"spdlog/", r"base/log\.cc"),
    (r"nghttp2/", r"http2/"),
    (r"openssl/", r"tls/"),
    (r"nftables/", r"rules/nft_library\.cc"),
    (r"systemd/", r"server/sd_notify\.cc|server/socket_activation\.cc"),
    (r"boost/", r"admin/http\.cc"),
    (r"nlohmann/", r"admin/status_(json|text)\.cc"),
    (r"prometheus/", r"admin/metrics\.cc"),
    (r"CLI/", r"app/cli_[a-z_]+\.(cc|h)"),
    (r"toml\+\+/", r"config/reader\.cc"),
]

ARROWS = re.compile(r"^    ([a-z0-9]+) +-> ([a-z0-9* ]+)$", re.MULTILINE)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^">]+)[">]')


def picture_of(readme: str) -> dict[str, set[str]]:
    """The floors, from the highest to the lowest, and what each includes."""
    return {floor: set(below.split()) for floor, below in ARROWS.findall(readme)} | {"base": set()}


def wrong_in(picture: dict[str, set[str]]):
    floors = list(picture)
    for place, (floor, below) in enumerate(picture.items()):
        for other in below:
            if other.rstrip("*") not in floors[place + 1:]:
                yield f"src/README.md: {floor} -> {other}: that is no floor below it"


def includes_of(path: pathlib.Path, source: pathlib.Path):
    """(where, whether it is one of ours, header)."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if match := INCLUDE.match(line):
            yield f"src/{path.relative_to(source)}:{number}", match[1] == '"', match[2]


def wrong_among(files: list[pathlib.Path], source: pathlib.Path, picture: dict[str, set[str]]):
    seen: dict[str, set[str]] = {floor: set() for floor in picture}
    for path in files:
        inside = path.relative_to(source).as_posix()
        floor = inside.split("/")[0]
        if floor not in picture:
            yield f"src/{inside}: src/README.md's picture has no floor {floor}/"
            continue
        for where, ours, header in includes_of(path, source):
            if not ours:
                for system, allowed in ONLY_IN:
                    if re.match(system, header) and not re.match(allowed, inside):
                        yield f"{where}: <{header}> belongs to {allowed} only"
                continue
            below, _, name = header.partition("/")
            if not name:
                yield f'{where}: write "{floor}/{header}", from src/'
            elif below != floor:
                seen[floor] |= {below, f"{below}*"} & picture[floor]
                if f"{below}*" in picture[floor] and header not in VALUES:
                    yield f"{where}: of {below}/ only plain values ({', '.join(sorted(VALUES))}), not {header}"
                if not {below, f"{below}*"} & picture[floor]:
                    yield f"{where}: {floor}/ must not include {header}: src/README.md has no such arrow"
    for floor, below in picture.items():
        for other in sorted(below - seen[floor]):
            yield f"src/README.md: {floor} -> {other}: nothing there includes that"


def main() -> int:
    source = pathlib.Path(sys.argv[1])
    picture = picture_of((source / "README.md").read_text())
    files = sorted(p for p in source.rglob("*") if p.suffix in {".h", ".cc"})
    found = [*wrong_in(picture), *wrong_among(files, source, picture)]
    print("\n".join(found) if found else f"{len(picture)} floors, {len(files)} files, every include goes down")
    return 1 if found or len(picture) < 5 or len(files) < 20 else 0


if __name__ == "__main__":
    sys.exit(main())
