// Makes the Java client of Apache ZooKeeper send every request it knows, through the proxy of capture.py.

import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.admin.ZooKeeperAdmin;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

public class Capture {
    interface Call {
        void run() throws Exception;
    }

    /** A call that is meant to fail. */
    static void refused(Call call) throws Exception {
        try {
            call.run();
            throw new IllegalStateException("not refused");
        } catch (KeeperException expected) {
        }
    }

    static ZooKeeperAdmin connect(String address) throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeperAdmin client = new ZooKeeperAdmin(address, 10000, event -> connected.countDown());
        connected.await();
        return client;
    }

    public static void main(String[] args) throws Exception {
        ZooKeeperAdmin client = connect(args[0]);
        nodes(client);
        acls(client);
        multis(client);
        watches(client);
        client.addAuthInfo("digest", "super:test".getBytes());
        client.reconfigure((String) null, null, args[1], -1, new Stat());
        refused(() -> client.reconfigure("nonsense", (String) null, null, -1, new Stat()));
        client.close();
        reconnect(args[0]);
    }

    static void nodes(ZooKeeper client) throws Exception {
        client.create("/a", "hello".getBytes(), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        client.create("/null", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        client.create("/a/s-", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL);
        client.create("/größe", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        refused(() -> client.create("/a", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT));
        Stat stat = new Stat();
        client.create("/b", "b".getBytes(), Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL, stat);
        client.create("/c", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER, stat);
        client.create("/t", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, stat, 100000);
        refused(() -> client.create("/t", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, stat, 1));
        client.exists("/a", false);
        client.exists("/missing", false);
        client.getData("/a", false, stat);
        client.getData("/null", false, stat);
        refused(() -> client.getData("/missing", false, stat));
        client.setData("/a", "hello again".getBytes(), 0);
        refused(() -> client.setData("/a", null, 7));
        client.getChildren("/a", false);
        client.getChildren("/b", false);
        client.getChildren("/", false, stat);
        client.getAllChildrenNumber("/");
        client.getEphemerals();
        client.getEphemerals("/a");
        client.sync("/a", (code, path, context) -> { }, null);
        client.delete("/null", -1);
        refused(() -> client.delete("/a", -1));
    }

    static void acls(ZooKeeper client) throws Exception {
        client.getACL("/a", new Stat());
        client.addAuthInfo("digest", "bob:secret".getBytes());
        List<ACL> acl = Arrays.asList(new ACL(31, new Id("auth", "")), new ACL(1, new Id("world", "anyone")));
        client.setACL("/a", acl, 0);
        client.getACL("/a", new Stat());
        refused(() -> client.setACL("/a", Collections.singletonList(new ACL(1, new Id("no", "one"))), -1));
        client.whoAmI();
    }

    static void multis(ZooKeeper client) throws Exception {
        client.multi(Arrays.asList(
            Op.create("/m", "m".getBytes(), Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
            Op.create("/mc", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.CONTAINER),
            Op.create("/mt", new byte[0], Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, 100000),
            Op.setData("/m", "mm".getBytes(), 0),
            Op.check("/m", 1),
            Op.delete("/mc", -1)));
        refused(() -> client.multi(Arrays.asList(Op.check("/m", 1), Op.delete("/missing", -1), Op.delete("/m", -1))));
        client.multi(Collections.emptyList());
        client.multi(Arrays.asList(Op.getData("/m"), Op.getChildren("/"), Op.getData("/missing")));
    }

    static void watches(ZooKeeper client) throws Exception {
        Watcher watcher = event -> { };
        client.getData("/a", watcher, new Stat());
        client.getChildren("/a", watcher);
        client.exists("/w", watcher);
        client.addWatch("/p", watcher, AddWatchMode.PERSISTENT);
        client.addWatch("/a", watcher, AddWatchMode.PERSISTENT_RECURSIVE);
        client.create("/w", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        client.setData("/a", null, -1);
        client.create("/a/x", null, Ids.OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        client.delete("/a/x", -1);
        client.removeWatches("/p", watcher, Watcher.WatcherType.Any, false);
        client.getData("/w", watcher, new Stat());
        client.removeWatches("/w", watcher, Watcher.WatcherType.Data, false);
        client.removeAllWatches("/a", Watcher.WatcherType.PersistentRecursive, false);
        refused(() -> client.removeAllWatches("/none", Watcher.WatcherType.Any, false));
    }

    /** The proxy breaks the connection when it sees the creation of /cut, so that watches are set again. */
    static void reconnect(String address) throws Exception {
        for (boolean persistent : new boolean[] {false, true}) {
            CountDownLatch twice = new CountDownLatch(2);
            ZooKeeper client = new ZooKeeper(address, 10000, event -> {
                if (event.getState() == Watcher.Event.KeeperState.SyncConnected) {
                    twice.countDown();
                }
            });
            Watcher watcher = event -> { };
            client.exists("/missing", watcher);
            client.getData("/w", watcher, new Stat());
            client.getChildren("/", watcher);
            if (persistent) {
                client.addWatch("/p", watcher, AddWatchMode.PERSISTENT);
                client.addWatch("/a", watcher, AddWatchMode.PERSISTENT_RECURSIVE);
            }
            try {
                client.create("/cut", null, Ids.OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
            } catch (KeeperException.ConnectionLossException meant) {
            }
            twice.await();
            client.exists("/", false);
            client.close();
        }
    }
}
