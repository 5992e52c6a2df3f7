#!/usr/bin/env python3
"""Writes the golden files: the bytes between a real client and a real server of Apache ZooKeeper.

    capture.py VERSION CLASSPATH

starts a server (an ensemble of one, so that reconfig works too) and the Java client of Capture.java, records what
passes between them, and adds a few requests that no Java client sends. The decoded values are added by
`UPDATE_GOLDEN=1 cargo test -p jute-proto --test golden`; read the difference before committing it.
"""

import pathlib
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

OPS = {
    0: "notification", 1: "create", 2: "delete", 3: "exists", 4: "get_data", 5: "set_data", 6: "get_acl",
    7: "set_acl", 8: "get_children", 9: "sync", 11: "ping", 12: "get_children2", 13: "check", 14: "multi",
    15: "create2", 16: "reconfig", 17: "check_watches", 18: "remove_watches", 19: "create_container",
    20: "delete_container", 21: "create_ttl", 22: "multi_read", 100: "auth", 101: "set_watches", 102: "sasl",
    103: "get_ephemerals", 104: "get_all_children_number", 105: "set_watches2", 106: "add_watch",
    107: "who_am_i", -11: "close_session",
}
FOLDER = pathlib.Path(__file__).parent
CONFIG = """tickTime=2000
initLimit=10
syncLimit=5
dataDir={folder}/data
admin.enableServer=false
extendedTypesEnabled=true
standaloneEnabled=false
reconfigEnabled=true
{member}
"""
MEMBER = "server.1=127.0.0.1:{0}:{1}:participant;127.0.0.1:{2}"
SUPER = "-Dzookeeper.DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU="

# More packets of these would show nothing new.
ENOUGH = {"connect": 12, "ping": 2}

records = {}
lock = threading.Lock()


def record(name, kind, frame):
    with lock:
        blocks = records.setdefault(name, [])
        if len(blocks) < ENOUGH.get(name, 100):
            blocks.append((kind, frame))


def read_frame(stream):
    prefix = stream.recv(4, socket.MSG_WAITALL)
    if len(prefix) < 4:
        return None
    return prefix + stream.recv(struct.unpack(">i", prefix)[0], socket.MSG_WAITALL)


class Tap:
    """One connection through the proxy: forwards and records frames."""

    def __init__(self, client, server):
        self.client, self.server = client, server
        self.pending, self.requests = [], {}
        self.cut = False
        for target in (self.upstream, self.downstream):
            threading.Thread(target=target, daemon=True).start()

    def upstream(self):
        first = True
        while frame := read_frame(self.client):
            if first:
                record("connect", "request", frame)
            else:
                xid, op = struct.unpack(">ii", frame[4:12])
                name = OPS.get(op, "unknown")
                # A reply is recorded behind its request, whatever came in between.
                self.pending.append((xid, name, frame))
                self.cut = self.cut or b"/cut" in frame
            first = False
            self.server.sendall(frame)
        self.end()

    def downstream(self):
        first = True
        while frame := read_frame(self.server):
            if first:
                record("connect", "response", frame)
            elif struct.unpack(">i", frame[4:8])[0] == -1:
                record("notification", "response", frame)
            else:
                xid = struct.unpack(">i", frame[4:8])[0]
                index = next(i for i, (other, _, _) in enumerate(self.pending) if other == xid)
                _, name, request = self.pending.pop(index)
                record(name, "request", request)
                record(name, "response", frame)
            first = False
            self.client.sendall(frame)
            if self.cut:
                break
        self.end()

    def end(self):
        for stream in (self.client, self.server):
            try:
                stream.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def proxy(server_port):
    listener = socket.create_server(("127.0.0.1", 0))

    def accept():
        while True:
            client, _ = listener.accept()
            Tap(client, socket.create_connection(("127.0.0.1", server_port)))

    threading.Thread(target=accept, daemon=True).start()
    return listener.getsockname()[1]


def text(value):
    encoded = value.encode()
    return struct.pack(">i", len(encoded)) + encoded


def rare_requests(port):
    """What no Java client sends."""
    handshake = struct.pack(">iqiqi", 0, 0, 10000, 0, 16) + bytes(16)
    no_stat = struct.pack(">i", 0)
    for requests in (
        [(17, text("/w") + struct.pack(">i", 3))],
        [(3, text("/w") + b"\x01"), (17, text("/w") + struct.pack(">i", 3))],
        [(11, b""), (19, text("/dc") + no_stat + struct.pack(">i", 1) + struct.pack(">i", 31) + text("world")
                     + text("anyone") + struct.pack(">i", 4)), (20, text("/dc"))],
        [(102, text("token"))],
        [(13, text("/w") + struct.pack(">i", 0))],
    ):
        with socket.create_connection(("127.0.0.1", port)) as stream:
            # Without the last byte, as clients of 3.3 do it.
            stream.sendall(struct.pack(">i", len(handshake)) + handshake)
            read_frame(stream)
            for number, (op, body) in enumerate(requests + [(-11, b"")]):
                xid = -2 if op == 11 else number + 1
                frame = struct.pack(">ii", xid, op) + body
                stream.sendall(struct.pack(">i", len(frame)) + frame)
                if not read_frame(stream):
                    break


def write_files(version):
    for name, blocks in sorted(records.items()):
        lines = [f"# Captured from Apache ZooKeeper {version}."]
        for kind, frame in blocks:
            lines += ["", kind]
            for start in range(0, len(frame), 32):
                row = frame[start:start + 32].hex()
                lines.append(" ".join(row[i:i + 8] for i in range(0, len(row), 8)))
        (FOLDER.parent / f"{name}.txt").write_text("\n".join(lines) + "\n")


def main():
    version, class_path = sys.argv[1:]
    folder = tempfile.mkdtemp()
    port = free_port()
    member = MEMBER.format(free_port(), free_port(), port)
    pathlib.Path(folder, "data").mkdir()
    pathlib.Path(folder, "data", "myid").write_text("1\n")
    config = pathlib.Path(folder, "zoo.cfg")
    config.write_text(CONFIG.format(folder=folder, member=member))
    subprocess.run(["javac", "-d", folder, "-cp", class_path, str(FOLDER / "Capture.java")], check=True)
    java = ["java", "-cp", f"{folder}:{class_path}"]
    server = subprocess.Popen(
        java + [SUPER, "org.apache.zookeeper.server.quorum.QuorumPeerMain", str(config)])
    try:
        time.sleep(5)
        taps = proxy(port)
        subprocess.run(java + ["Capture", f"127.0.0.1:{taps}", member], check=True, timeout=60)
        rare_requests(taps)
    finally:
        server.kill()
    write_files(version)


main()
