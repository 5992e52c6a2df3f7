"""Watches through kazoo: one-shot ones and those that it re-arms."""

import queue
import socket

from kazoo.exceptions import NoNodeError
from kazoo.protocol.states import EventType

from scenario import client, eventually, raises, run, scenario

PATIENCE_S = 20


def events():
    seen = queue.Queue()
    return seen, seen.put


def take(seen):
    event = seen.get(timeout=PATIENCE_S)
    return event.type, event.path


def nothing_more(seen, zk):
    """The events of everything before are here once a later request was answered."""
    zk.sync("/")
    eventually("handlers ran", lambda: zk.handler.callback_queue.empty())
    assert seen.empty(), seen.get()


@scenario
def a_data_watch_fires_once(path):
    zk = client()
    seen, watch = events()
    zk.create(path, b"0")
    zk.get(path, watch=watch)
    zk.set(path, b"1")
    zk.set(path, b"2")
    assert take(seen) == (EventType.CHANGED, path)
    nothing_more(seen, zk)


@scenario
def an_exists_watch_sees_the_creation(path):
    zk = client()
    seen, watch = events()
    assert zk.exists(path, watch=watch) is None
    zk.create(path)
    assert take(seen) == (EventType.CREATED, path)


@scenario
def get_on_a_missing_node_leaves_no_watch(path):
    zk = client()
    seen, watch = events()
    raises(NoNodeError, zk.get, path, watch=watch)
    zk.create(path)
    nothing_more(seen, zk)


@scenario
def a_deletion_reaches_data_and_child_watches(path):
    zk = client()
    data, on_data = events()
    children, on_children = events()
    parent, on_parent = events()
    zk.create(path)
    zk.create(path + "/x")
    zk.get(path + "/x", watch=on_data)
    zk.get_children(path + "/x", watch=on_children)
    zk.get_children(path, watch=on_parent)
    zk.delete(path + "/x")
    assert take(data) == (EventType.DELETED, path + "/x")
    assert take(children) == (EventType.DELETED, path + "/x")
    assert take(parent) == (EventType.CHILD, path)


@scenario
def a_child_watch_ignores_data(path):
    zk = client()
    seen, watch = events()
    zk.create(path)
    zk.get_children(path, watch=watch)
    zk.set(path, b"1")
    nothing_more(seen, zk)
    zk.create(path + "/x")
    assert take(seen) == (EventType.CHILD, path)


@scenario
def another_client_is_told_too(path):
    zk, other = client(), client()
    seen, watch = events()
    zk.create(path, b"0")
    other.get(path, watch=watch)
    zk.set(path, b"1")
    assert take(seen) == (EventType.CHANGED, path)
    assert other.get(path)[0] == b"1"


@scenario
def an_event_comes_before_the_reply_that_shows_it(path):
    zk, other = client(), client()
    zk.create(path, b"0")
    order = []
    other.get(path, watch=lambda event: order.append("event"))
    zk.set(path, b"1")
    read = other.get_async(path)
    read.rawlink(lambda result: order.append("reply"))
    assert read.get(timeout=PATIENCE_S)[0] == b"1"
    eventually("both are here", lambda: len(order) == 2)
    assert order == ["event", "reply"], order


@scenario
def a_failed_transaction_fires_nothing(path):
    zk = client()
    seen, watch = events()
    zk.create(path, b"0")
    zk.get(path, watch=watch)
    tx = zk.transaction()
    tx.set_data(path, b"1")
    tx.check(path + "/missing", 0)
    tx.commit()
    nothing_more(seen, zk)


@scenario
def the_end_of_a_session_fires_for_its_ephemerals(path):
    zk, other = client(), client()
    seen, watch = events()
    zk.create(path)
    other.create(path + "/e", ephemeral=True)
    zk.exists(path + "/e", watch=watch)
    other.stop()
    assert take(seen) == (EventType.DELETED, path + "/e")


@scenario
def a_data_watcher_follows_every_value(path):
    zk, other = client(), client()
    values = []

    @zk.DataWatch(path)
    def on_data(data, stat):
        values.append((data, stat and stat.version))

    eventually("called at once", lambda: values == [(None, None)])
    other.create(path, b"a")
    eventually("created", lambda: values[-1] == (b"a", 0))
    other.set(path, b"b")
    eventually("changed", lambda: values[-1] == (b"b", 1))
    other.delete(path)
    eventually("deleted", lambda: values[-1] == (None, None))
    other.create(path, b"c")
    eventually("created again", lambda: values[-1] == (b"c", 0))


@scenario
def a_children_watcher_follows_every_list(path):
    zk, other = client(), client()
    other.create(path)
    lists = []

    @zk.ChildrenWatch(path)
    def on_children(children):
        lists.append(sorted(children))

    eventually("called at once", lambda: lists == [[]])
    for name in "abc":
        other.create(f"{path}/{name}")
    eventually("all are seen", lambda: lists[-1] == ["a", "b", "c"])
    other.delete(path + "/b")
    eventually("the deletion is seen", lambda: lists[-1] == ["a", "c"])


@scenario
def a_data_watcher_is_told_after_a_reconnect(path):
    zk, other = client(), client()
    other.create(path, b"a")
    values = []
    zk.DataWatch(path, lambda data, stat: values.append(data))
    eventually("called at once", lambda: values == [b"a"])
    zk._connection._socket.shutdown(socket.SHUT_RDWR)
    other.set(path, b"b")
    eventually("the change is seen", lambda: values[-1] == b"b")


run()
