//! Keys that have no meaning here: accepted, each with the reason.

use super::{Key, ignore, ignore_unless};

const LOG: &str = "the log has no files of a fixed size and needs no room set aside by hand";
const BATCH: &str = "batches form by themselves while the previous one is being flushed";
const CACHE: &str = "replies are encoded straight from memory, so there is no cache of them";
const CHECKPOINT: &str = "a checkpoint replaces the previous one, so there are no old files";
const THREADS: &str = "connections share one pool of threads, one for each processor";
const PIPELINE: &str = "requests do not pass through ZooKeeper's processors and their threads";
const NETTY: &str = "there is one network layer, and it is neither NIO nor Netty";
const WATCHES: &str = "watches are kept in one compact table that needs no cleaning";
const ELECTION: &str = "Raft elects the leader with timings of its own";
const REPLICATION: &str = "Raft brings followers up to date with a protocol of its own";
const JVM: &str = "there is no Java virtual machine that could pause";
const OBSERVER: &str = "an observer is brought up to date as every other follower is";
const QUORUM_SASL: &str = "SASL between servers is off";
const DIGEST: &str = "a digest of the tree is always kept";
const METRICS: &str = "metrics are served by the same threads as everything else";
const SHUTDOWN: &str = "shutting down does not wait for worker threads";
const PATH_STATS: &str = "statistics by path are not kept";
const MESSAGES: &str = "the last messages between servers are not kept in a buffer";

const LOCAL_SESSIONS: &str = "a server on its own has only global sessions, as in ZooKeeper";
const NO_SNAPSHOT: &str = "the commands snapshot and restore are not there yet and answer 503";

pub(super) static KEYS: &[Key] = &[
    ignore("preAllocSize", "65536", LOG),
    ignore("txnLogSizeLimitInKb", "-1", LOG),
    ignore("snapSizeLimitInKb", "4194304", "checkpoints are taken by the number of entries"),
    ignore("commitLogCount", "500", REPLICATION),
    ignore("snapshotSizeFactor", "0.33", REPLICATION),
    ignore("forceSnapshotSync", "false", REPLICATION),
    ignore("maxResponseCacheSize", "400", CACHE),
    ignore("maxGetChildrenResponseCacheSize", "400", CACHE),
    ignore("bitHashCacheSize", "10", WATCHES),
    ignore("autopurge.snapRetainCount", "3", CHECKPOINT),
    ignore("autopurge.purgeInterval", "0", CHECKPOINT),
    ignore("snapshot.compression.method", "gz", "a checkpoint is a database and not a file"),
    ignore("snapshot.trust.empty", "false", "the log says by itself whether it is complete"),
    ignore("serializeLastProcessedZxid.enabled", "true", "every checkpoint holds the last zxid"),
    ignore("intBufferStartingSizeBytes", "4", LOG),
    ignore_unless("forceSync", "yes", "a write is always on disk before it is acknowledged"),
    ignore_unless("digest.enabled", "true", DIGEST),
    ignore_unless("closeSessionTxn.enabled", "true", "ending a session is always one transaction"),
    ignore_unless("localSessionsEnabled", "false", LOCAL_SESSIONS),
    ignore_unless("localSessionsUpgradingEnabled", "false", LOCAL_SESSIONS),
    ignore("connection_throttle_local_session_weight", "1", LOCAL_SESSIONS),
    ignore_unless(
        "request_stale_connection_check",
        "true",
        "waiting requests always go with their connection",
    ),
    ignore(
        "jute.maxbuffer.extrasize",
        "1048575",
        "a string is part of a packet, and jute.maxbuffer bounds packets",
    ),
    ignore("emulate353TTLNodes", "false", "no data of ZooKeeper 3.5.3 is read"),
    ignore("watchManagerName", "org.apache.zookeeper.server.watch.WatchManagerOptimized", WATCHES),
    ignore("watcherCleanThreadsNum", "2", WATCHES),
    ignore("watcherCleanThreshold", "1000", WATCHES),
    ignore("watcherCleanIntervalInSeconds", "600", WATCHES),
    ignore("maxInProcessingDeadWatchers", "-1", WATCHES),
    ignore("flushDelay", "0", BATCH),
    ignore("maxWriteQueuePollTime", "0", BATCH),
    ignore("maxBatchSize", "1000", BATCH),
    ignore("serverCnxnFactory", "org.apache.zookeeper.server.NettyServerCnxnFactory", NETTY),
    ignore("netty.advancedFlowControl.enabled", "false", NETTY),
    ignore("netty.server.outstandingHandshake.limit", "-1", NETTY),
    ignore("netty.server.earlyDropSecureConnectionHandshakes", "false", NETTY),
    ignore("nio.directBufferBytes", "65536", NETTY),
    ignore("nio.numSelectorThreads", "2", THREADS),
    ignore("nio.numWorkerThreads", "8", THREADS),
    ignore("nio.shutdownTimeout", "5000", SHUTDOWN),
    ignore("commitProcessor.numWorkerThreads", "4", PIPELINE),
    ignore("commitProcessor.maxReadBatchSize", "-1", PIPELINE),
    ignore("commitProcessor.maxCommitBatchSize", "1", PIPELINE),
    ignore("commitProcessor.shutdownTimeout", "60000", SHUTDOWN),
    ignore("request_throttler.shutdownTimeout", "10000", SHUTDOWN),
    ignore("follower.skipLearnerRequestToNextProcessor", "false", PIPELINE),
    ignore("forward_learner_requests_to_commit_processor_disabled", "false", PIPELINE),
    ignore("jvm.pause.monitor", "false", JVM),
    ignore("jvm.pause.sleep.time.ms", "500", JVM),
    ignore("jvm.pause.info-threshold.ms", "1000", JVM),
    ignore("jvm.pause.warn-threshold.ms", "10000", JVM),
    ignore("fastleader.minNotificationInterval", "200", ELECTION),
    ignore("fastleader.maxNotificationInterval", "60000", ELECTION),
    ignore("electionPortBindRetry", "3", ELECTION),
    ignore("quorumCnxnTimeoutMs", "-1", ELECTION),
    ignore("quorum.cnxn.threads.size", "20", ELECTION),
    ignore("leader.maxTimeToWaitForEpoch", "-1", ELECTION),
    ignore("leader.maxConcurrentSnapSyncs", "10", REPLICATION),
    ignore("leader.maxConcurrentDiffSyncs", "100", REPLICATION),
    ignore("leader.ackLoggingFrequency", "1000", REPLICATION),
    ignore("leader.closeSocketAsync", "false", REPLICATION),
    ignore("leader.nodelay", "true", REPLICATION),
    ignore("follower.nodelay", "true", REPLICATION),
    ignore("learner.asyncSending", "false", REPLICATION),
    ignore("learner.closeSocketAsync", "false", REPLICATION),
    ignore("connectToLearnerMasterLimit", "10", REPLICATION),
    ignore("leaderConnectDelayDuringRetryMs", "100", REPLICATION),
    ignore_unless("leaderServes", "yes", "a leader serves clients too: its reads cost it little"),
    ignore("multiAddress.reachabilityCheckEnabled", "true", "a server has one address"),
    ignore("multiAddress.reachabilityCheckTimeoutMs", "1000", "a server has one address"),
    ignore("peerType", "participant", "the line server.N says whether a server votes"),
    ignore("observerMasterPort", "2191", OBSERVER),
    ignore("observerMaster.sizeLimit", "33554432", OBSERVER),
    ignore("observer.reconnectDelayMs", "0", OBSERVER),
    ignore("observer.election.DelayMs", "200", OBSERVER),
    ignore("observer.syncEnabled", "true", OBSERVER),
    ignore("syncEnabled", "true", OBSERVER),
    ignore("quorum.auth.learner.saslLoginContext", "QuorumLearner", QUORUM_SASL),
    ignore("quorum.auth.server.saslLoginContext", "QuorumServer", QUORUM_SASL),
    ignore("kinit", "/usr/bin/kinit", "no Kerberos ticket is ever needed"),
    ignore("fips-mode", "true", "it chooses among Java's TLS providers"),
    ignore("audit.impl.class", "com.example.Audit", "the audit log is off"),
    ignore("admin.snapshot.enabled", "true", NO_SNAPSHOT),
    ignore("admin.restore.enabled", "true", NO_SNAPSHOT),
    ignore("admin.rateLimiterIntervalInMS", "300000", NO_SNAPSHOT),
    ignore("admin.httpVersion", "11", "the administration server speaks HTTP/1.1"),
    ignore("metricsProvider.exportJvmInfo", "true", "there is no Java virtual machine to report"),
    ignore("metricsProvider.numWorkerThreads", "1", METRICS),
    ignore("metricsProvider.maxQueueSize", "1000000", METRICS),
    ignore("metricsProvider.workerShutdownTimeoutMs", "1000", SHUTDOWN),
    ignore("metricsProvider.ssl.*", "need", "metrics are served without TLS"),
    ignore("pathStats.enabled", "false", PATH_STATS),
    ignore("pathStats.delay", "5", PATH_STATS),
    ignore("pathStats.initialDelay", "5", PATH_STATS),
    ignore("pathStats.maxDepth", "6", PATH_STATS),
    ignore("pathStats.sampleRate", "0.1", PATH_STATS),
    ignore("pathStats.slotCapacity", "60", PATH_STATS),
    ignore("pathStats.slotDuration", "15", PATH_STATS),
    ignore("pathStats.topPathMax", "20", PATH_STATS),
    ignore("messageTracker.Enabled", "false", MESSAGES),
    ignore("messageTracker.BufferSize", "10", MESSAGES),
];
