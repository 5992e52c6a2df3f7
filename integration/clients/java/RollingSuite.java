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
import java.util.function.Supplier;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.leader.CancelLeadershipException;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListener;
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
                patiently(() -> "client " + client + " has its turn, " + taken, PATIENCE_S,
                    () -> taken.get(client) >= goal);
            }
        }
    }

    private static void patiently(Supplier<String> what, int seconds, Callable<Boolean> probe) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
        while (!probe.call()) {
            if (System.nanoTime() > deadline) {
                throw new AssertionError("waited in vain: " + what.get());
            }
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
        all.add("lock_election_and_group_live_on", path -> {
            try {
                everything(path);
            } catch (Throwable failure) {
                describe(path);
                throw failure;
            }
        });
        all.runAndExit();
    }

    /** Prints who waits for whom: the contenders' nodes with their owners, and what each thread does. */
    private static void describe(String path) throws Exception {
        CuratorFramework curator = open();
        for (String kind : List.of("/lock", "/election")) {
            for (String child : curator.getChildren().forPath(path + kind)) {
                Stat stat = curator.checkExists().forPath(path + kind + "/" + child);
                System.out.println(kind + " " + child + " " + (stat == null ? "is gone" : "is of session 0x"
                    + Long.toHexString(stat.getEphemeralOwner()) + ", czxid 0x" + Long.toHexString(stat.getCzxid())));
            }
        }
        Thread.getAllStackTraces().forEach((thread, frames) -> {
            System.out.println(thread);
            for (StackTraceElement frame : frames) {
                System.out.println("    at " + frame);
            }
        });
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
        patiently(() -> "the faults end", 240, () -> Files.exists(Path.of("over")));
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
            patiently(() -> "all members are seen", PATIENCE_S, () -> member.getCurrentMembers().size() == CLIENTS);
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

    /**
     * Takes turns as leader. The listener ends nothing while its session may go on: Curator 5.4 forgets a
     * selector whose next turn is cancelled before it begins, even with `autoRequeue`.
     */
    private static void candidate(CuratorFramework curator, String path, int who, Turns turns) {
        LeaderSelector selector = new LeaderSelector(curator, path + "/election", new LeaderSelectorListener() {
            @Override
            public void stateChanged(CuratorFramework client, ConnectionState state) {
                if (state == ConnectionState.LOST) {
                    throw new CancelLeadershipException();
                }
            }

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
