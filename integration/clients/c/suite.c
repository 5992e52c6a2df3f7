/* The multi-threaded C client: synchronous and asynchronous calls, transactions, watches, auth.
 * Prints `ok NAME` or `FAIL NAME: why` for each scenario. */

#include <pthread.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <zookeeper/zookeeper.h>

#define PATIENCE_S 20
#define EVENTS_MAX 64

static const char *hosts;
static const char *scenario;
static jmp_buf abandon;
static int failures;

static void check_at(int line, int holds, const char *what, long got) {
    if (holds) {
        return;
    }
    printf("FAIL %s: line %d: %s (got %ld)\n", scenario, line, what, got);
    failures++;
    longjmp(abandon, 1);
}

#define CHECK(condition) check_at(__LINE__, (condition), #condition, 0)
#define CHECK_RC(call, expected)                                            \
    do {                                                                    \
        int rc_ = (call);                                                   \
        check_at(__LINE__, rc_ == (expected), #call " is " #expected, rc_); \
    } while (0)

/* What watchers and completions have seen; they run on the client's own threads. */
struct seen {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int count;
    int types[EVENTS_MAX];
    char paths[EVENTS_MAX][256];
    int rcs[EVENTS_MAX];
    char text[EVENTS_MAX][256];
};

static struct seen *new_seen(void) {
    struct seen *seen = calloc(1, sizeof *seen);
    pthread_mutex_init(&seen->lock, NULL);
    pthread_cond_init(&seen->changed, NULL);
    return seen;
}

static void note(struct seen *seen, int type, const char *path, int rc, const char *text, int len) {
    pthread_mutex_lock(&seen->lock);
    if (seen->count < EVENTS_MAX) {
        int at = seen->count++;
        seen->types[at] = type;
        seen->rcs[at] = rc;
        snprintf(seen->paths[at], sizeof seen->paths[at], "%s", path ? path : "");
        snprintf(seen->text[at], sizeof seen->text[at], "%.*s", len, text ? text : "");
    }
    pthread_cond_broadcast(&seen->changed);
    pthread_mutex_unlock(&seen->lock);
}

static void wait_for(struct seen *seen, int count) {
    struct timespec deadline;
    clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += PATIENCE_S;
    pthread_mutex_lock(&seen->lock);
    int late = 0;
    while (seen->count < count && !late) {
        late = pthread_cond_timedwait(&seen->changed, &seen->lock, &deadline);
    }
    int have = seen->count;
    pthread_mutex_unlock(&seen->lock);
    check_at(__LINE__, have >= count, "as many events as awaited", have);
}

static void watcher(zhandle_t *zh, int type, int state, const char *path, void *context) {
    (void)zh;
    if (type != ZOO_SESSION_EVENT) {
        note(context, type, path, state, NULL, 0);
    }
}

static void session_watcher(zhandle_t *zh, int type, int state, const char *path, void *context) {
    (void)zh;
    (void)path;
    if (type == ZOO_SESSION_EVENT && context && state == ZOO_CONNECTED_STATE) {
        note(context, type, "", state, NULL, 0);
    }
}

static zhandle_t *open_as(const clientid_t *session) {
    struct seen *seen = new_seen();
    zhandle_t *zh = zookeeper_init(hosts, session_watcher, 8000, session, seen, 0);
    CHECK(zh != NULL);
    wait_for(seen, 1);
    return zh;
}

static zhandle_t *open_client(void) {
    return open_as(NULL);
}

static void make(zhandle_t *zh, const char *path, const char *data) {
    CHECK_RC(zoo_create(zh, path, data, strlen(data), &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZOK);
}

static void synchronous_calls(void) {
    zhandle_t *zh = open_client();
    char made[64], data[64];
    int len = sizeof data;
    struct Stat stat;
    CHECK_RC(zoo_create(zh, "/sync", "one", 3, &ZOO_OPEN_ACL_UNSAFE, 0, made, sizeof made), ZOK);
    CHECK(strcmp(made, "/sync") == 0);
    CHECK_RC(zoo_get(zh, "/sync", 0, data, &len, &stat), ZOK);
    CHECK(len == 3 && memcmp(data, "one", 3) == 0 && stat.version == 0 && stat.dataLength == 3);
    CHECK_RC(zoo_set2(zh, "/sync", "three", 5, 0, &stat), ZOK);
    CHECK(stat.version == 1 && stat.mzxid > stat.czxid);
    CHECK_RC(zoo_set(zh, "/sync", "x", 1, 0), ZBADVERSION);
    CHECK_RC(zoo_exists(zh, "/sync", 0, &stat), ZOK);
    CHECK(stat.dataLength == 5);
    CHECK_RC(zoo_exists(zh, "/missing", 0, &stat), ZNONODE);
    CHECK_RC(zoo_create(zh, "/sync", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZNODEEXISTS);
    make(zh, "/sync/child", "");
    struct String_vector children = {0, NULL};
    CHECK_RC(zoo_get_children2(zh, "/sync", 0, &children, &stat), ZOK);
    CHECK(children.count == 1 && strcmp(children.data[0], "child") == 0 && stat.numChildren == 1);
    deallocate_String_vector(&children);
    CHECK_RC(zoo_delete(zh, "/sync", -1), ZNOTEMPTY);
    CHECK_RC(zoo_delete(zh, "/sync/child", 3), ZBADVERSION);
    CHECK_RC(zoo_delete(zh, "/sync/child", 0), ZOK);
    CHECK_RC(zoo_delete(zh, "/sync", -1), ZOK);
    zookeeper_close(zh);
}

static void null_data_is_not_empty_data(void) {
    zhandle_t *zh = open_client();
    char data[8];
    int len = sizeof data;
    CHECK_RC(zoo_create(zh, "/null", NULL, -1, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0), ZOK);
    CHECK_RC(zoo_get(zh, "/null", 0, data, &len, NULL), ZOK);
    check_at(__LINE__, len == -1, "null data comes back as null", len);
    CHECK_RC(zoo_set(zh, "/null", "", 0, -1), ZOK);
    len = sizeof data;
    CHECK_RC(zoo_get(zh, "/null", 0, data, &len, NULL), ZOK);
    check_at(__LINE__, len == 0, "empty data comes back as empty", len);
    zookeeper_close(zh);
}

static void sequential_and_ephemeral(void) {
    zhandle_t *zh = open_client(), *other = open_client();
    char made[64];
    struct Stat stat;
    make(zh, "/seq", "");
    int both = ZOO_EPHEMERAL | ZOO_SEQUENCE;
    CHECK_RC(zoo_create(zh, "/seq/n-", "", 0, &ZOO_OPEN_ACL_UNSAFE, both, made, sizeof made), ZOK);
    CHECK(strcmp(made, "/seq/n-0000000000") == 0);
    CHECK_RC(zoo_exists(other, made, 0, &stat), ZOK);
    CHECK(stat.ephemeralOwner == zoo_client_id(zh)->client_id);
    CHECK_RC(zoo_create(zh, "/seq/n-0000000000/x", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0),
             ZNOCHILDRENFOREPHEMERALS);
    zookeeper_close(zh);
    CHECK_RC(zoo_exists(other, made, 0, &stat), ZNONODE);
    zookeeper_close(other);
}

static void containers_and_stat_of_creation(void) {
    zhandle_t *zh = open_client();
    char made[64];
    struct Stat stat;
    CHECK_RC(zoo_create2(zh, "/box", "ab", 2, &ZOO_OPEN_ACL_UNSAFE, ZOO_CONTAINER, made, sizeof made,
                         &stat), ZOK);
    CHECK(stat.ephemeralOwner == 0 && stat.dataLength == 2);
    zookeeper_close(zh);
}

static void on_string(int rc, const char *value, const void *context) {
    note((struct seen *)context, 1, NULL, rc, value, value ? (int)strlen(value) : 0);
}

static void on_data(int rc, const char *value, int len, const struct Stat *stat, const void *context) {
    note((struct seen *)context, 2, NULL, rc, value, rc == ZOK ? len : 0);
    (void)stat;
}

static void on_stat(int rc, const struct Stat *stat, const void *context) {
    char version[16] = "";
    if (rc == ZOK) {
        snprintf(version, sizeof version, "%d", stat->version);
    }
    note((struct seen *)context, 3, NULL, rc, version, (int)strlen(version));
}

static void on_strings(int rc, const struct String_vector *strings, const void *context) {
    const char *first = rc == ZOK && strings->count == 1 ? strings->data[0] : "";
    note((struct seen *)context, 4, NULL, rc, first, (int)strlen(first));
}

static void on_void(int rc, const void *context) {
    note((struct seen *)context, 5, NULL, rc, NULL, 0);
}

static void asynchronous_calls_complete_in_order(void) {
    zhandle_t *zh = open_client();
    struct seen *seen = new_seen();
    CHECK_RC(zoo_acreate(zh, "/async", "1", 1, &ZOO_OPEN_ACL_UNSAFE, 0, on_string, seen), ZOK);
    CHECK_RC(zoo_acreate(zh, "/async/c", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, on_string, seen), ZOK);
    CHECK_RC(zoo_aget(zh, "/async", 0, on_data, seen), ZOK);
    CHECK_RC(zoo_aset(zh, "/async", "22", 2, 0, on_stat, seen), ZOK);
    CHECK_RC(zoo_aget(zh, "/async", 0, on_data, seen), ZOK);
    CHECK_RC(zoo_aget_children(zh, "/async", 0, on_strings, seen), ZOK);
    CHECK_RC(zoo_async(zh, "/async", on_string, seen), ZOK);
    CHECK_RC(zoo_adelete(zh, "/async", -1, on_void, seen), ZOK);
    CHECK_RC(zoo_adelete(zh, "/async/c", -1, on_void, seen), ZOK);
    CHECK_RC(zoo_aexists(zh, "/async/c", 0, on_stat, seen), ZOK);
    static const int types[] = {1, 1, 2, 3, 2, 4, 1, 5, 5, 3};
    static const int rcs[] = {ZOK, ZOK, ZOK, ZOK, ZOK, ZOK, ZOK, ZNOTEMPTY, ZOK, ZNONODE};
    static const char *texts[] = {"/async", "/async/c", "1", "1", "22", "c", "/async", "", "", ""};
    wait_for(seen, 10);
    for (int at = 0; at < 10; at++) {
        check_at(__LINE__, seen->types[at] == types[at], "the order of the calls", at);
        check_at(__LINE__, seen->rcs[at] == rcs[at], "the right result", seen->rcs[at]);
        check_at(__LINE__, strcmp(seen->text[at], texts[at]) == 0, seen->text[at], at);
    }
    zookeeper_close(zh);
}

static void a_transaction_does_all(void) {
    zhandle_t *zh = open_client();
    char one[64], two[64];
    struct Stat stat;
    zoo_op_t ops[5];
    zoo_op_result_t results[5];
    zoo_create_op_init(&ops[0], "/multi", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, one, sizeof one);
    zoo_create_op_init(&ops[1], "/multi/s", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_SEQUENCE, two, sizeof two);
    zoo_set_op_init(&ops[2], "/multi", "new", 3, 0, &stat);
    zoo_check_op_init(&ops[3], "/multi", 1);
    zoo_delete_op_init(&ops[4], "/multi/s0000000000", -1);
    CHECK_RC(zoo_multi(zh, 5, ops, results), ZOK);
    CHECK(strcmp(one, "/multi") == 0 && strcmp(two, "/multi/s0000000000") == 0);
    CHECK(stat.version == 1);
    for (int at = 0; at < 5; at++) {
        CHECK_RC(results[at].err, ZOK);
    }
    CHECK_RC(zoo_exists(zh, "/multi", 0, &stat), ZOK);
    CHECK(stat.numChildren == 0 && stat.cversion == 2);
    zookeeper_close(zh);
}

static void a_failed_transaction_does_nothing(void) {
    zhandle_t *zh = open_client();
    zoo_op_t ops[3];
    zoo_op_result_t results[3];
    zoo_create_op_init(&ops[0], "/half", "", 0, &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
    zoo_check_op_init(&ops[1], "/half", 7);
    zoo_delete_op_init(&ops[2], "/half", -1);
    CHECK_RC(zoo_multi(zh, 3, ops, results), ZBADVERSION);
    CHECK_RC(results[0].err, ZOK);
    CHECK_RC(results[1].err, ZBADVERSION);
    CHECK_RC(results[2].err, ZRUNTIMEINCONSISTENCY);
    CHECK_RC(zoo_exists(zh, "/half", 0, NULL), ZNONODE);
    zookeeper_close(zh);
}

static void watches_fire_once_for_what_they_watch(void) {
    zhandle_t *zh = open_client(), *other = open_client();
    struct seen *seen = new_seen();
    char data[8];
    int len = sizeof data;
    CHECK_RC(zoo_wexists(zh, "/w", watcher, seen, NULL), ZNONODE);
    make(other, "/w", "");
    wait_for(seen, 1);
    CHECK(seen->types[0] == ZOO_CREATED_EVENT && strcmp(seen->paths[0], "/w") == 0);
    CHECK_RC(zoo_wget(zh, "/w", watcher, seen, data, &len, NULL), ZOK);
    CHECK_RC(zoo_set(other, "/w", "1", 1, -1), ZOK);
    CHECK_RC(zoo_set(other, "/w", "2", 1, -1), ZOK);
    wait_for(seen, 2);
    CHECK(seen->types[1] == ZOO_CHANGED_EVENT);
    struct String_vector children = {0, NULL};
    CHECK_RC(zoo_wget_children(zh, "/w", watcher, seen, &children), ZOK);
    deallocate_String_vector(&children);
    make(other, "/w/x", "");
    wait_for(seen, 3);
    CHECK(seen->types[2] == ZOO_CHILD_EVENT && strcmp(seen->paths[2], "/w") == 0);
    CHECK_RC(zoo_wexists(zh, "/w/x", watcher, seen, NULL), ZOK);
    CHECK_RC(zoo_delete(other, "/w/x", -1), ZOK);
    wait_for(seen, 4);
    CHECK(seen->types[3] == ZOO_DELETED_EVENT && strcmp(seen->paths[3], "/w/x") == 0);
    CHECK_RC(zoo_exists(zh, "/w", 0, NULL), ZOK);
    CHECK(seen->count == 4);
    zookeeper_close(zh);
    zookeeper_close(other);
}

static void a_removed_watch_is_silent(void) {
    zhandle_t *zh = open_client();
    struct seen *seen = new_seen();
    make(zh, "/unwatch", "");
    CHECK_RC(zoo_wexists(zh, "/unwatch", watcher, seen, NULL), ZOK);
    CHECK_RC(zoo_remove_watches(zh, "/unwatch", ZWATCHTYPE_DATA, watcher, seen, 0), ZOK);
    CHECK_RC(zoo_set(zh, "/unwatch", "1", 1, -1), ZOK);
    CHECK_RC(zoo_exists(zh, "/unwatch", 0, NULL), ZOK);
    for (int at = 0; at < seen->count; at++) {
        CHECK(seen->types[at] != ZOO_CHANGED_EVENT);
    }
    CHECK_RC(zoo_remove_watches(zh, "/unwatch", ZWATCHTYPE_DATA, watcher, seen, 0), ZNOWATCHER);
    zookeeper_close(zh);
}

static void acls_keep_strangers_out(void) {
    zhandle_t *owner = open_client(), *stranger = open_client();
    struct seen *seen = new_seen();
    CHECK_RC(zoo_add_auth(owner, "digest", "ann:pw", 6, on_void, seen), ZOK);
    wait_for(seen, 1);
    CHECK_RC(seen->rcs[0], ZOK);
    CHECK_RC(zoo_create(owner, "/mine", "1", 1, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0), ZOK);
    CHECK_RC(zoo_set(owner, "/mine", "2", 1, -1), ZOK);
    CHECK_RC(zoo_set(stranger, "/mine", "3", 1, -1), ZNOAUTH);
    char data[8];
    int len = sizeof data;
    CHECK_RC(zoo_get(stranger, "/mine", 0, data, &len, NULL), ZNOAUTH);
    struct ACL_vector acl = {0, NULL};
    struct Stat stat;
    CHECK_RC(zoo_get_acl(owner, "/mine", &acl, &stat), ZOK);
    CHECK(acl.count == 1 && acl.data[0].perms == ZOO_PERM_ALL);
    CHECK(strcmp(acl.data[0].id.scheme, "digest") == 0 && strncmp(acl.data[0].id.id, "ann:", 4) == 0);
    deallocate_ACL_vector(&acl);
    CHECK_RC(zoo_set_acl(owner, "/mine", 0, &ZOO_OPEN_ACL_UNSAFE), ZOK);
    CHECK_RC(zoo_set_acl(owner, "/mine", 0, &ZOO_OPEN_ACL_UNSAFE), ZBADVERSION);
    CHECK_RC(zoo_set(stranger, "/mine", "3", 1, -1), ZOK);
    CHECK_RC(zoo_create(stranger, "/empty", "", 0, &ZOO_CREATOR_ALL_ACL, 0, NULL, 0), ZINVALIDACL);
    zookeeper_close(owner);
    zookeeper_close(stranger);
}

static void an_unknown_auth_scheme_fails(void) {
    zhandle_t *zh = open_client();
    struct seen *seen = new_seen();
    CHECK_RC(zoo_add_auth(zh, "nonsense", "x", 1, on_void, seen), ZOK);
    wait_for(seen, 1);
    CHECK_RC(seen->rcs[0], ZAUTHFAILED);
    zookeeper_close(zh);
}

/* In a process of its own: creates an ephemeral, tells its session and dies without a farewell. */
static void die_with_an_ephemeral(int out) {
    zhandle_t *zh = open_client();
    CHECK_RC(zoo_create(zh, "/moved", "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_EPHEMERAL, NULL, 0), ZOK);
    ssize_t written = write(out, zoo_client_id(zh), sizeof(clientid_t));
    _exit(written == sizeof(clientid_t) ? 0 : 1);
}

static void a_session_moves_to_another_handle(void) {
    int ends[2];
    CHECK_RC(pipe(ends), 0);
    if (fork() == 0) {
        die_with_an_ephemeral(ends[1]);
    }
    clientid_t session;
    CHECK(read(ends[0], &session, sizeof session) == sizeof session);
    CHECK(wait(NULL) > 0);
    zhandle_t *heir = open_as(&session), *witness = open_client();
    CHECK(zoo_client_id(heir)->client_id == session.client_id);
    CHECK_RC(zoo_exists(heir, "/moved", 0, NULL), ZOK);
    zookeeper_close(heir);
    CHECK_RC(zoo_exists(witness, "/moved", 0, NULL), ZNONODE);
    zookeeper_close(witness);
}

static void reconfig_is_disabled(void) {
    zhandle_t *zh = open_client();
    char config[256];
    int len = sizeof config;
    struct Stat stat;
    CHECK_RC(zoo_getconfig(zh, 0, config, &len, &stat), ZOK);
    int rc = zoo_reconfig(zh, NULL, "3", NULL, -1, config, &len, &stat);
    check_at(__LINE__, rc == ZRECONFIGDISABLED || rc == ZUNIMPLEMENTED, "reconfig is refused", rc);
    zookeeper_close(zh);
}

#define RUN(function)                     \
    do {                                  \
        scenario = #function;             \
        if (setjmp(abandon) == 0) {       \
            function();                   \
            printf("ok %s\n", #function); \
        }                                 \
        fflush(stdout);                   \
    } while (0)

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s HOST:PORT\n", argv[0]);
        return 2;
    }
    hosts = argv[1];
    zoo_set_debug_level(0);
    RUN(synchronous_calls);
    RUN(null_data_is_not_empty_data);
    RUN(sequential_and_ephemeral);
    RUN(containers_and_stat_of_creation);
    RUN(asynchronous_calls_complete_in_order);
    RUN(a_transaction_does_all);
    RUN(a_failed_transaction_does_nothing);
    RUN(watches_fire_once_for_what_they_watch);
    RUN(a_removed_watch_is_silent);
    RUN(acls_keep_strangers_out);
    RUN(an_unknown_auth_scheme_fails);
    RUN(a_session_moves_to_another_handle);
    RUN(reconfig_is_disabled);
    return failures ? 1 : 0;
}
