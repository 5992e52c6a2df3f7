import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

/**
 * What Curator keeps while the servers of an ensemble are restarted one after the other, and their
 * leader is killed: a lock, an election, a group of members.
 *
 * <p>Says `ready` when that may begin; a file `over` in the current folder says that all servers
 * are back.
 */
public final class RollingSuite {
    private static final int CLIENTS = 3;
    private static final int TURNS_AFTER = 5;
    private static final int PATIENCE_S = 60;

    private static String hosts;

    private RollingSuite() {
    }

    /** The turns of each client; no two may have one at the same time. */
    private static final class Turns {
        private final AtomicBoolean inside = new AtomicBoolean();
        private final AtomicIntegerArray taken = new AtomicIntegerArray(CLIENTS);
        private final AtomicInteger together = new AtomicInteger();

        void take(int who, Callable<?> work) throws Exception {
            if (!inside.compareAndSet(false, true)) {
                together.incrementAndGet();
                return;
            }
            try {
                work.call();
                taken.incrementAndGet(who);
            } finally {
                inside.set(false);
            }
        }

        int sum() {
            int sum = 0;
            for (int who = 0; who < CLIENTS; who++) {
                sum += taken.get(who);
            }
            return sum;
        }

        void waitForMore(int more) throws Exception {
            for (int who = 0; who < CLIENTS; who++) {
                int client = who;
                int goal = taken.get(who) + more;
                patiently("client " + who + " has its turn, " + taken, PATIENCE_S, () -> taken.get(client) >= goal);
            }
        }
    }

    private static void patiently(String what, int seconds, Callable<Boolean> probe) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        while (!probe.call()) {
            Scenarios.check(System.nanoTime() < deadline, "waited in vain: " + what);
            Thread.sleep(20);
        }
    }

    private static CuratorFramework open() throws Exception {
        CuratorFramework curator = CuratorFrameworkFactory.builder()
            .connectString(hosts).sessionTimeoutMs(10_000).connectionTimeoutMs(10_000)
            .retryPolicy(new RetryForever(100)).build();
        curator.start();
        Scenarios.check(curator.blockUntilConnected(PATIENCE_S, TimeUnit.SECONDS), "connected");
        return curator;
    }

    public static void main(String[] arguments) {
        hosts = arguments[0];
        Scenarios all = new Scenarios();
        all.add("lock_election_and_group_live_on", RollingSuite::everything);
        all.runAndExit();
    }

    /** Adds one to a counter, once, whatever becomes of the connection. */
    private static Void count(CuratorFramework curator, String path, int who) throws Exception {
        Stat stat = new Stat();
        String value = new String(curator.getData().storingStatIn(stat).forPath(path));
        String mine = (Integer.parseInt(value.split(" ")[0]) + 1) + " " + who;
        try {
            curator.setData().withVersion(stat.getVersion()).forPath(path, mine.getBytes());
        } catch (KeeperException.BadVersionException e) {
            // The first try was done and its answer lost, or somebody else is in the lock.
            Scenarios.same(mine, new String(curator.getData().forPath(path)));
        }
        return null;
    }

    private static void everything(String path) throws Exception {
        List<CuratorFramework> curators = new ArrayList<>();
        List<Long> sessions = new ArrayList<>();
        List<GroupMember> members = new ArrayList<>();
        ConcurrentLinkedQueue<ConnectionState> states = new ConcurrentLinkedQueue<>();
        ConcurrentLinkedQueue<Throwable> failures = new ConcurrentLinkedQueue<>();
        AtomicBoolean stop = new AtomicBoolean();
        Turns locked = new Turns();
        Turns led = new Turns();
        List<Thread> threads = new ArrayList<>();
        for (int who = 0; who < CLIENTS; who++) {
            CuratorFramework curator = open();
            curators.add(curator);
            sessions.add(curator.getZookeeperClient().getZooKeeper().getSessionId());
            curator.getConnectionStateListenable().addListener((client, state) -> states.add(state));
            if (who == 0) {
                curator.create().creatingParentsIfNeeded().forPath(path + "/count", "0 nobody".getBytes());
            }
            GroupMember member = new GroupMember(curator, path + "/group", "member " + who);
            member.start();
            members.add(member);
            threads.add(contender(curator, path, who, locked, stop, failures));
            candidate(curator, path, who, led);
        }
        threads.forEach(Thread::start);
        locked.waitForMore(1);
        led.waitForMore(1);

        System.out.println("ready");
        patiently("the faults end", 240, () -> Files.exists(Path.of("over")));
        locked.waitForMore(TURNS_AFTER);
        led.waitForMore(TURNS_AFTER);
        stop.set(true);
        for (Thread thread : threads) {
            thread.join(TimeUnit.SECONDS.toMillis(PATIENCE_S));
            Scenarios.check(!thread.isAlive(), "the thread ends");
        }

        Scenarios.check(failures.isEmpty(), failures);
        Scenarios.check(!states.contains(ConnectionState.LOST), states);
        Scenarios.same(0, locked.together.get());
        Scenarios.same(0, led.together.get());
        for (int who = 0; who < CLIENTS; who++) {
            Scenarios.same(sessions.get(who), curators.get(who).getZookeeperClient().getZooKeeper().getSessionId());
            GroupMember member = members.get(who);
            patiently("all members are seen", PATIENCE_S, () -> member.getCurrentMembers().size() == CLIENTS);
        }
        String counted = new String(curators.get(0).getData().forPath(path + "/count")).split(" ")[0];
        Scenarios.same(String.valueOf(locked.sum()), counted);
    }

    private static Thread contender(CuratorFramework curator, String path, int who, Turns turns,
            AtomicBoolean stop, ConcurrentLinkedQueue<Throwable> failures) {
        InterProcessMutex mutex = new InterProcessMutex(curator, path + "/lock");
        return new Thread(() -> {
            try {
                while (!stop.get()) {
                    Scenarios.check(mutex.acquire(PATIENCE_S, TimeUnit.SECONDS), "locked");
                    turns.take(who, () -> count(curator, path + "/count", who));
                    mutex.release();
                    Thread.sleep(10);
                }
            } catch (Throwable failure) {
                failures.add(failure);
            }
        });
    }

    private static void candidate(CuratorFramework curator, String path, int who, Turns turns) {
        LeaderSelector selector = new LeaderSelector(curator, path + "/election", new LeaderSelectorListenerAdapter() {
            @Override
            public void takeLeadership(CuratorFramework client) throws Exception {
                turns.take(who, () -> {
                    Thread.sleep(20);
                    return null;
                });
            }
        });
        selector.autoRequeue();
        selector.start();
    }
}
