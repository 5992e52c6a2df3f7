"""What kazoo clients keep while the servers of an ensemble are restarted one after the other, and
their leader is killed: a lock, an election, a group of members.

Says `ready` when that may begin; a file `over` in the current folder says that all servers are
back."""

import os
import threading
import time

from kazoo.client import KazooState
from kazoo.exceptions import BadVersionError
from kazoo.retry import KazooRetry

from scenario import client, eventually, in_thread, run, scenario

CLIENTS = 3
PATIENCE_S = 60
# After the faults, each client gets so many turns more.
TURNS_AFTER = 5


def over():
    return os.path.exists("over")


def clients():
    """Clients that try again through the loss of a connection, and the states they were in."""
    made, states = [], []
    for _ in range(CLIENTS):
        zk = client(
            timeout=10.0,
            connection_retry=KazooRetry(max_tries=-1, delay=0.05, max_delay=0.3),
            command_retry=KazooRetry(max_tries=-1, delay=0.05, max_delay=0.3, deadline=PATIENCE_S),
        )
        zk.add_listener(states.append)
        made.append(zk)
    return made, states


class Turns:
    """Counts the turns of each client, and sees to it that no two have one at the same time."""

    def __init__(self):
        self.inside = threading.Lock()
        self.taken = [0] * CLIENTS
        self.together = 0

    def take(self, who, work):
        if not self.inside.acquire(blocking=False):
            self.together += 1
            return
        try:
            work()
            self.taken[who] += 1
        finally:
            self.inside.release()

    def wait_for_more(self):
        """Each client has some turns more."""
        goal = [turns + TURNS_AFTER for turns in self.taken]
        deadline = time.monotonic() + PATIENCE_S
        while any(turns < least for turns, least in zip(self.taken, goal)):
            assert time.monotonic() < deadline, f"{self.taken} of {goal} turns"
            time.sleep(0.05)


def count(zk, path, who):
    """Adds one to a counter, once, whatever becomes of the connection."""
    value, stat = zk.retry(zk.get, path)
    number = int(value.split()[0]) + 1
    mine = f"{number} {who}".encode()
    try:
        zk.retry(zk.set, path, mine, version=stat.version)
    except BadVersionError:
        # The first try was done and its answer lost, or somebody else is in the lock.
        assert zk.retry(zk.get, path)[0] == mine, "another client wrote under the lock"


def wait_for_over():
    deadline = time.monotonic() + 240
    while not over():
        assert time.monotonic() < deadline, "the faults do not end"
        time.sleep(0.05)


@scenario
def lock_election_and_group_live_on(path):
    made, states = clients()
    first = made[0]
    first.retry(first.ensure_path, path + "/group")
    first.retry(first.create, path + "/count", b"0 nobody")
    sessions = [zk.client_id[0] for zk in made]
    locked, led = Turns(), Turns()
    stop = threading.Event()

    def contend(who, zk):
        lock = zk.Lock(path + "/lock", f"client {who}")
        while not stop.is_set():
            assert lock.acquire(timeout=PATIENCE_S)
            locked.take(who, lambda: count(zk, path + "/count", who))
            zk.retry(lock.release)
            time.sleep(0.01)

    def stand(who, zk):
        election = zk.Election(path + "/election", f"client {who}")
        while not stop.is_set():
            election.run(lambda: led.take(who, lambda: time.sleep(0.02)))
            time.sleep(0.01)

    for who, zk in enumerate(made):
        zk.retry(zk.create, f"{path}/group/{who}", ephemeral=True)
    threads = [in_thread(lambda w=w, z=z: contend(w, z)) for w, z in enumerate(made)]
    threads += [in_thread(lambda w=w, z=z: stand(w, z)) for w, z in enumerate(made)]
    eventually("everybody had a turn", lambda: all(locked.taken) and all(led.taken))

    print("ready", flush=True)
    wait_for_over()
    locked.wait_for_more()
    led.wait_for_more()
    stop.set()
    for thread in threads:
        thread.join(PATIENCE_S)

    assert KazooState.LOST not in states, states
    assert [zk.client_id[0] for zk in made] == sessions
    assert locked.together == 0 and led.together == 0, (locked.together, led.together)
    counted = int(first.retry(first.get, path + "/count")[0].split()[0])
    assert counted == sum(locked.taken), (counted, locked.taken)
    members = sorted(first.retry(first.get_children, path + "/group"))
    assert members == [str(who) for who in range(CLIENTS)], members
    print(f"{counted} turns under the lock, {sum(led.taken)} as leader")


run()
