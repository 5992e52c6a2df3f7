"""Just enough of the protocol to see when a server takes its first write."""

import socket
import struct
import time


def four_letter(address, word, seconds=5):
    """The answer to a four-letter word, empty if there is none."""
    try:
        with socket.create_connection(address, seconds) as link:
            link.sendall(word.encode())
            answer = b""
            while chunk := link.recv(65536):
                answer += chunk
            return answer.decode()
    except OSError:
        return ""


def _text(text):
    return struct.pack(">i", len(text)) + text.encode()


def _send(link, body):
    link.sendall(struct.pack(">i", len(body)) + body)


def _receive(link):
    def exactly(count):
        data = b""
        while len(data) < count:
            chunk = link.recv(count - len(data))
            if not chunk:
                raise OSError("closed")
            data += chunk
        return data

    return exactly(struct.unpack(">i", exactly(4))[0])


def write_once(address, path, seconds):
    """Opens a session and creates a node; raises OSError where that does not succeed."""
    with socket.create_connection(address, seconds) as link:
        link.settimeout(seconds)
        link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _send(link, struct.pack(">iqiqi", 0, 0, 10_000, 0, 16) + bytes(16) + b"\0")
        if struct.unpack(">i", _receive(link)[4:8])[0] <= 0:
            raise OSError("no session")
        acl = struct.pack(">ii", 1, 31) + _text("world") + _text("anyone")
        data = struct.pack(">i", 1) + b"x"
        _send(link, struct.pack(">ii", 1, 1) + _text(path) + data + acl + struct.pack(">i", 0))
        _, _, error = struct.unpack(">iqi", _receive(link)[:16])
        if error:
            raise OSError(f"error {error}")
        # Leaves no session behind that would be there in later measurements.
        _send(link, struct.pack(">ii", 2, -11))
        _receive(link)


def first_write(addresses, limit=120):
    """Tries until a write succeeds on one of the addresses."""
    deadline = time.monotonic() + limit
    attempt = 0
    while time.monotonic() < deadline:
        address = addresses[attempt % len(addresses)]
        attempt += 1
        try:
            return write_once(address, f"/first-write-{time.time_ns()}", 5)
        except OSError:
            time.sleep(0.001)
    raise TimeoutError(f"no write within {limit} s")
