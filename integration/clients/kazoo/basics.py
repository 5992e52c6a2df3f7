"""What every program does with kazoo: znodes, versions, ACLs, transactions, sessions."""

import socket
import subprocess
import sys

from kazoo.client import KazooState
from kazoo.exceptions import (
    AuthFailedError,
    BadArgumentsError,
    BadVersionError,
    InvalidACLError,
    NoAuthError,
    NoChildrenForEphemeralsError,
    NodeExistsError,
    NoNodeError,
    NotEmptyError,
    RolledBackError,
    RuntimeInconsistency,
)
from kazoo.security import ACL, Id, Permissions, make_acl, make_digest_acl, make_digest_acl_credential

from scenario import client, eventually, hosts, raises, run, scenario


@scenario
def create_get_set_delete(path):
    zk = client()
    assert zk.create(path, b"one") == path
    data, stat = zk.get(path)
    assert data == b"one" and stat.version == 0 and stat.dataLength == 3
    assert stat.czxid == stat.mzxid == stat.pzxid and stat.ephemeralOwner == 0
    changed = zk.set(path, b"three", version=0)
    assert changed.version == 1 and changed.mzxid > stat.mzxid and changed.czxid == stat.czxid
    raises(BadVersionError, zk.set, path, b"late", version=0)
    raises(BadVersionError, zk.delete, path, version=0)
    assert zk.delete(path, version=1)
    assert zk.exists(path) is None
    raises(NoNodeError, zk.get, path)
    raises(NoNodeError, zk.set, path, b"")
    raises(NoNodeError, zk.delete, path)


@scenario
def create_returns_the_stat(path):
    zk = client()
    made, stat = zk.create(path, b"xy", include_data=True)
    assert made == path and stat == zk.exists(path)
    assert stat.dataLength == 2 and stat.version == 0


@scenario
def create_refuses_what_cannot_be(path):
    zk = client()
    zk.create(path)
    raises(NodeExistsError, zk.create, path)
    raises(NoNodeError, zk.create, path + "/no/parent")
    zk.create(path + "/short", ephemeral=True)
    raises(NoChildrenForEphemeralsError, zk.create, path + "/short/child")
    raises(NotEmptyError, zk.delete, path)
    raises(BadArgumentsError, zk.create, path + "/tab\t")
    raises(BadArgumentsError, zk.delete, "/zookeeper")


@scenario
def create_makes_its_parents(path):
    zk = client()
    zk.create(path + "/a/b/c", b"deep", makepath=True)
    zk.ensure_path(path + "/a/b/c/d")
    assert zk.get_children(path + "/a/b/c") == ["d"]
    zk.delete(path, recursive=True)
    assert zk.exists(path) is None


@scenario
def names_may_be_of_any_script(path):
    zk = client()
    for name in ["mit raum", "a..b", "...", "größe", "日本語", "x" * 500]:
        zk.create(f"{path}/{name}", name.encode(), makepath=True)
        assert zk.get(f"{path}/{name}")[0] == name.encode()
    assert len(zk.get_children(path)) == 6


@scenario
def data_may_be_empty_and_large(path):
    zk = client()
    zk.create(path, b"")
    assert zk.get(path)[0] == b""
    large = bytes(range(256)) * 4000
    zk.set(path, large)
    data, stat = zk.get(path)
    assert data == large and stat.dataLength == len(large)


@scenario
def children_are_listed_with_the_stat(path):
    zk = client()
    zk.create(path)
    for name in ["c", "a", "b"]:
        zk.create(f"{path}/{name}")
    children, stat = zk.get_children(path, include_data=True)
    assert sorted(children) == ["a", "b", "c"]
    assert stat.numChildren == 3 and stat.cversion == 3 and stat.version == 0
    zk.delete(path + "/b")
    stat = zk.exists(path)
    assert stat.numChildren == 2 and stat.cversion == 4


@scenario
def sequential_numbers_rise_and_are_never_reused(path):
    zk = client()
    zk.create(path)
    assert zk.create(path + "/n-", sequence=True) == path + "/n-0000000000"
    assert zk.create(path + "/other") == path + "/other"
    assert zk.create(path + "/m-", sequence=True) == path + "/m-0000000002"
    zk.delete(path + "/m-0000000002")
    assert zk.create(path + "/n-", sequence=True) == path + "/n-0000000003"
    assert zk.create(path + "/", sequence=True) == path + "/0000000004"
    made = zk.create(path + "/e-", sequence=True, ephemeral=True)
    assert made == path + "/e-0000000005"
    assert zk.exists(made).ephemeralOwner == zk.client_id[0]


@scenario
def ephemerals_go_with_their_session(path):
    zk, other = client(), client()
    zk.create(path)
    other.create(path + "/here", ephemeral=True)
    assert zk.exists(path + "/here").ephemeralOwner == other.client_id[0]
    other.stop()
    assert zk.exists(path + "/here") is None


@scenario
def sync_answers_its_path(path):
    zk = client()
    zk.create(path)
    assert zk.sync(path) == path


@scenario
def requests_are_answered_in_order(path):
    zk = client()
    zk.create(path, b"0")
    results = []
    for number in range(1, 200):
        results.append((zk.set_async(path, b"%d" % number), zk.get_async(path), b"%d" % number))
    for number, (written, read, expected) in enumerate(results, start=1):
        assert written.get(timeout=20).version == number
        data, stat = read.get(timeout=20)
        assert data == expected and stat.version == number


@scenario
def transactions_do_all_or_nothing(path):
    zk = client()
    zk.create(path, b"start")
    good = zk.transaction()
    good.create(path + "/a", b"1")
    good.create(path + "/s-", sequence=True)
    good.set_data(path, b"changed")
    good.check(path, version=1)
    good.set_data(path + "/a", b"2")
    good.delete(path + "/a", version=1)
    results = good.commit()
    assert results[0] == path + "/a" and results[1] == path + "/s-0000000001"
    assert results[2].version == 1 and results[3] is True and results[5] is True, results
    assert zk.exists(path + "/a") is None and zk.get(path)[0] == b"changed"

    bad = zk.transaction()
    bad.create(path + "/b")
    bad.set_data(path, b"never")
    bad.check(path, version=77)
    bad.create(path + "/c")
    results = bad.commit()
    kinds = [type(result) for result in results]
    assert kinds == [RolledBackError, RolledBackError, BadVersionError, RuntimeInconsistency], kinds
    assert zk.exists(path + "/b") is None and zk.get(path)[0] == b"changed"
    assert zk.get_children(path) == ["s-0000000001"]


@scenario
def transactions_may_be_empty(path):
    assert client().transaction().commit() == []


@scenario
def acls_are_kept_and_versioned(path):
    zk = client()
    zk.create(path, acl=[make_acl("world", "anyone", read=True, admin=True)])
    acls, stat = zk.get_acls(path)
    assert acls == [make_acl("world", "anyone", read=True, admin=True)] and stat.aversion == 0
    raises(NoAuthError, zk.set, path, b"no")
    raises(NoAuthError, zk.create, path + "/child")
    stat = zk.set_acls(path, [make_acl("world", "anyone", all=True)], version=0)
    assert stat.aversion == 1
    raises(BadVersionError, zk.set_acls, path, [make_acl("world", "anyone", all=True)], version=0)
    zk.set(path, b"yes")


@scenario
def invalid_acls_are_refused(path):
    zk = client()
    for acl in [
        make_acl("world", "somebody", all=True),
        make_acl("nonsense", "x", all=True),
        make_acl("digest", "nocolon", all=True),
        make_acl("ip", "not.an.address", all=True),
        make_acl("auth", "", all=True),
    ]:
        raises(InvalidACLError, zk.create, path, acl=[acl])


@scenario
def digest_auth_opens_and_others_are_kept_out(path):
    owner, stranger = client(), client()
    owner.add_auth("digest", "jon:secret")
    owner.create(path, b"mine", acl=[make_digest_acl("jon", "secret", all=True)])
    assert owner.get(path)[0] == b"mine"
    raises(NoAuthError, stranger.get, path)
    raises(NoAuthError, stranger.get_children, path)
    raises(NoAuthError, stranger.get_acls, path)
    stranger.add_auth("digest", "jon:wrong")
    raises(NoAuthError, stranger.get, path)
    stranger.add_auth("digest", "jon:secret")
    assert stranger.get(path)[0] == b"mine"


@scenario
def the_auth_scheme_becomes_who_the_creator_is(path):
    zk = client()
    zk.add_auth("digest", "ann:pw")
    zk.create(path, acl=[ACL(Permissions.ALL, Id("auth", ""))])
    acls, _ = zk.get_acls(path)
    assert acls == [ACL(Permissions.ALL, Id("digest", make_digest_acl_credential("ann", "pw")))]


@scenario
def get_acl_hides_the_hash_from_those_who_only_read(path):
    owner, reader = client(), client()
    owner.add_auth("digest", "ann:pw")
    reading = make_acl("world", "anyone", read=True)
    owner.create(path, acl=[make_digest_acl("ann", "pw", all=True), reading])
    assert owner.get_acls(path)[0][0].id.id == make_digest_acl_credential("ann", "pw")
    assert reader.get_acls(path)[0][0].id.id == "ann:x"


@scenario
def ip_acls_match_the_address(path):
    zk = client()
    zk.create(path + "/in", b"1", acl=[make_acl("ip", "127.0.0.0/8", all=True)], makepath=True)
    zk.create(path + "/out", b"1", acl=[make_acl("ip", "10.0.0.0/8", all=True)])
    assert zk.get(path + "/in")[0] == b"1"
    raises(NoAuthError, zk.get, path + "/out")


@scenario
def auth_given_at_start_holds_after_a_reconnect(path):
    zk = client(auth_data=[("digest", "ann:pw")])
    zk.create(path, b"1", acl=[make_digest_acl("ann", "pw", all=True)])
    zk._connection._socket.shutdown(socket.SHUT_RDWR)
    assert zk.retry(zk.get, path)[0] == b"1"


@scenario
def an_unknown_auth_scheme_fails(path):
    zk = client()
    raises(AuthFailedError, zk.add_auth, "nonsense", "x:y")


@scenario
def a_lost_connection_keeps_the_session(path):
    zk = client()
    states = []
    zk.add_listener(states.append)
    zk.create(path, ephemeral=True)
    session = zk.client_id[0]
    zk._connection._socket.shutdown(socket.SHUT_RDWR)
    eventually("connected again", lambda: states[-1:] == [KazooState.CONNECTED])
    assert states == [KazooState.SUSPENDED, KazooState.CONNECTED], states
    assert zk.client_id[0] == session
    assert zk.exists(path).ephemeralOwner == session


# A client that creates an ephemeral, tells its session and dies without a farewell.
DYING = """
import os, sys
from kazoo.client import KazooClient
zk = KazooClient(hosts=sys.argv[1], timeout=8.0)
zk.start()
zk.create(sys.argv[2], ephemeral=True)
print(zk.client_id[0], zk.client_id[1].hex(), flush=True)
os._exit(0)
"""


@scenario
def a_session_is_taken_over_by_another_client(path):
    dying = [sys.executable, "-c", DYING, hosts, path]
    number, password = subprocess.check_output(dying, text=True).split()
    heir = client(client_id=(int(number), bytes.fromhex(password)))
    assert heir.client_id[0] == int(number) == heir.exists(path).ephemeralOwner


@scenario
def an_ended_session_is_reported_lost(path):
    zk, witness = client(), client()
    states = []
    zk.add_listener(states.append)
    zk.create(path, ephemeral=True)
    old, password = zk.client_id

    def end_its_session():
        # The owner reconnects meanwhile and may be faster.
        if KazooState.LOST not in states:
            client(client_id=(old, password)).stop()
        return KazooState.LOST in states

    eventually("the loss is reported", end_its_session)
    eventually("a new session", lambda: zk.connected and zk.client_id[0] != old)
    eventually("the ephemeral is gone", lambda: witness.exists(path) is None)


@scenario
def a_chroot_is_a_world_of_its_own(path):
    zk = client()
    zk.create(path)
    inner = client(hosts=hosts + path)
    inner.create("/x", b"1")
    assert zk.get(path + "/x")[0] == b"1" and inner.get_children("/") == ["x"]


@scenario
def the_server_tells_its_version_and_answers_words(path):
    zk = client()
    assert zk.server_version() >= (3, 4, 0)
    assert zk.command(b"ruok") == "imok"
    assert "zk_version" in zk.command(b"mntr")


run()
