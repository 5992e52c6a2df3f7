import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.Callable;
import java.util.concurrent.TimeUnit;

/** Runs scenarios one by one and prints a line for each: `ok NAME`, or `FAIL NAME: why`. */
final class Scenarios {
    static final int PATIENCE_S = 20;

    /** One scenario: it is given a path of its own. */
    interface Body {
        void run(String path) throws Exception;
    }

    private final Map<String, Body> all = new LinkedHashMap<>();

    void add(String name, Body body) {
        if (all.put(name, body) != null) {
            throw new IllegalArgumentException("twice: " + name);
        }
    }

    void runAndExit() {
        int failed = 0;
        for (Map.Entry<String, Body> entry : all.entrySet()) {
            try {
                entry.getValue().run("/" + entry.getKey());
                System.out.println("ok " + entry.getKey());
            } catch (Throwable failure) {
                failed++;
                System.out.println("FAIL " + entry.getKey() + ": " + failure);
                failure.printStackTrace(System.out);
            }
        }
        System.out.flush();
        Runtime.getRuntime().halt(failed == 0 ? 0 : 1);
    }

    static void check(boolean holds, Object what) {
        if (!holds) {
            throw new AssertionError(String.valueOf(what));
        }
    }

    static void same(Object expected, Object got) {
        if (!expected.equals(got)) {
            throw new AssertionError("expected " + expected + ", got " + got);
        }
    }

    static <E extends Throwable> E raises(Class<E> kind, Callable<?> call) throws Exception {
        Object answer;
        try {
            answer = call.call();
        } catch (Throwable raised) {
            if (kind.isInstance(raised)) {
                return kind.cast(raised);
            }
            throw new AssertionError("expected " + kind.getSimpleName(), raised);
        }
        throw new AssertionError("expected " + kind.getSimpleName() + ", got " + answer);
    }

    static void eventually(String what, Callable<Boolean> probe) throws Exception {
        long deadline = System.nanoTime() + TimeUnit.SECONDS.toNanos(PATIENCE_S);
        while (!probe.call()) {
            check(System.nanoTime() < deadline, "waited in vain: " + what);
            Thread.sleep(10);
        }
    }

    static <T> T take(BlockingQueue<T> queue) throws InterruptedException {
        T item = queue.poll(PATIENCE_S, TimeUnit.SECONDS);
        check(item != null, "waited in vain for an event");
        return item;
    }
}
