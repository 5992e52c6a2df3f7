import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.api.transaction.CuratorTransactionResult;
import org.apache.curator.framework.recipes.atomic.AtomicValue;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.cache.NodeCache;
import org.apache.curator.framework.recipes.cache.PathChildrenCache;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.ExponentialBackoffRetry;
import org.apache.curator.x.discovery.ServiceDiscovery;
import org.apache.curator.x.discovery.ServiceDiscoveryBuilder;
import org.apache.curator.x.discovery.ServiceInstance;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.ZooKeeper;

/** Curator and its recipes, each between clients with sessions of their own. */
public final class CuratorSuite {
    private static final ExponentialBackoffRetry RETRY = new ExponentialBackoffRetry(100, 8);
    private static final ExecutorService THREADS = Executors.newCachedThreadPool(task -> {
        Thread thread = new Thread(task);
        thread.setDaemon(true);
        return thread;
    });
    private static String hosts;

    private CuratorSuite() {
    }

    private static CuratorFramework open() throws Exception {
        CuratorFramework curator = CuratorFrameworkFactory.builder()
            .connectString(hosts).sessionTimeoutMs(8000).connectionTimeoutMs(8000)
            .retryPolicy(RETRY).build();
        curator.start();
        Scenarios.check(curator.blockUntilConnected(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "connected");
        return curator;
    }

    private static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    private static String text(byte[] bytes) {
        return new String(bytes, StandardCharsets.UTF_8);
    }

    public static void main(String[] arguments) {
        hosts = arguments[0];
        Scenarios all = new Scenarios();
        all.add("builders_reach_every_kind_of_node", CuratorSuite::builders);
        all.add("a_mutex_is_held_by_one", CuratorSuite::mutex);
        all.add("a_mutex_goes_on_when_its_holder_dies", CuratorSuite::mutexAfterDeath);
        all.add("readers_share_and_writers_do_not", CuratorSuite::readWriteLock);
        all.add("a_semaphore_admits_as_many_as_it_says", CuratorSuite::semaphore);
        all.add("a_leader_latch_has_one_leader", CuratorSuite::leaderLatch);
        all.add("a_leader_selector_hands_leadership_on", CuratorSuite::leaderSelector);
        all.add("a_node_cache_follows_one_node", CuratorSuite::nodeCache);
        all.add("a_path_children_cache_follows_the_children", CuratorSuite::pathChildrenCache);
        all.add("a_tree_cache_follows_the_tree", CuratorSuite::treeCache);
        all.add("a_curator_cache_follows_the_tree", CuratorSuite::curatorCache);
        all.add("services_are_discovered_and_vanish", CuratorSuite::discovery);
        all.add("a_persistent_node_comes_back", CuratorSuite::persistentNode);
        all.add("a_ttl_node_is_kept_alive", CuratorSuite::ttlNode);
        all.add("group_members_know_each_other", CuratorSuite::groupMember);
        all.add("transactions_do_all_or_nothing", CuratorSuite::transactions);
        all.add("an_atomic_long_counts_across_clients", CuratorSuite::atomicLong);
        all.add("a_shared_count_is_seen_by_all", CuratorSuite::sharedCount);
        all.add("a_barrier_holds_all_back", CuratorSuite::barrier);
        all.add("a_double_barrier_lets_all_in_together", CuratorSuite::doubleBarrier);
        all.add("a_queue_hands_out_in_order", CuratorSuite::queue);
        all.add("a_namespace_is_a_world_of_its_own", CuratorSuite::namespace);
        all.add("a_lost_session_is_reported_and_replaced", CuratorSuite::lostSession);
        all.runAndExit();
    }

    private static void builders(String path) throws Exception {
        CuratorFramework curator = open();
        curator.create().creatingParentsIfNeeded().forPath(path + "/a/b", bytes("1"));
        Scenarios.same("1", text(curator.getData().forPath(path + "/a/b")));
        curator.create().creatingParentContainersIfNeeded().forPath(path + "/c/d");
        String made = curator.create().withProtection().withMode(CreateMode.EPHEMERAL_SEQUENTIAL)
            .forPath(path + "/p-");
        Scenarios.check(made.startsWith(path + "/_c_") && made.endsWith("p-0000000002"), made);
        Scenarios.same(2, curator.setData().withVersion(1)
            .forPath(path + "/a/b", bytes(String.valueOf(curator.setData()
                .forPath(path + "/a/b", bytes("2")).getVersion()))).getVersion());
        Scenarios.raises(KeeperException.BadVersionException.class,
            () -> curator.delete().withVersion(9).forPath(path + "/a/b"));
        BlockingQueue<Integer> codes = new LinkedBlockingQueue<>();
        curator.create().inBackground((client, event) -> codes.add(event.getResultCode())).forPath(path + "/e");
        Scenarios.same(0, Scenarios.take(codes));
        curator.delete().guaranteed().deletingChildrenIfNeeded().forPath(path);
        Scenarios.check(curator.checkExists().forPath(path) == null, "deleted");
        curator.close();
    }

    private static void mutex(String path) throws Exception {
        AtomicInteger inside = new AtomicInteger();
        AtomicInteger total = new AtomicInteger();
        List<Future<?>> workers = new ArrayList<>();
        for (int worker = 0; worker < 4; worker++) {
            workers.add(THREADS.submit(() -> {
                CuratorFramework curator = open();
                InterProcessMutex mutex = new InterProcessMutex(curator, path);
                for (int round = 0; round < 10; round++) {
                    Scenarios.check(mutex.acquire(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "acquired");
                    Scenarios.same(1, inside.incrementAndGet());
                    total.incrementAndGet();
                    inside.decrementAndGet();
                    mutex.release();
                }
                curator.close();
                return null;
            }));
        }
        for (Future<?> worker : workers) {
            worker.get(60, TimeUnit.SECONDS);
        }
        Scenarios.same(40, total.get());
    }

    private static void mutexAfterDeath(String path) throws Exception {
        CuratorFramework one = open();
        CuratorFramework two = open();
        InterProcessMutex first = new InterProcessMutex(one, path);
        InterProcessMutex second = new InterProcessMutex(two, path);
        first.acquire();
        first.acquire();
        Scenarios.check(!second.acquire(100, TimeUnit.MILLISECONDS), "held");
        Future<Boolean> waiting = THREADS.submit(() -> second.acquire(Scenarios.PATIENCE_S, TimeUnit.SECONDS));
        Scenarios.eventually("two are in line", () -> second.getParticipantNodes().size() == 2);
        one.close();
        Scenarios.check(waiting.get(), "acquired after the holder's end");
        two.close();
    }

    private static void readWriteLock(String path) throws Exception {
        CuratorFramework one = open();
        CuratorFramework two = open();
        InterProcessReadWriteLock first = new InterProcessReadWriteLock(one, path);
        InterProcessReadWriteLock second = new InterProcessReadWriteLock(two, path);
        first.readLock().acquire();
        Scenarios.check(second.readLock().acquire(5, TimeUnit.SECONDS), "readers share");
        second.readLock().release();
        Scenarios.check(!second.writeLock().acquire(200, TimeUnit.MILLISECONDS), "a writer waits");
        first.readLock().release();
        Scenarios.check(second.writeLock().acquire(5, TimeUnit.SECONDS), "the writer is in");
        Scenarios.check(!first.readLock().acquire(200, TimeUnit.MILLISECONDS), "readers wait");
        second.writeLock().release();
        one.close();
        two.close();
    }

    private static void semaphore(String path) throws Exception {
        CuratorFramework curator = open();
        InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(curator, path, 2);
        var leases = semaphore.acquire(2, 5, TimeUnit.SECONDS);
        Scenarios.same(2, leases.size());
        Scenarios.check(semaphore.acquire(200, TimeUnit.MILLISECONDS) == null, "full");
        semaphore.returnLease(leases.iterator().next());
        Scenarios.check(semaphore.acquire(5, TimeUnit.SECONDS) != null, "one left");
        curator.close();
    }

    private static void leaderLatch(String path) throws Exception {
        CuratorFramework one = open();
        CuratorFramework two = open();
        LeaderLatch first = new LeaderLatch(one, path, "one");
        LeaderLatch second = new LeaderLatch(two, path, "two");
        first.start();
        Scenarios.check(first.await(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "leads");
        second.start();
        Scenarios.eventually("both take part", () -> first.getParticipants().size() == 2);
        Scenarios.check(!second.hasLeadership(), "one leader");
        Scenarios.same("one", second.getLeader().getId());
        one.close();
        Scenarios.check(second.await(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "the next one leads");
        second.close();
        two.close();
    }

    private static void leaderSelector(String path) throws Exception {
        BlockingQueue<String> led = new LinkedBlockingQueue<>();
        AtomicInteger leading = new AtomicInteger();
        List<CuratorFramework> clients = new ArrayList<>();
        for (String name : new String[] {"one", "two", "three"}) {
            CuratorFramework curator = open();
            clients.add(curator);
            LeaderSelector selector = new LeaderSelector(curator, path, new LeaderSelectorListenerAdapter() {
                @Override
                public void takeLeadership(CuratorFramework client) {
                    Scenarios.same(1, leading.incrementAndGet());
                    led.add(name);
                    leading.decrementAndGet();
                }
            });
            selector.setId(name);
            selector.start();
        }
        List<String> names = new ArrayList<>();
        for (int turn = 0; turn < 3; turn++) {
            names.add(Scenarios.take(led));
        }
        names.sort(null);
        Scenarios.same(Arrays.asList("one", "three", "two"), names);
        clients.forEach(CuratorFramework::close);
    }

    @SuppressWarnings("deprecation")
    private static void nodeCache(String path) throws Exception {
        CuratorFramework curator = open();
        NodeCache cache = new NodeCache(curator, path);
        cache.start(true);
        Scenarios.check(cache.getCurrentData() == null, "nothing yet");
        curator.create().forPath(path, bytes("1"));
        Scenarios.eventually("created", () -> cache.getCurrentData() != null);
        curator.setData().forPath(path, bytes("2"));
        Scenarios.eventually("changed", () -> text(cache.getCurrentData().getData()).equals("2"));
        curator.delete().forPath(path);
        Scenarios.eventually("deleted", () -> cache.getCurrentData() == null);
        cache.close();
        curator.close();
    }

    @SuppressWarnings("deprecation")
    private static void pathChildrenCache(String path) throws Exception {
        CuratorFramework curator = open();
        curator.create().creatingParentsIfNeeded().forPath(path + "/a", bytes("1"));
        PathChildrenCache cache = new PathChildrenCache(curator, path, true);
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        cache.getListenable().addListener((client, event) -> events.add(event.getType().name()));
        cache.start(PathChildrenCache.StartMode.BUILD_INITIAL_CACHE);
        Scenarios.same(1, cache.getCurrentData().size());
        curator.create().forPath(path + "/b", bytes("2"));
        Scenarios.same("CHILD_ADDED", Scenarios.take(events));
        curator.setData().forPath(path + "/b", bytes("3"));
        Scenarios.same("CHILD_UPDATED", Scenarios.take(events));
        curator.delete().forPath(path + "/a");
        Scenarios.same("CHILD_REMOVED", Scenarios.take(events));
        Scenarios.same("3", text(cache.getCurrentData(path + "/b").getData()));
        cache.close();
        curator.close();
    }

    @SuppressWarnings("deprecation")
    private static void treeCache(String path) throws Exception {
        CuratorFramework curator = open();
        curator.create().creatingParentsIfNeeded().forPath(path + "/a/b", bytes("1"));
        TreeCache cache = new TreeCache(curator, path);
        cache.start();
        Scenarios.eventually("filled", () -> cache.getCurrentData(path + "/a/b") != null);
        curator.setData().forPath(path + "/a/b", bytes("2"));
        Scenarios.eventually("changed", () -> text(cache.getCurrentData(path + "/a/b").getData()).equals("2"));
        curator.delete().deletingChildrenIfNeeded().forPath(path + "/a");
        Scenarios.eventually("deleted", () -> cache.getCurrentData(path + "/a") == null);
        cache.close();
        curator.close();
    }

    private static void curatorCache(String path) throws Exception {
        CuratorFramework curator = open();
        curator.create().creatingParentsIfNeeded().forPath(path + "/a", bytes("1"));
        BlockingQueue<String> events = new LinkedBlockingQueue<>();
        CuratorCache cache = CuratorCache.build(curator, path);
        cache.listenable().addListener(CuratorCacheListener.builder()
            .forCreates(node -> events.add("+" + node.getPath()))
            .forChanges((before, after) -> events.add("~" + after.getPath()))
            .forDeletes(node -> events.add("-" + node.getPath()))
            .forInitialized(() -> events.add("ready")).build());
        cache.start();
        List<String> initial = new ArrayList<>();
        for (int at = 0; at < 3; at++) {
            initial.add(Scenarios.take(events));
        }
        Scenarios.same(Arrays.asList("+" + path, "+" + path + "/a", "ready"), initial);
        curator.create().forPath(path + "/a/b");
        Scenarios.same("+" + path + "/a/b", Scenarios.take(events));
        curator.setData().forPath(path + "/a/b", bytes("2"));
        Scenarios.same("~" + path + "/a/b", Scenarios.take(events));
        curator.delete().forPath(path + "/a/b");
        Scenarios.same("-" + path + "/a/b", Scenarios.take(events));
        cache.close();
        curator.close();
    }

    private static void discovery(String path) throws Exception {
        CuratorFramework one = open();
        CuratorFramework two = open();
        ServiceInstance<Void> instance = ServiceInstance.<Void>builder()
            .name("greeter").address("127.0.0.1").port(8080).build();
        ServiceDiscovery<Void> server = ServiceDiscoveryBuilder.builder(Void.class)
            .client(one).basePath(path).thisInstance(instance).build();
        ServiceDiscovery<Void> client = ServiceDiscoveryBuilder.builder(Void.class)
            .client(two).basePath(path).build();
        server.start();
        client.start();
        Collection<ServiceInstance<Void>> found = client.queryForInstances("greeter");
        Scenarios.same(1, found.size());
        Scenarios.same(8080, found.iterator().next().getPort());
        Scenarios.same(Arrays.asList("greeter"), new ArrayList<>(client.queryForNames()));
        var cache = client.serviceCacheBuilder().name("greeter").build();
        cache.start();
        Scenarios.same(1, cache.getInstances().size());
        server.close();
        Scenarios.eventually("it is gone", () -> cache.getInstances().isEmpty());
        client.close();
        one.close();
        two.close();
    }

    private static void persistentNode(String path) throws Exception {
        CuratorFramework one = open();
        CuratorFramework two = open();
        PersistentNode node = new PersistentNode(one, CreateMode.EPHEMERAL, false, path, bytes("1"));
        node.start();
        Scenarios.check(node.waitForInitialCreate(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "created");
        long first = two.checkExists().forPath(path).getCzxid();
        two.delete().forPath(path);
        Scenarios.eventually("it is back", () -> {
            var stat = two.checkExists().forPath(path);
            return stat != null && stat.getCzxid() > first;
        });
        node.setData(bytes("2"));
        Scenarios.eventually("its data is set", () -> text(two.getData().forPath(path)).equals("2"));
        node.close();
        Scenarios.eventually("it is gone", () -> two.checkExists().forPath(path) == null);
        one.close();
        two.close();
    }

    private static void ttlNode(String path) throws Exception {
        CuratorFramework curator = open();
        PersistentTtlNode node = new PersistentTtlNode(curator, path, 1000, bytes("1"));
        node.start();
        Scenarios.check(node.waitForInitialCreate(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "created");
        Scenarios.eventually("its touch node is there",
            () -> curator.checkExists().forPath(path + "/touch") != null);
        node.close();
        curator.close();
    }

    private static void groupMember(String path) throws Exception {
        CuratorFramework one = open();
        CuratorFramework two = open();
        GroupMember first = new GroupMember(one, path, "one", bytes("1"));
        GroupMember second = new GroupMember(two, path, "two", bytes("2"));
        first.start();
        second.start();
        Scenarios.eventually("both are seen", () -> first.getCurrentMembers().size() == 2);
        Scenarios.same("2", text(first.getCurrentMembers().get("two")));
        second.close();
        Scenarios.eventually("one is left", () -> first.getCurrentMembers().size() == 1);
        first.close();
        one.close();
        two.close();
    }

    private static void transactions(String path) throws Exception {
        CuratorFramework curator = open();
        List<CuratorTransactionResult> results = curator.transaction().forOperations(
            curator.transactionOp().create().forPath(path, bytes("1")),
            curator.transactionOp().setData().withVersion(0).forPath(path, bytes("2")),
            curator.transactionOp().create().withMode(CreateMode.EPHEMERAL).forPath(path + "/x"),
            curator.transactionOp().check().withVersion(1).forPath(path),
            curator.transactionOp().delete().forPath(path + "/x"));
        Scenarios.same(path, results.get(0).getResultPath());
        Scenarios.same(1, results.get(1).getResultStat().getVersion());
        Scenarios.raises(KeeperException.NoNodeException.class, () -> curator.transaction().forOperations(
            curator.transactionOp().setData().forPath(path, bytes("3")),
            curator.transactionOp().delete().forPath(path + "/x")));
        Scenarios.same("2", text(curator.getData().forPath(path)));
        curator.close();
    }

    private static void atomicLong(String path) throws Exception {
        List<Future<?>> workers = new ArrayList<>();
        for (int worker = 0; worker < 3; worker++) {
            workers.add(THREADS.submit(() -> {
                CuratorFramework curator = open();
                DistributedAtomicLong counter =
                    new DistributedAtomicLong(curator, path, new ExponentialBackoffRetry(5, 20));
                for (int round = 0; round < 10; round++) {
                    AtomicValue<Long> value = counter.increment();
                    Scenarios.check(value.succeeded(), "incremented");
                }
                curator.close();
                return null;
            }));
        }
        for (Future<?> worker : workers) {
            worker.get(60, TimeUnit.SECONDS);
        }
        CuratorFramework curator = open();
        Scenarios.same(30L, new DistributedAtomicLong(curator, path, RETRY).get().postValue());
        curator.close();
    }

    private static void sharedCount(String path) throws Exception {
        CuratorFramework one = open();
        CuratorFramework two = open();
        SharedCount first = new SharedCount(one, path, 5);
        SharedCount second = new SharedCount(two, path, 5);
        first.start();
        second.start();
        first.setCount(8);
        Scenarios.eventually("the other sees it", () -> second.getCount() == 8);
        first.close();
        second.close();
        one.close();
        two.close();
    }

    private static void barrier(String path) throws Exception {
        CuratorFramework one = open();
        CuratorFramework two = open();
        DistributedBarrier gate = new DistributedBarrier(one, path);
        gate.setBarrier();
        DistributedBarrier other = new DistributedBarrier(two, path);
        Scenarios.check(!other.waitOnBarrier(200, TimeUnit.MILLISECONDS), "closed");
        Future<Boolean> waiting = THREADS.submit(() -> other.waitOnBarrier(Scenarios.PATIENCE_S, TimeUnit.SECONDS));
        gate.removeBarrier();
        Scenarios.check(waiting.get(), "open");
        one.close();
        two.close();
    }

    private static void doubleBarrier(String path) throws Exception {
        AtomicInteger inside = new AtomicInteger();
        CountDownLatch left = new CountDownLatch(3);
        List<Future<?>> workers = new ArrayList<>();
        for (int worker = 0; worker < 3; worker++) {
            workers.add(THREADS.submit(() -> {
                CuratorFramework curator = open();
                DistributedDoubleBarrier gate = new DistributedDoubleBarrier(curator, path, 3);
                Scenarios.check(gate.enter(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "entered");
                inside.incrementAndGet();
                Scenarios.check(gate.leave(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "left");
                Scenarios.same(3, inside.get());
                left.countDown();
                curator.close();
                return null;
            }));
        }
        for (Future<?> worker : workers) {
            worker.get(60, TimeUnit.SECONDS);
        }
        Scenarios.check(left.await(1, TimeUnit.SECONDS), "all left");
    }

    private static void queue(String path) throws Exception {
        CuratorFramework one = open();
        CuratorFramework two = open();
        SimpleDistributedQueue first = new SimpleDistributedQueue(one, path);
        SimpleDistributedQueue second = new SimpleDistributedQueue(two, path);
        Future<byte[]> waiting = THREADS.submit(second::take);
        first.offer(bytes("a"));
        Scenarios.same("a", text(waiting.get(Scenarios.PATIENCE_S, TimeUnit.SECONDS)));
        first.offer(bytes("b"));
        first.offer(bytes("c"));
        Scenarios.same("b", text(second.poll()));
        Scenarios.same("c", text(first.peek()));
        one.close();
        two.close();
    }

    private static void namespace(String path) throws Exception {
        CuratorFramework curator = open();
        CuratorFramework inner = curator.usingNamespace(path.substring(1));
        inner.create().forPath("/x", bytes("1"));
        Scenarios.same("1", text(curator.getData().forPath(path + "/x")));
        curator.close();
    }

    private static void endSession(ZooKeeper owner) throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper killer = new ZooKeeper(hosts, 8000, event -> connected.countDown(),
            owner.getSessionId(), owner.getSessionPasswd());
        connected.await(Scenarios.PATIENCE_S, TimeUnit.SECONDS);
        killer.close();
    }

    private static void lostSession(String path) throws Exception {
        CuratorFramework curator = open();
        BlockingQueue<ConnectionState> states = new LinkedBlockingQueue<>();
        curator.getConnectionStateListenable().addListener((client, state) -> states.add(state));
        PersistentNode node = new PersistentNode(curator, CreateMode.EPHEMERAL, false, path, bytes("1"));
        node.start();
        Scenarios.check(node.waitForInitialCreate(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "created");
        ZooKeeper inner = curator.getZookeeperClient().getZooKeeper();
        List<ConnectionState> seen = new ArrayList<>();
        Scenarios.eventually("lost and reconnected", () -> {
            states.drainTo(seen);
            if (!seen.contains(ConnectionState.LOST)) {
                // The owner reconnects meanwhile and may be faster.
                endSession(inner);
                Thread.sleep(500);
            }
            return seen.contains(ConnectionState.LOST) && seen.contains(ConnectionState.RECONNECTED);
        });
        Scenarios.eventually("the node is back in the new session", () -> {
            var stat = curator.checkExists().forPath(path);
            return stat != null && stat.getEphemeralOwner() == curator.getZookeeperClient().getZooKeeper().getSessionId();
        });
        node.close();
        curator.close();
    }
}
