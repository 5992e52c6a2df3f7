import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;

/**
 * What Curator keeps while its server is killed and started again.
 *
 * <p>Says `ready` when the server may be killed; a file `over` in the current folder says that it
 * is back.
 */
public final class RestartSuite {
    private static String hosts;

    private RestartSuite() {
    }

    private static CuratorFramework open() throws Exception {
        CuratorFramework curator = CuratorFrameworkFactory.builder()
            .connectString(hosts).sessionTimeoutMs(10_000).connectionTimeoutMs(10_000)
            .retryPolicy(new RetryForever(100)).build();
        curator.start();
        Scenarios.check(curator.blockUntilConnected(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "connected");
        return curator;
    }

    public static void main(String[] arguments) {
        hosts = arguments[0];
        Scenarios all = new Scenarios();
        all.add("everything_is_as_it_was", RestartSuite::everything);
        all.runAndExit();
    }

    private static void everything(String path) throws Exception {
        CuratorFramework one = open();
        CuratorFramework two = open();
        List<ConnectionState> states = new ArrayList<>();
        CountDownLatch reconnected = new CountDownLatch(1);
        one.getConnectionStateListenable().addListener((client, state) -> {
            states.add(state);
            if (state == ConnectionState.RECONNECTED) {
                reconnected.countDown();
            }
        });
        long session = one.getZookeeperClient().getZooKeeper().getSessionId();

        one.create().creatingParentsIfNeeded().forPath(path + "/tree/a", new byte[] {1});
        CuratorCache cache = CuratorCache.build(one, path + "/tree");
        cache.start();
        Scenarios.eventually("the cache is filled", () -> cache.get(path + "/tree/a").isPresent());
        PersistentNode node = new PersistentNode(one, CreateMode.EPHEMERAL, false, path + "/node", new byte[] {1});
        node.start();
        Scenarios.check(node.waitForInitialCreate(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "created");
        LeaderLatch latch = new LeaderLatch(one, path + "/latch", "one");
        latch.start();
        Scenarios.check(latch.await(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "leads");
        InterProcessMutex mutex = new InterProcessMutex(one, path + "/lock");
        mutex.acquire();
        BlockingQueue<String> recursive = new LinkedBlockingQueue<>();
        one.getZookeeperClient().getZooKeeper().addWatch(path + "/tree",
            (WatchedEvent event) -> {
                if (event.getType() != Watcher.Event.EventType.None) {
                    recursive.add(event.getType() + " " + event.getPath());
                }
            }, AddWatchMode.PERSISTENT_RECURSIVE);

        System.out.println("ready");
        System.out.flush();
        Scenarios.eventually("the server is back", () -> Files.exists(Path.of("over")));
        Scenarios.check(reconnected.await(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "reconnected");
        Scenarios.check(!states.contains(ConnectionState.LOST), states);
        Scenarios.check(one.getZookeeperClient().getZooKeeper().getSessionId() == session, "the same session");
        Scenarios.check(two.checkExists().forPath(path + "/node").getEphemeralOwner() == session, "the same node");

        InterProcessMutex other = new InterProcessMutex(two, path + "/lock");
        Scenarios.check(!other.acquire(200, TimeUnit.MILLISECONDS), "the lock is held");
        mutex.release();
        Scenarios.check(other.acquire(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "the lock is free");
        two.create().forPath(path + "/tree/a/b");
        Scenarios.same("NodeCreated " + path + "/tree/a/b", Scenarios.take(recursive));
        Scenarios.eventually("the cache goes on", () -> cache.get(path + "/tree/a/b").isPresent());
        Scenarios.eventually("it leads again", latch::hasLeadership);
        latch.close();
        one.close();
        two.close();
    }
}
