"""Load on servers, and what it found."""

import json
import subprocess
from pathlib import Path

from .tools import median

# A load that hangs is ended after this time, in seconds, beyond the time that it is to take.
PATIENCE = 600


class LoadFailed(Exception):
    """The server did not do what the load asked of it; the text says what happened."""


def bench(binary, ensemble, workloads, connections, depth, seconds, warmup, **options):
    """Runs `grovekeeper bench`; its reports, one a workload."""
    out = Path(ensemble.folder) / "report.json"
    connect = options.pop("server", ensemble.connect)
    command = [binary, "bench", "--server", connect, "--workload", ",".join(workloads),
               "--connections", connections, "--depth", depth, "--seconds", seconds,
               "--warmup", warmup, "--pid", ",".join(map(str, ensemble.pids)), "--json", out]
    for name, value in options.items():
        command += [f"--{name}"] if value is True else [f"--{name}", value]
    return _run(command, out, (seconds + warmup) * len(workloads), ensemble)


def etcd_load(program, ensemble, workloads, connections, depth, seconds, warmup, size=100):
    """The same of etcd, by the program in `bench/etcd-load`."""
    out = Path(ensemble.folder) / "report.json"
    command = [program, ensemble.connect, ",".join(workloads), connections, depth, seconds, warmup,
               size, ",".join(map(str, ensemble.pids)), out]
    return _run(command, out, (seconds + warmup) * len(workloads), ensemble)


def _run(command, out, seconds, ensemble):
    try:
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True,
                              timeout=seconds + PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise LoadFailed(f"load on {ensemble.name} did not end: {error}") from error
    if done.returncode != 0:
        raise LoadFailed(f"load on {ensemble.name} failed: {done.stderr.strip()}")
    return json.loads(out.read_text())["workloads"]


def summary(reports):
    """Medians over the reports of several rounds."""

    def per_1000(report, field):
        used = report.get(field)
        return used * 1000 / report["ops"] if used is not None and report["ops"] else None

    return {
        "ops_per_second": median(r["ops_per_second"] for r in reports),
        "p50_us": median(r["latency_us"]["p50"] for r in reports),
        "p99_us": median(r["latency_us"]["p99"] for r in reports),
        "p99.9_us": median(r["latency_us"]["p99.9"] for r in reports),
        "server_cpu_seconds_per_1000": median(per_1000(r, "server_cpu_seconds") for r in reports),
        "loader_cpu_seconds_per_1000": median(per_1000(r, "loader_cpu_seconds") for r in reports),
        "rounds": len(reports),
    }
