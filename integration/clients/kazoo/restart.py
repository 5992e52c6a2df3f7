"""What a kazoo client keeps while its server is killed and started again.

Says `ready` when the server may be killed; a file `over` in the current folder says that it is
back."""

import os

from kazoo.client import KazooState

from scenario import client, eventually, in_thread, run, scenario

PATIENCE_S = 20


@scenario
def everything_is_as_it_was(path):
    zk, other = client(), client()
    states = []
    zk.add_listener(states.append)
    session = zk.client_id[0]
    zk.create(path, b"0")
    zk.create(path + "/mine", ephemeral=True)

    values, lists, fired = [], [], []
    zk.DataWatch(path, lambda data, stat: values.append(data))
    zk.ChildrenWatch(path, lambda children: lists.append(sorted(children)))
    zk.exists(path + "/later", watch=fired.append)
    held, wanted = zk.Lock(path + "-lock", "one"), other.Lock(path + "-lock", "two")
    assert held.acquire(timeout=PATIENCE_S)
    waiting = in_thread(lambda: wanted.acquire(timeout=PATIENCE_S))
    eventually("both are in line", lambda: held.contenders() == ["one", "two"])

    print("ready", flush=True)
    eventually("the server is back", lambda: os.path.exists("over"))
    eventually("connected again", lambda: states[-1:] == [KazooState.CONNECTED])
    assert states == [KazooState.SUSPENDED, KazooState.CONNECTED], states
    assert zk.client_id[0] == session
    assert zk.exists(path + "/mine").ephemeralOwner == session
    eventually("the other is back too", lambda: other.connected)
    assert held.contenders() == ["one", "two"] and waiting.is_alive()

    other.retry(other.set, path, b"1")
    eventually("the data watcher goes on", lambda: values[-1] == b"1")
    other.create(path + "/later")
    eventually("the children watcher goes on", lambda: lists[-1] == ["later", "mine"])
    eventually("the watch on a missing node fires", lambda: len(fired) > 0)
    held.release()
    assert waiting.join()


run()
