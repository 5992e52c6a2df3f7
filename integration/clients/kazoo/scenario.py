"""Runs scenarios one by one and prints a line for each: `ok NAME`, or `FAIL NAME: why`."""

import logging
import sys
import threading
import time
import traceback

from kazoo.client import KazooClient

logging.basicConfig(level=logging.CRITICAL)
hosts = sys.argv[1]
_scenarios = []
_clients = []
PATIENCE_S = 20


def scenario(function):
    _scenarios.append(function)
    return function


def client(**options):
    """A started client, stopped at the end of its scenario."""
    options.setdefault("timeout", 8.0)
    made = KazooClient(hosts=options.pop("hosts", hosts), **options)
    _clients.append(made)
    made.start(timeout=PATIENCE_S)
    return made


def eventually(what, probe):
    """Asks probe until its answer is true, and returns that."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        found = probe()
        if found:
            return found
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.01)


def raises(error, function, *arguments, **named):
    try:
        answer = function(*arguments, **named)
    except error as raised:
        return raised
    raise AssertionError(f"{error.__name__} expected, got {answer!r}")


def in_thread(function):
    """Runs function beside the scenario; join() of the result raises what it raised."""

    class Running(threading.Thread):
        failure = None
        result = None

        def run(self):
            try:
                self.result = function()
            except BaseException as failure:
                self.failure = failure

        def join(self, timeout=PATIENCE_S):
            super().join(timeout)
            assert not self.is_alive(), "the thread did not end"
            if self.failure:
                raise self.failure
            return self.result

    thread = Running(daemon=True)
    thread.start()
    return thread


def run():
    failed = 0
    for function in _scenarios:
        name = function.__name__
        try:
            function("/" + name)
            print("ok", name)
        except BaseException as failure:
            failed += 1
            print(f"FAIL {name}: {type(failure).__name__}: {failure}")
            traceback.print_exc()
        for made in _clients:
            made.stop()
            made.close()
        _clients.clear()
    sys.exit(1 if failed else 0)
