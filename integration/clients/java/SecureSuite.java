import static org.apache.zookeeper.ZooDefs.Ids.CREATOR_ALL_ACL;
import static org.apache.zookeeper.ZooDefs.Ids.OPEN_ACL_UNSAFE;

import java.util.Collections;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.client.ZKClientConfig;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;

/** The plain Java client over TLS; keys are in the current folder. */
public final class SecureSuite {
    private static final byte[] NONE = {};
    private static String hosts;

    private SecureSuite() {
    }

    private static ZKClientConfig config(String key, String trust) {
        ZKClientConfig config = new ZKClientConfig();
        config.setProperty(ZKClientConfig.SECURE_CLIENT, "true");
        config.setProperty(ZKClientConfig.ZOOKEEPER_CLIENT_CNXN_SOCKET, "org.apache.zookeeper.ClientCnxnSocketNetty");
        config.setProperty("zookeeper.ssl.keyStore.location", key);
        config.setProperty("zookeeper.ssl.trustStore.location", trust);
        return config;
    }

    /** A client that is connected, or null when it is not in time. */
    private static ZooKeeper connect(ZKClientConfig config, int patience) throws Exception {
        CountDownLatch connected = new CountDownLatch(1);
        ZooKeeper zk = new ZooKeeper(hosts, 8000, event -> {
            if (event.getState() == KeeperState.SyncConnected) {
                connected.countDown();
            }
        }, config);
        if (connected.await(patience, TimeUnit.SECONDS)) {
            return zk;
        }
        zk.close();
        return null;
    }

    private static ZooKeeper connect(String key) throws Exception {
        ZooKeeper zk = connect(config(key, "trust.pem"), Scenarios.PATIENCE_S);
        Scenarios.check(zk != null, "not connected with " + key);
        return zk;
    }

    public static void main(String[] arguments) {
        hosts = arguments[0];
        Scenarios scenarios = new Scenarios();
        scenarios.add("data-of-many-packets", path -> {
            ZooKeeper zk = connect("ann.pem");
            zk.create(path, NONE, OPEN_ACL_UNSAFE, CreateMode.PERSISTENT);
            byte[] data = new byte[900_000];
            for (int at = 0; at < data.length; at++) {
                data[at] = (byte) (at * 31);
            }
            Stat stat = zk.setData(path, data, 0);
            Scenarios.check(java.util.Arrays.equals(data, zk.getData(path, false, stat)), "the data is the same");
            zk.close();
        });
        scenarios.add("an-owner-by-certificate", path -> {
            ZooKeeper ann = connect("ann.pem");
            ZooKeeper bob = connect("bob.pem");
            ann.create(path, NONE, CREATOR_ALL_ACL, CreateMode.PERSISTENT);
            List<ACL> acl = ann.getACL(path, new Stat());
            Scenarios.same(new Id("x509", "O=Example\\, Inc.,CN=ann"), acl.get(0).getId());
            Scenarios.raises(KeeperException.NoAuthException.class, () -> bob.getData(path, false, null));
            ann.setACL(path, Collections.singletonList(new ACL(1, new Id("x509", "O=Example\\, Inc.,CN=bob"))), 0);
            bob.getData(path, false, null);
            Scenarios.raises(KeeperException.NoAuthException.class, () -> bob.setData(path, NONE, -1));
            ann.close();
            bob.close();
        });
        scenarios.add("strangers-stay-outside", path -> {
            Scenarios.check(connect(config("stranger.pem", "trust.pem"), 3) == null, "a foreign certificate");
            Scenarios.check(connect(config("ann.pem", "others.pem"), 3) == null, "a server of nobody that is trusted");
        });
        scenarios.runAndExit();
    }
}
