#!/usr/bin/env python3
"""Real half-close tools through two NAT boxes, without and with finhold, as one table.

usage: demonstrate.py [FINHOLD]      FINHOLD: the program to show (default: build/release/finhold)

As root it builds throw-away network namespaces (tests/lab/net says what the boxes do) and changes nothing
outside them. Without root, or where namespaces are not allowed, it shows what can be seen on loopback.
Exit code: 0 if every row came out as expected, 1 if not, 2 if it could not run, 130 after Ctrl-C.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.dont_write_bytecode = True  # it may run as root in the clone of another user
sys.path.insert(0, str(ROOT / "tests/lab"))

from lab import SERVER, Lab, Network  # noqa: E402
from programs import Finhold, Process  # noqa: E402
from rows import BOXES, FIN, INPUTS, KEEPALIVE, NC, ROWS, SERVICES, Row  # noqa: E402

LIMIT = 14  # seconds; the longest task takes 8, a reset 10, and a tool that still waits then would wait for ever
LOOPBACK_TOOLS = ("nc", "socat", "sort")
NAT_TOOLS = (*LOOPBACK_TOOLS, "ncat", "seq", "ip", "nft", "sysctl")


@dataclass
class Outcome:
    good: bool
    text: str


def judge(tool: Process, whole: list[str]) -> Outcome:
    """Whether a tool wrote all that it should, and ended well."""
    while tool.ended is None and time.monotonic() < tool.started + LIMIT:
        time.sleep(0.05)
    lines = list(tool.lines)
    if lines != whole[: len(lines)]:
        return Outcome(False, f"WRONG: {lines[-1]}")
    count = f"{len(lines)} of {len(whole)} lines"
    if tool.ended is None:
        return Outcome(False, f"HANGS, {count}")
    code = tool.wait(2)
    if code or lines != whole:
        return Outcome(False, f"FAILS, {count}, exit code {code}")
    return Outcome(True, f"ok, {count}")


def coloured(text: str, good: bool) -> str:
    return f"\033[{32 if good else 31}m{text}\033[0m" if sys.stdout.isatty() else text


def write_files(directory: Path) -> None:
    for name, lines in INPUTS.items():
        (directory / name).write_text("".join(f"{line}\n" for line in lines))
    for name, (script, _) in SERVICES.items():
        (directory / name).write_text(script)
        (directory / name).chmod(0o755)


def socat_service(listen: str, script: Path) -> list[str]:
    # -t: by default socat gives the answer half a second after the end of the input.
    return ["socat", "-d", "-d", "-t", "60", f"TCP-LISTEN:{listen},reuseaddr,fork", f"EXEC:{script}"]


def start_tool(command: list[str], address: str, file: Path, network: Network | None = None) -> Process:
    host, port = address.split(":")
    words = [word.format(host=host, port=port) for word in command]
    with file.open() as stdin:
        return network.run("c", words, stdin=stdin) if network else Process(None, words, stdin=stdin)


def through_boxes(lab: Lab, program: Path) -> bool:
    """Starts all rows at the same time, and prints each when it is finished."""
    networks = {box: lab.network(box) for box in BOXES}
    servers: dict[tuple[str, str], str] = {}
    started = []
    for row in ROWS:
        network = networks[row.box]
        if (row.box, row.service) not in servers:
            port = 7000 + len(servers)
            service = socat_service(f"{port},bind={SERVER}", lab.directory / row.service)
            network.run("s", service).wait_for_lines("listening on", 15)
            servers[row.box, row.service] = f"{SERVER}:{port}"
        server, file = servers[row.box, row.service], lab.directory / row.input
        if row.pair:
            network.far(server, program)
            finhold = network.near({"name": "main", "listen": "127.0.0.1:0", "server": server}, program=program)
        else:
            finhold = network.finhold("c", server, fin=FIN.get(row.service), keepalive=KEEPALIVE, program=program)
        direct = start_tool(row.command, server, file, network)
        started.append((row, direct, start_tool(row.command, finhold.address, file, network), finhold))

    as_expected = True
    print(f"\n  {'tool':<17}{'task':<27}{'without finhold':<27}with finhold")
    for row, direct, through, finhold in started:
        if row.box in networks:
            del networks[row.box]
            print(f"\nbox '{row.box}': {BOXES[row.box]}")
        whole = SERVICES[row.service][1]
        as_expected = show(row, judge(direct, whole), judge(through, whole), through, finhold) and as_expected
    return as_expected


def show(row: Row, direct: Outcome, through: Outcome, tool: Process, finhold: Finhold) -> bool:
    detail, expected = "", False
    if tool.ended is not None:
        ending = finhold.ending()
        expected = (ending["ending"] == "finished") == row.rescued == through.good
        detail = f", end held {ending['held']}"
        if ending["ending"] != "finished":
            # Said by finhold: nc itself shows no difference between a reset and an end.
            through = Outcome(False, f"RESET after {ending['duration']}")
            detail = f", {len(tool.lines)} lines (finhold: {ending['ending']})"
    line = f"  {row.tool:<17}{row.task:<27}{coloured(f'{direct.text:<27}', direct.good)}"
    print(line + coloured(through.text, through.good) + detail)
    if not direct.good and expected:
        print(f"      why: {row.why}")
        return True
    if direct.good:
        print("      NOT EXPECTED: it works without finhold; the box did not do its part, so this row shows nothing")
    if not expected:
        print(f"      NOT EXPECTED with finhold, which logged:\n{finhold.output()}")
    return False


def on_loopback(directory: Path, program: Path) -> bool:
    """No box here: it shows that finhold relays, and when it passes the end on."""
    running: list[Process] = []
    as_expected = True
    try:
        service = Process(None, socat_service("0,bind=127.0.0.1", directory / "sort"))
        running.append(service)
        port = service.wait_for_lines(r"listening on AF=2 127\.0\.0\.1:(\d+)", 15)[0][1]
        print(f"\n  {'finhold run ... with':<45}nc -N gets its lines sorted")
        held = ["--crosses", "server", "--release-when-quiet", "1s"]
        for flags, least, most in ((["--crosses", "none"], 0, 0.9), (held, 1, 4)):
            command = [str(program), "run", "--listen", "127.0.0.1:0", "--server", f"127.0.0.1:{port}", *flags]
            running.append(finhold := Finhold(None, command))
            running.append(tool := start_tool(NC, finhold.address, directory / "numbers"))
            outcome = judge(tool, SERVICES["sort"][1])
            seconds = (tool.ended or time.monotonic()) - tool.started
            print(f"  {' '.join(flags):<45}{coloured(outcome.text, outcome.good)}, after {seconds:.1f} s")
            if not (outcome.good and least <= seconds <= most):
                print(f"      NOT EXPECTED: it should be ok after {least} to {most} s; finhold logged:\n"
                      f"{finhold.output()}")
                as_expected = False
    finally:
        for process in reversed(running):
            process.stop()
    return as_expected


def demonstrate(program: Path, directory: Path) -> bool:
    write_files(directory)
    problem = "it needs root" if os.geteuid() != 0 else ""
    if not problem:
        with Lab(directory) as lab:
            try:
                lab.network("none")
            except RuntimeError as error:
                problem = str(error)
    if problem:
        print(f"The part behind a NAT is NOT shown: it makes network namespaces, and {problem}\n"
              "(as root, in a container with --privileged: ./deploy/quickstart). What loopback can show:")
        return on_loopback(directory, program)
    print(f"Real tools through two NAT boxes, all at the same time; this takes about {LIMIT + 3} s.")
    with Lab(directory) as lab:
        return through_boxes(lab, program)


def stopped(*_: object) -> None:
    raise KeyboardInterrupt  # other ways to stop it clean up as Ctrl-C does


def main() -> int:
    program = Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/release/finhold").resolve()
    if not os.access(program, os.X_OK):
        print(f"no finhold at {program}; to build it: cmake --preset release && cmake --build --preset release",
              file=sys.stderr)
        return 2
    tools = NAT_TOOLS if os.geteuid() == 0 else LOOPBACK_TOOLS
    if missing := [tool for tool in tools if not shutil.which(tool)]:
        print(f"not installed: {', '.join(missing)}; run: deploy/packages demo", file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, stopped)
    signal.signal(signal.SIGHUP, stopped)
    sys.stdout.reconfigure(line_buffering=True)  # rows appear as they finish, in a pipe too
    try:
        with tempfile.TemporaryDirectory(prefix="finhold-demonstration-") as directory:
            return 0 if demonstrate(program, Path(directory)) else 1
    except KeyboardInterrupt:
        print("\nstopped; everything was removed", file=sys.stderr)
        return 130
    except BrokenPipeError:  # nobody reads the table any more (`| head`); what is left to flush goes nowhere
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (AssertionError, RuntimeError) as problem:
        print(f"\nthe demonstration broke off: {problem}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
