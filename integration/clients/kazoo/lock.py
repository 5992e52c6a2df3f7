"""Takes turns at the same locks with the Rust client, see tests/clients/kazoo.rs."""

from scenario import client, eventually, run, scenario

ROUNDS = 25


@scenario
def turns_at_a_lock_with_kazoos_names(_):
    take_turns("/interop/kazoo", [])


@scenario
def turns_at_a_lock_with_curators_names(_):
    take_turns("/interop/curator", ["lock-"])


def take_turns(path, patterns):
    zk = client()
    count = path + "/count"
    eventually("the other is there", lambda: zk.exists(count))
    lock = zk.Lock(path + "/lock", "kazoo", extra_lock_patterns=patterns)
    for _ in range(ROUNDS):
        with lock:
            # Were anyone else under the lock, the version would be wrong.
            value, stat = zk.get(count)
            zk.set(count, str(int(value) + 1).encode(), version=stat.version)


run()
