import java.nio.charset.StandardCharsets;
import java.util.concurrent.TimeUnit;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreMutex;
import org.apache.curator.retry.RetryForever;
import org.apache.zookeeper.data.Stat;

/** Takes turns at the same locks with the Rust client, see tests/clients/java.rs. */
public final class LockSuite {
    private static final int ROUNDS = 25;

    private static String hosts;

    private LockSuite() {
    }

    public static void main(String[] arguments) {
        hosts = arguments[0];
        Scenarios all = new Scenarios();
        all.add("turns_at_a_mutex", path -> {
            CuratorFramework curator = open();
            InterProcessMutex mutex = new InterProcessMutex(curator, "/interop/mutex/lock");
            takeTurns(curator, "/interop/mutex/count", mutex::acquire, mutex::release);
        });
        all.add("turns_at_a_write_lock", path -> {
            CuratorFramework curator = open();
            InterProcessReadWriteLock lock =
                new InterProcessReadWriteLock(curator, "/interop/write/lock");
            takeTurns(curator, "/interop/write/count",
                lock.writeLock()::acquire, lock.writeLock()::release);
        });
        all.add("turns_at_a_semaphore_of_one", path -> {
            CuratorFramework curator = open();
            InterProcessSemaphoreMutex semaphore =
                new InterProcessSemaphoreMutex(curator, "/interop/semaphore/lock");
            takeTurns(curator, "/interop/semaphore/count", semaphore::acquire, semaphore::release);
        });
        all.runAndExit();
    }

    /** One of the two things that happen to a lock. */
    private interface Step {
        void run() throws Exception;
    }

    private static CuratorFramework open() throws Exception {
        CuratorFramework curator = CuratorFrameworkFactory.builder()
            .connectString(hosts).sessionTimeoutMs(10_000).connectionTimeoutMs(10_000)
            .retryPolicy(new RetryForever(100)).build();
        curator.start();
        Scenarios.check(curator.blockUntilConnected(Scenarios.PATIENCE_S, TimeUnit.SECONDS), "connected");
        return curator;
    }

    private static void takeTurns(CuratorFramework curator, String count, Step acquire, Step release)
        throws Exception {
        while (curator.checkExists().forPath(count) == null) {
            Thread.sleep(10);
        }
        for (int round = 0; round < ROUNDS; round++) {
            acquire.run();
            try {
                Stat stat = new Stat();
                byte[] value = curator.getData().storingStatIn(stat).forPath(count);
                int next = Integer.parseInt(new String(value, StandardCharsets.UTF_8)) + 1;
                // Were anyone else under the lock, the version would be wrong.
                curator.setData().withVersion(stat.getVersion())
                    .forPath(count, Integer.toString(next).getBytes(StandardCharsets.UTF_8));
            } finally {
                release.run();
            }
        }
    }
}
