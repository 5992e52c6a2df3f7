"""Small things: builds, packages, ports, progress, facts about the machine."""

import contextlib
import os
import platform
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
STARTED = time.monotonic()
# Runs that follow each other begin in different places.
PORTS = iter(range(12_000 + os.getpid() * 97 % 10_000, 32_000))


def say(text):
    """Progress goes to standard error, so that the tables can be redirected."""
    print(f"[{time.monotonic() - STARTED:4.0f}s] {text}", file=sys.stderr, flush=True)


def build():
    """The release binary of this repository."""
    subprocess.run(["cargo", "build", "--release"], cwd=ROOT, check=True)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release" / "grovekeeper"


def install(proof, *packages):
    """Installs Debian packages unless the file or command `proof` is there; whether it is, then."""
    if shutil.which(proof) or Path(proof).exists():
        return True
    sudo = [] if os.getuid() == 0 else ["sudo"]
    # A package that starts a service of its own must not do so: it would be in the measurements.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    try:
        for command in [["update"], ["install", "-y", "--no-install-recommends", *packages]]:
            subprocess.run([*sudo, "apt-get", "-q", *command], check=True, env=env,
                           stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    except (OSError, subprocess.CalledProcessError) as error:
        say(f"cannot install {' '.join(packages)}: {error}")
    return bool(shutil.which(proof) or Path(proof).exists())


def free_ports(count):
    """Ports that nobody uses, different from each other and from all that were given out before.

    They lie below those that the kernel gives to outgoing connections: a server that opens a port
    only when it becomes the leader must not find a client there.
    """
    found = []
    while len(found) < count:
        port = next(PORTS)
        with contextlib.suppress(OSError), socket.socket() as holder:
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", port))
            found.append(port)
    return found


def many_files():
    """Lets this process and those that it starts open as many files as the system allows."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def machine(folder):
    """What the numbers depend on."""
    cpu = next((line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo")
                if line.startswith("model name")), platform.machine())
    disk = subprocess.run(["df", "--output=source,fstype", folder], capture_output=True, text=True)
    return {"cpu": cpu, "cpus": os.cpu_count(), "kernel": platform.release(),
            "disk": disk.stdout.split("\n")[1] if disk.returncode == 0 else "",
            "load_average_at_start": os.getloadavg()[0]}


def describe(where):
    """One line about the machine; a busy one is named as such."""
    busy = where["load_average_at_start"]
    note = f"; load average at the start {busy:.1f}" if busy > 0.3 * where["cpus"] else ""
    return f"{where['cpus']} x {where['cpu']}, Linux {where['kernel']}, {where['disk']}{note}"


def median(values):
    """The median of what is known; None where nothing is."""
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def number(value):
    """A number with about three digits that matter; a dash where it is unknown."""
    if value is None:
        return "-"
    if value == 0 or value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 0.1 else f"{value:.4f}"


def table(titles, rows):
    """A Markdown table that reads well in a terminal too; the first column is text."""
    rows = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[at]) for row in [titles, *rows]) for at in range(len(titles))]

    def line(cells):
        aligned = [cell.ljust(width) if at == 0 else cell.rjust(width)
                   for at, (cell, width) in enumerate(zip(cells, widths))]
        return "| " + " | ".join(aligned) + " |"

    rule = ["-" * (width + 2) if at == 0 else "-" * (width + 1) + ":"
            for at, width in enumerate(widths)]
    return "\n".join([line(titles), "|" + "|".join(rule) + "|", *map(line, rows)])
