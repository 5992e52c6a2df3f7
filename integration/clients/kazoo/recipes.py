"""kazoo's recipes, each between clients with sessions of their own."""

import threading
from datetime import timedelta

from kazoo.exceptions import LockTimeout
from kazoo.recipe.cache import TreeCache, TreeEvent
from kazoo.recipe.lease import NonBlockingLease
from kazoo.recipe.queue import LockingQueue

from scenario import client, eventually, in_thread, raises, run, scenario

PATIENCE_S = 20


@scenario
def a_lock_is_held_by_one(path):
    one, two = client(), client()
    first, second = one.Lock(path, "one"), two.Lock(path, "two")
    assert first.acquire(timeout=PATIENCE_S)
    assert not second.acquire(blocking=False)
    raises(LockTimeout, second.acquire, timeout=0.2)
    waiting = in_thread(lambda: second.acquire(timeout=PATIENCE_S))
    eventually("both are listed", lambda: first.contenders() == ["one", "two"])
    first.release()
    assert waiting.join()
    second.release()


@scenario
def a_lock_goes_on_when_its_holder_dies(path):
    one, two = client(), client()
    first, second = one.Lock(path), two.Lock(path)
    first.acquire(timeout=PATIENCE_S)
    waiting = in_thread(lambda: second.acquire(timeout=PATIENCE_S))
    eventually("it waits", lambda: len(two.get_children(path)) == 2)
    one.stop()
    assert waiting.join()


@scenario
def a_lock_guards_a_counter(path):
    total = {"value": 0, "inside": 0}

    def work():
        zk = client()
        lock = zk.Lock(path)
        for _ in range(10):
            with lock:
                total["inside"] += 1
                assert total["inside"] == 1
                total["value"] += 1
                total["inside"] -= 1

    for thread in [in_thread(work) for _ in range(4)]:
        thread.join()
    assert total["value"] == 40


@scenario
def readers_share_and_writers_do_not(path):
    one, two, three = client(), client(), client()
    first, second = one.ReadLock(path), two.ReadLock(path)
    assert first.acquire(timeout=PATIENCE_S) and second.acquire(timeout=PATIENCE_S)
    writer = three.WriteLock(path)
    assert not writer.acquire(blocking=False)
    waiting = in_thread(lambda: writer.acquire(timeout=PATIENCE_S))
    eventually("the writer waits", lambda: len(one.get_children(path)) == 3)
    first.release()
    second.release()
    assert waiting.join()
    assert not first.acquire(blocking=False)
    writer.release()


@scenario
def a_semaphore_admits_as_many_as_it_says(path):
    clients = [client() for _ in range(3)]
    semaphores = [zk.Semaphore(path, f"holder-{n}", max_leases=2) for n, zk in enumerate(clients)]
    assert semaphores[0].acquire() and semaphores[1].acquire()
    assert not semaphores[2].acquire(blocking=False)
    assert sorted(semaphores[0].lease_holders()) == ["holder-0", "holder-1"]
    waiting = in_thread(lambda: semaphores[2].acquire(timeout=PATIENCE_S))
    semaphores[0].release()
    assert waiting.join()


@scenario
def an_election_has_one_leader_at_a_time(path):
    led, stop = [], threading.Event()
    one, two = client(), client()
    first, second = one.Election(path, "one"), two.Election(path, "two")

    def lead(name, until):
        led.append(name)
        until.wait(PATIENCE_S)

    thread = in_thread(lambda: first.run(lead, "one", stop))
    eventually("the first leads", lambda: led == ["one"])
    other = in_thread(lambda: second.run(lead, "two", stop))
    eventually("both run", lambda: sorted(one.Election(path).contenders()) == ["one", "two"])
    assert led == ["one"]
    one.stop()
    eventually("the second leads", lambda: led == ["one", "two"])
    stop.set()
    other.join()
    try:
        thread.join()
    except Exception:
        pass  # Its client is stopped: it cannot give its place back.


@scenario
def a_party_knows_its_members(path):
    one, two = client(), client()
    first, second = one.Party(path, "one"), two.Party(path, "two")
    first.join()
    second.join()
    assert sorted(first) == ["one", "two"] and len(second) == 2
    two.stop()
    eventually("one is left", lambda: list(first) == ["one"])
    first.leave()
    assert len(first) == 0


@scenario
def a_shallow_party_lists_names(path):
    one, two = client(), client()
    first, second = one.ShallowParty(path, "one"), two.ShallowParty(path, "two")
    first.join()
    second.join()
    assert sorted(first) == ["one", "two"] and len(first) == 2
    first.leave()
    assert list(second) == ["two"]


@scenario
def a_queue_keeps_order_and_priority(path):
    one, two = client(), client()
    first, second = one.Queue(path), two.Queue(path)
    first.put(b"b")
    first.put(b"c")
    first.put(b"a", priority=1)
    assert len(second) == 3
    assert [second.get(), first.get(), second.get(), second.get()] == [b"a", b"b", b"c", None]


@scenario
def a_locking_queue_hands_each_entry_to_one(path):
    one, two = client(), client()
    first, second = LockingQueue(one, path), LockingQueue(two, path)
    first.put_all([b"a", b"b"])
    assert first.get(timeout=PATIENCE_S) == b"a" and second.get(timeout=PATIENCE_S) == b"b"
    assert first.holds_lock() and first.consume()
    second.release()
    assert first.get(timeout=PATIENCE_S) == b"b" and first.consume()
    assert second.get(timeout=0.1) is None


@scenario
def a_barrier_holds_all_back(path):
    one, two = client(), client()
    gate = one.Barrier(path)
    gate.create()
    assert two.Barrier(path).wait(timeout=0.1) is False
    waiting = in_thread(lambda: two.Barrier(path).wait(timeout=PATIENCE_S))
    gate.remove()
    assert waiting.join() is True


@scenario
def a_double_barrier_lets_all_in_and_out_together(path):
    inside, done = [], []

    def work(name):
        zk = client()
        gate = zk.DoubleBarrier(path, num_clients=3, identifier=name)
        gate.enter()
        inside.append(name)
        assert gate.participating
        gate.leave()
        assert len(inside) == 3
        done.append(name)

    for thread in [in_thread(lambda n=n: work(f"c{n}")) for n in range(3)]:
        thread.join()
    assert len(done) == 3


@scenario
def a_counter_counts_across_clients(path):
    def work():
        counter = client().Counter(path)
        for _ in range(10):
            counter += 1

    for thread in [in_thread(work) for _ in range(4)]:
        thread.join()
    counter = client().Counter(path)
    assert counter.value == 40
    counter -= 5
    assert counter.value == 35 and (counter.pre_value, counter.post_value) == (40, 35)


@scenario
def a_tree_cache_mirrors_the_tree(path):
    zk, other = client(), client()
    other.create(path + "/a", b"1", makepath=True)
    cache = TreeCache(zk, path)
    seen = []
    cache.listen(lambda event: seen.append(event))
    cache.start()
    eventually("filled", lambda: any(e.event_type == TreeEvent.INITIALIZED for e in seen))
    assert cache.get_data(path + "/a").data == b"1"
    other.create(path + "/a/b", b"2")
    eventually("addition", lambda: cache.get_data(path + "/a/b", default=None))
    other.set(path + "/a/b", b"3")
    eventually("change", lambda: cache.get_data(path + "/a/b").data == b"3")
    assert cache.get_children(path + "/a") == {"b"}
    other.delete(path + "/a/b")
    eventually("deletion", lambda: cache.get_children(path + "/a") == set())
    cache.close()


@scenario
def a_lease_is_for_one_holder(path):
    one, two = client(), client()
    assert NonBlockingLease(one, path, timedelta(seconds=60), identifier="one")
    assert not NonBlockingLease(two, path, timedelta(seconds=60), identifier="two")
    assert NonBlockingLease(one, path, timedelta(seconds=60), identifier="one")


@scenario
def several_leases_are_for_several_holders(path):
    one, two, three = client(), client(), client()
    minute = timedelta(seconds=60)
    assert one.MultiNonBlockingLease(2, path, minute, identifier="one")
    assert two.MultiNonBlockingLease(2, path, minute, identifier="two")
    assert not three.MultiNonBlockingLease(2, path, minute, identifier="three")


@scenario
def a_set_is_partitioned_without_overlap(path):
    one, two = client(), client()
    items, parts, ready = range(6), {}, threading.Barrier(2, timeout=PATIENCE_S)

    def work(name, zk):
        partition = zk.SetPartitioner(
            path, set=items, identifier=name, time_boundary=0.3, max_reaction_time=1
        )

        def settled():
            if partition.release:
                partition.release_set()
            elif partition.allocating:
                partition.wait_for_acquire(timeout=1)
            assert not partition.failed
            parts[name] = list(partition) if partition.acquired else []
            return len(parts[name]) == 3

        eventually(f"{name} has its half", settled)
        ready.wait()
        partition.finish()

    for thread in [in_thread(lambda n=n, z=z: work(n, z)) for n, z in [("1", one), ("2", two)]]:
        thread.join()
    assert sorted(parts["1"] + parts["2"]) == list(items), parts


run()
