"""kazoo over TLS; keys are in the current folder."""

from kazoo.exceptions import NoAuthError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.security import make_acl
from scenario import client, raises, run, scenario


def secure(name, trust="trust.pem", **options):
    pem = name + ".pem"
    return client(use_ssl=True, certfile=pem, keyfile=pem, ca=trust, **options)


@scenario
def data_of_many_packets(path):
    zk = secure("ann")
    data = bytes(at * 31 % 256 for at in range(900_000))
    zk.create(path, data)
    assert zk.get(path)[0] == data


@scenario
def an_owner_by_certificate(path):
    ann, bob = secure("ann"), secure("bob")
    mine = make_acl("x509", "O=Example\\, Inc.,CN=ann", all=True)
    ann.create(path, b"1", acl=[mine])
    raises(NoAuthError, bob.get, path)
    ann.set(path, b"2")


@scenario
def strangers_stay_outside(path):
    from kazoo.client import KazooClient
    from scenario import hosts

    for name, trust in [("stranger", "trust.pem"), ("ann", "others.pem")]:
        pem = name + ".pem"
        zk = KazooClient(hosts=hosts, use_ssl=True, certfile=pem, keyfile=pem, ca=trust)
        raises(KazooTimeoutError, zk.start, timeout=3)
        zk.close()


run()
