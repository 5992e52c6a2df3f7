import static org.apache.zookeeper.ZooDefs.Ids.CREATOR_ALL_ACL;
import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.AsyncCallback;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ClientInfo;
import org.apache.zookeeper.data.Stat;

/** The plain Java client, for what Curator does not touch. */
public final class PlainSuite {
    private static String hosts;
    private static final byte[] NONE = {};

    private PlainSuite() {
    }

    /** Takes events, those of the connection left out. */
    private static final class Events implements Watcher {
        final BlockingQueue<String> seen = new LinkedBlockingQueue<>();

        @Override
        public void process(WatchedEvent event) {
            if (event.getType() != EventType.None) {
                seen.add(event.getType() + " " + event.getPath());
            }
        }

        void expect(String... expected) throws Exception {
            for (String each : expected) {
                Scenarios.same(each, Scenarios.take(seen));
            }
        }
    }

    /** A client that can end without a farewell. */
    private static final class Mortal extends ZooKeeper {
        Mortal(Watcher watcher) throws Exception {
            super(hosts, 8000, watcher);
        }

        void die() {
            cnxn.disconnect();
        }
    }

    private static ZooKeeper open() throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper zk = new ZooKeeper(hosts, 8000, event -> {
            if (event.getState() == Watcher.Event.KeeperState.SyncConnected) {
                connected.countDown();
            }
        });
        Scenarios.check(connected.await(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "connected");
        return zk;
    }

    private static String make(ZooKeeper zk, String path) throws Exception {
        return zk.create(path, NONE, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
    }

    public static void main(String[] arguments) {
        hosts = arguments[0];
        Scenarios all = new Scenarios();
        all.add("a_persistent_watch_stays_and_sees_its_children", PlainSuite::persistentWatch);
        all.add("a_recursive_watch_sees_all_below", PlainSuite::recursiveWatch);
        all.add("a_recursive_watch_on_the_root_sees_everything", PlainSuite::rootWatch);
        all.add("removed_watches_are_silent", PlainSuite::removeWatches);
        all.add("all_watches_of_a_path_are_removed_together", PlainSuite::removeAllWatches);
        all.add("containers_are_created_and_look_persistent", PlainSuite::containers);
        all.add("ttl_nodes_are_created_with_their_stat", PlainSuite::ttlNodes);
        all.add("multi_answers_each_kind_of_result", PlainSuite::multi);
        all.add("multi_reads_fail_one_by_one", PlainSuite::multiRead);
        all.add("ephemerals_are_listed_by_prefix", PlainSuite::ephemerals);
        all.add("descendants_are_counted", PlainSuite::allChildrenNumber);
        all.add("who_am_i_lists_every_identity", PlainSuite::whoAmI);
        all.add("asynchronous_calls_complete_in_order", PlainSuite::asynchronous);
        all.add("null_data_stays_null", PlainSuite::nullData);
        all.add("a_session_is_taken_over_by_id_and_password", PlainSuite::takeOver);
        all.add("sync_waits_for_all_that_was_written", PlainSuite::sync);
        all.add("creator_acls_keep_strangers_out", PlainSuite::acls);
        all.runAndExit();
    }

    private static void persistentWatch(String path) throws Exception {
        ZooKeeper zk = open();
        Events events = new Events();
        zk.addWatch(path, events, AddWatchMode.PERSISTENT);
        make(zk, path);
        zk.setData(path, NONE, -1);
        zk.setData(path, NONE, -1);
        make(zk, path + "/a");
        make(zk, path + "/a/b");
        zk.delete(path + "/a/b", -1);
        zk.delete(path + "/a", -1);
        zk.delete(path, -1);
        String changed = "NodeDataChanged " + path;
        String children = "NodeChildrenChanged " + path;
        events.expect("NodeCreated " + path, changed, changed, children, children, "NodeDeleted " + path);
        zk.exists(path, false);
        Scenarios.check(events.seen.isEmpty(), events.seen);
        zk.close();
    }

    private static void recursiveWatch(String path) throws Exception {
        ZooKeeper zk = open();
        Events events = new Events();
        zk.addWatch(path, events, AddWatchMode.PERSISTENT_RECURSIVE);
        make(zk, path);
        make(zk, path + "/a");
        make(zk, path + "/a/b");
        zk.setData(path + "/a/b", NONE, -1);
        zk.delete(path + "/a/b", -1);
        zk.delete(path + "/a", -1);
        events.expect("NodeCreated " + path, "NodeCreated " + path + "/a",
            "NodeCreated " + path + "/a/b", "NodeDataChanged " + path + "/a/b",
            "NodeDeleted " + path + "/a/b", "NodeDeleted " + path + "/a");
        zk.exists(path, false);
        Scenarios.check(events.seen.isEmpty(), events.seen);
        zk.close();
    }

    private static void rootWatch(String path) throws Exception {
        ZooKeeper zk = open();
        Events events = new Events();
        zk.addWatch("/", events, AddWatchMode.PERSISTENT_RECURSIVE);
        make(zk, path);
        make(zk, path + "/x");
        events.expect("NodeCreated " + path, "NodeCreated " + path + "/x");
        zk.close();
    }

    private static void removeWatches(String path) throws Exception {
        ZooKeeper zk = open();
        Events data = new Events();
        Events children = new Events();
        make(zk, path);
        zk.exists(path, data);
        zk.getChildren(path, children);
        zk.removeWatches(path, data, Watcher.WatcherType.Data, false);
        data.expect("DataWatchRemoved " + path);
        zk.setData(path, NONE, -1);
        make(zk, path + "/x");
        children.expect("NodeChildrenChanged " + path);
        Scenarios.check(data.seen.isEmpty(), data.seen);
        Scenarios.raises(KeeperException.NoWatcherException.class, () -> {
            zk.removeWatches(path, data, Watcher.WatcherType.Any, false);
            return null;
        });
        zk.close();
    }

    private static void removeAllWatches(String path) throws Exception {
        ZooKeeper zk = open();
        Events first = new Events();
        Events second = new Events();
        make(zk, path);
        zk.exists(path, first);
        zk.getChildren(path, second);
        zk.removeAllWatches(path, Watcher.WatcherType.Any, false);
        first.expect("DataWatchRemoved " + path);
        second.expect("ChildWatchRemoved " + path);
        zk.setData(path, NONE, -1);
        make(zk, path + "/x");
        zk.exists(path, false);
        Scenarios.check(first.seen.isEmpty() && second.seen.isEmpty(), "silence");
        zk.close();
    }

    private static void containers(String path) throws Exception {
        ZooKeeper zk = open();
        Stat stat = new Stat();
        String made = zk.create(path, NONE, OPEN_ACL_UNSAFE, CreateMode.CONTAINER, stat);
        Scenarios.same(path, made);
        Scenarios.check(stat.getEphemeralOwner() == 0, stat);
        make(zk, path + "/x");
        zk.create(path + "-plain", NONE, OPEN_ACL_UNSAFE, CreateMode.CONTAINER);
        zk.close();
    }

    private static void ttlNodes(String path) throws Exception {
        ZooKeeper zk = open();
        Stat stat = new Stat();
        zk.create(path, NONE, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT_WITH_TTL, stat, 60_000);
        Scenarios.check(stat.getEphemeralOwner() == 0 && stat.getCzxid() > 0, stat);
        String made = zk.create(path + "/n-", NONE, OPEN_ACL_UNSAFE,
            CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, stat, 60_000);
        Scenarios.same(path + "/n-0000000000", made);
        zk.close();
    }

    private static void multi(String path) throws Exception {
        ZooKeeper zk = open();
        List<OpResult> results = zk.multi(Arrays.asList(
            Op.create(path, NONE, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
            Op.setData(path, new byte[] {1, 2}, 0),
            Op.check(path, 1),
            Op.create(path + "/x", NONE, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL_SEQUENTIAL),
            Op.delete(path + "/x0000000000", -1)));
        Scenarios.same(path, ((OpResult.CreateResult) results.get(0)).getPath());
        Stat stat = ((OpResult.SetDataResult) results.get(1)).getStat();
        Scenarios.check(stat.getVersion() == 1 && stat.getDataLength() == 2, stat);
        Scenarios.check(results.get(2) instanceof OpResult.CheckResult, results.get(2));
        Scenarios.same(path + "/x0000000000", ((OpResult.CreateResult) results.get(3)).getPath());
        Scenarios.check(results.get(4) instanceof OpResult.DeleteResult, results.get(4));
        Scenarios.check(stat.getMzxid() == zk.exists(path, false).getPzxid(), "one zxid for all");

        KeeperException failure = Scenarios.raises(KeeperException.NodeExistsException.class,
            () -> zk.multi(Arrays.asList(Op.setData(path, NONE, -1),
                Op.create(path, NONE, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT),
                Op.delete(path, -1))));
        List<Integer> codes = new ArrayList<>();
        for (OpResult result : failure.getResults()) {
            codes.add(((OpResult.ErrorResult) result).getErr());
        }
        Scenarios.same(Arrays.asList(0, -110, -2), codes);
        Scenarios.check(zk.exists(path, false).getVersion() == 1, "nothing was done");
        zk.close();
    }

    private static void multiRead(String path) throws Exception {
        ZooKeeper zk = open();
        make(zk, path);
        zk.setData(path, new byte[] {7}, -1);
        make(zk, path + "/x");
        List<OpResult> results = zk.multi(Arrays.asList(
            Op.getData(path), Op.getData(path + "/missing"), Op.getChildren(path)));
        Scenarios.check(((OpResult.GetDataResult) results.get(0)).getData()[0] == 7, "the data");
        Scenarios.same(-101, ((OpResult.ErrorResult) results.get(1)).getErr());
        Scenarios.same(Arrays.asList("x"), ((OpResult.GetChildrenResult) results.get(2)).getChildren());
        zk.close();
    }

    private static void ephemerals(String path) throws Exception {
        ZooKeeper zk = open();
        zk.create(path + "-a", NONE, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        zk.create(path + "-b", NONE, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        List<String> all = new ArrayList<>(zk.getEphemerals());
        all.sort(null);
        Scenarios.same(Arrays.asList(path + "-a", path + "-b"), all);
        Scenarios.same(Arrays.asList(path + "-b"), zk.getEphemerals(path + "-b"));
        zk.close();
    }

    private static void allChildrenNumber(String path) throws Exception {
        ZooKeeper zk = open();
        for (String each : new String[] {"", "/a", "/a/b", "/a/c"}) {
            make(zk, path + each);
        }
        Scenarios.same(3, zk.getAllChildrenNumber(path));
        Scenarios.same(0, zk.getAllChildrenNumber(path + "/a/b"));
        zk.close();
    }

    private static void whoAmI(String path) throws Exception {
        ZooKeeper zk = open();
        zk.addAuthInfo("digest", "ann:pw".getBytes());
        List<String> names = new ArrayList<>();
        for (ClientInfo info : zk.whoAmI()) {
            names.add(info.getAuthScheme() + ":" + info.getUser());
        }
        names.sort(null);
        Scenarios.same(Arrays.asList("digest:ann", "ip:127.0.0.1"), names);
        zk.close();
    }

    private static void asynchronous(String path) throws Exception {
        ZooKeeper zk = open();
        BlockingQueue<String> done = new LinkedBlockingQueue<>();
        AsyncCallback.StringCallback made = (rc, p, context, name) -> done.add("create " + rc);
        AsyncCallback.StatCallback stat = (rc, p, context, s) -> done.add("stat " + rc);
        AsyncCallback.VoidCallback none = (rc, p, context) -> done.add("void " + rc);
        zk.create(path, NONE, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT, made, null);
        zk.setData(path, NONE, 0, stat, null);
        zk.exists(path + "/missing", false, stat, null);
        zk.sync(path, none, null);
        zk.delete(path, 1, none, null);
        zk.create(path, NONE, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT, made, null);
        for (String each : new String[] {"create 0", "stat 0", "stat -101", "void 0", "void 0", "create 0"}) {
            Scenarios.same(each, Scenarios.take(done));
        }
        zk.close();
    }

    private static void nullData(String path) throws Exception {
        ZooKeeper zk = open();
        zk.create(path, null, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
        Stat stat = new Stat();
        Scenarios.check(zk.getData(path, false, stat) == null, "null");
        Scenarios.same(0, stat.getDataLength());
        zk.setData(path, NONE, -1);
        Scenarios.same(0, zk.getData(path, false, stat).length);
        zk.close();
    }

    private static void takeOver(String path) throws Exception {
        CountDownLatch first = new CountDownLatch(1);
        Mortal dying = new Mortal(event -> first.countDown());
        Scenarios.check(first.await(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "connected");
        dying.create(path, NONE, OPEN_ACL_UNSAFE, CreateMode.EPHEMERAL);
        dying.die();
        CountDownLatch second = new CountDownLatch(1);
        ZooKeeper heir = new ZooKeeper(hosts, 8000, event -> second.countDown(),
            dying.getSessionId(), dying.getSessionPasswd());
        Scenarios.check(second.await(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "connected");
        Scenarios.check(heir.exists(path, false).getEphemeralOwner() == dying.getSessionId(), "kept");
        heir.close();
        ZooKeeper witness = open();
        Scenarios.check(witness.exists(path, false) == null, "gone with the session");
        witness.close();
    }

    private static void sync(String path) throws Exception {
        ZooKeeper writer = open();
        ZooKeeper reader = open();
        make(writer, path);
        CountDownLatch done = new CountDownLatch(1);
        reader.sync(path, (rc, p, context) -> done.countDown(), null);
        Scenarios.check(done.await(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "synced");
        Scenarios.check(reader.exists(path, false) != null, "seen");
        writer.close();
        reader.close();
    }

    private static void acls(String path) throws Exception {
        ZooKeeper owner = open();
        ZooKeeper stranger = open();
        owner.addAuthInfo("digest", "ann:pw".getBytes());
        owner.create(path, NONE, CREATOR_ALL_ACL, CreateMode.PERSISTENT);
        Scenarios.raises(KeeperException.NoAuthException.class, () -> stranger.getData(path, false, null));
        Scenarios.raises(KeeperException.InvalidACLException.class,
            () -> stranger.create(path + "-x", NONE, CREATOR_ALL_ACL, CreateMode.PERSISTENT));
        owner.setACL(path, OPEN_ACL_UNSAFE, 0);
        Scenarios.same(0, stranger.getData(path, false, null).length);
        owner.close();
        stranger.close();
    }
}
