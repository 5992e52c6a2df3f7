"""Servers to measure, one or several of a kind, each a process with data of its own."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

from .tools import free_ports
from .wire import first_write, four_letter

JAR = Path("/usr/share/java/zookeeper.jar")


class Ensemble:
    """Servers of one kind that belong together, stopped at the end of a `with` block."""

    # What a user of it calls it, and whether clients speak ZooKeeper's protocol with it.
    title = ""
    zookeeper_protocol = True

    def __init__(self, folder, size=1, name=None):
        self.size, self.name = size, name or type(self).__name__.lower()
        self.folder = Path(folder) / f"{self.name}-{size}"
        self.processes = []
        ports = free_ports(3 * size)
        self.ports = [tuple(ports[at:at + 3]) for at in range(0, 3 * size, 3)]

    # --- what differs from kind to kind -------------------------------------------------------

    def command(self, index):
        """The command of the server with this index."""
        raise NotImplementedError

    def configure(self, index):
        """Writes the files that the server with this index needs."""

    def ready(self, index):
        """Whether the server with this index takes requests."""
        return "Mode: " in four_letter(self.addresses[index], "srvr")

    def version(self):
        """What runs."""
        first = four_letter(self.addresses[0], "srvr").split("\n")[0]
        version = first.removeprefix("Zookeeper version: ").split(",")[0]
        # Debian's build did not fill in its commit.
        return version.replace("-${mvngit.commit.id}", "")

    # --- what is common -----------------------------------------------------------------------

    @property
    def addresses(self):
        return [("127.0.0.1", ports[0]) for ports in self.ports]

    @property
    def connect(self):
        """For `--server`: the servers that run."""
        addresses = zip(self.addresses, self.processes)
        return ",".join(f"{host}:{port}" for (host, port), process in addresses
                        if process.poll() is None)

    @property
    def pids(self):
        return [process.pid for process in self.processes if process.poll() is None]

    def home(self, index):
        return self.folder / str(index + 1)

    def clear(self):
        """Removes all data."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def spawn(self):
        """Starts the processes and does not wait for anything."""
        self.processes = [self._spawn(index) for index in range(self.size)]

    def _spawn(self, index):
        home = self.home(index)
        (home / "data").mkdir(parents=True, exist_ok=True)
        self.configure(index)
        with (home / "log").open("ab") as log:
            return subprocess.Popen([str(part) for part in self.command(index)], cwd=home,
                                    stdout=log, stderr=log, stdin=subprocess.DEVNULL)

    def kill_follower(self):
        """Ends one server that does not lead, at once; its index."""
        index = next(index for index, address in enumerate(self.addresses)
                     if "Mode: follower" in four_letter(address, "srvr"))
        self.processes[index].kill()
        self.processes[index].wait()
        return index

    def respawn(self, index):
        """Starts a server again that was killed; it has what it had."""
        self.processes[index] = self._spawn(index)

    def wait_ready(self, seconds=90):
        deadline = time.monotonic() + seconds
        for index, process in enumerate(self.processes):
            while not self.ready(index):
                if process.poll() is not None or time.monotonic() > deadline:
                    self.stop()
                    sys.exit(f"{self.name} does not serve; see {self.home(index)}/log")
                time.sleep(0.05)

    def recover(self, seconds=60):
        """Whether all servers serve (again) within the time; those that ended are started anew."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for index, process in enumerate(self.processes):
                if process.poll() is not None:
                    self.respawn(index)
            if all(self.ready(index) for index in range(self.size)):
                return True
            time.sleep(0.5)
        return False

    def __enter__(self):
        self.clear()
        self.spawn()
        self.wait_ready()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self, how=signal.SIGTERM):
        """Ends the processes; the data stays."""
        for process in self.processes:
            process.send_signal(how)
        for process in self.processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []

    def seconds_to_first_write(self):
        """Starts on the data that is there; the time until a client's write is acknowledged."""
        started = time.monotonic()
        self.spawn()
        first_write(self.addresses)
        return time.monotonic() - started

    def resident_mib(self):
        """Memory of all processes together."""
        return sum(_status(pid, "VmRSS:") for pid in self.pids) / 1024

    def cpu_seconds(self):
        """Processor time of all processes so far."""
        return sum(_cpu_seconds(pid) for pid in self.pids)

    def disk_mib(self):
        """What the data takes on disk."""
        data = [self.home(index) / "data" for index in range(self.size)]
        os.sync()
        files = (file for folder in data for file in folder.rglob("*"))
        return sum(file.stat().st_blocks for file in files if file.is_file()) * 512 / 2**20


def _status(pid, field):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    return 0


def _cpu_seconds(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Configured(Ensemble):
    """Servers that read a `zoo.cfg`."""

    def __init__(self, folder, size=1, name=None, settings=None, observers=0):
        super().__init__(folder, size, name)
        self.settings, self.observers = settings or {}, observers

    def configure(self, index):
        home = self.home(index)
        settings = {
            "tickTime": 2000, "initLimit": 10, "syncLimit": 5, "dataDir": home / "data",
            "clientPort": self.ports[index][0], "clientPortAddress": "127.0.0.1",
            "maxClientCnxns": 0, "admin.enableServer": "false", "4lw.commands.whitelist": "*",
            **self.settings}
        if self.size > 1:
            (home / "data" / "myid").write_text(f"{index + 1}\n")
            for other, (_, peer, election) in enumerate(self.ports):
                role = ":observer" if other >= self.size - self.observers else ""
                settings[f"server.{other + 1}"] = f"127.0.0.1:{peer}:{election}{role}"
            if index >= self.size - self.observers:
                settings["peerType"] = "observer"
        lines = [f"{key}={value}\n" for key, value in settings.items()]
        (home / "zoo.cfg").write_text("".join(lines))


class Grovekeeper(Configured):
    title = "Grovekeeper"

    def __init__(self, folder, binary, size=1, name=None, settings=None, observers=0):
        super().__init__(folder, size, name, settings, observers)
        self.binary = binary

    def command(self, index):
        return [self.binary, "serve", "--config", self.home(index) / "zoo.cfg"]


class ZooKeeper(Configured):
    """Apache ZooKeeper as Debian has it. Its own start script gives it a heap of 1000 MB."""

    title = "ZooKeeper"

    def __init__(self, folder, size=1, heap="1000m", settings=None, observers=0):
        name = f"zookeeper-{heap}" if heap != "1000m" else None
        super().__init__(folder, size, name, settings, observers)
        self.heap = heap
        if heap != "1000m":
            self.title = f"ZooKeeper {heap}"

    def command(self, index):
        return ["java", f"-Xmx{self.heap}", "-cp", JAR,
                "org.apache.zookeeper.server.quorum.QuorumPeerMain", self.home(index) / "zoo.cfg"]


class Null(Ensemble):
    """Servers without state that send the same bytes: the most that sockets allow."""

    title = "no state"

    def __init__(self, folder, binary, size=1, options=()):
        super().__init__(folder, size)
        self.binary, self.options = binary, list(options)

    def command(self, index):
        host, port = self.addresses[index]
        return [self.binary, "bench", "--null-server", f"{host}:{port}", *self.options]

    def ready(self, index):
        try:
            socket.create_connection(self.addresses[index], 1).close()
            return True
        except OSError:
            return False

    def version(self):
        return ""


class Etcd(Ensemble):
    """etcd as Debian has it, with its defaults."""

    title = "etcd"
    zookeeper_protocol = False

    def command(self, index):
        def url(index, which):
            return f"http://127.0.0.1:{self.ports[index][which]}"

        cluster = ",".join(f"n{at + 1}={url(at, 1)}" for at in range(self.size))
        client, peer = url(index, 0), url(index, 1)
        return ["etcd", "--name", f"n{index + 1}", "--data-dir", self.home(index) / "data",
                "--listen-client-urls", client, "--advertise-client-urls", client,
                "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
                "--initial-cluster", cluster, "--logger", "zap", "--log-level", "error",
                "--quota-backend-bytes", 8 << 30]

    def ready(self, index):
        return "true" in self._ask(index, "/health")

    def version(self):
        answer = self._ask(0, "/version")
        return answer.split('"')[3] if answer.count('"') > 3 else ""

    def _ask(self, index, page):
        host, port = self.addresses[index]
        try:
            with urllib.request.urlopen(f"http://{host}:{port}{page}", timeout=5) as answer:
                return answer.read().decode()
        except OSError:
            return ""
