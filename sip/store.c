#include "sip/store.h"

#include "conf/log.h"

#include <errno.h>
#include <pthread.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE_MAX 100000 /* changes waiting for a disk that hangs; above it they are lost */

struct change {
    STAILQ_ENTRY(change) entry;
    bool removed;
    char *phone;
    struct binding binding;
    int64_t expires_unix;
};
STAILQ_HEAD(changes, change);

struct store {
    sqlite3 *db; /* the writer thread's, once it runs */
    sqlite3_stmt *save, *remove;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t wake;
    struct changes queue;
    unsigned queued;
    bool stopping;
    bool complained;
};

static int complain(struct store *s, const char *what)
{
    log_error(LOG_SIP, NULL, "registrations: %s: %s", what, sqlite3_errmsg(s->db));
    return -EIO;
}

static const char *const schema =
    "PRAGMA journal_mode=WAL;"
    "PRAGMA synchronous=NORMAL;"
    "CREATE TABLE IF NOT EXISTS binding("
    " phone TEXT NOT NULL, contact TEXT NOT NULL, call_id TEXT NOT NULL, cseq INTEGER NOT NULL,"
    " path TEXT NOT NULL, user_agent TEXT NOT NULL, instance TEXT NOT NULL,"
    " remote TEXT NOT NULL, local TEXT NOT NULL, expires INTEGER NOT NULL,"
    " PRIMARY KEY(phone, contact)) WITHOUT ROWID;";

static bool is_sound(sqlite3 *db)
{
    sqlite3_stmt *check = NULL;
    bool sound = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &check, NULL) == SQLITE_OK &&
                 sqlite3_step(check) == SQLITE_ROW &&
                 !strcmp((const char *)sqlite3_column_text(check, 0), "ok");

    sqlite3_finalize(check);
    return sound && sqlite3_exec(db, schema, NULL, NULL, NULL) == SQLITE_OK;
}

static int try_open(struct store *s, const char *path)
{
    int err = sqlite3_open_v2(
        path, &s->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL);

    if (err != SQLITE_OK)
        return complain(s, path);
    sqlite3_busy_timeout(s->db, 2000);
    return is_sound(s->db) ? 0 : -EBADMSG;
}

/* A damaged file is kept for whoever wants to look, and its write-ahead log must not be applied to
 * the new one. */
static int set_aside(struct store *s, const char *path)
{
    static const char *const tails[] = {"", "-wal", "-shm"};
    char from[4096], to[4096];
    int err = 0;

    log_error(
        LOG_SIP, NULL,
        "registrations: %s is damaged (%s): renamed to %s.corrupt, starting with none; phones "
        "will register again by themselves",
        path, sqlite3_errmsg(s->db), path);
    sqlite3_close(s->db);
    s->db = NULL;
    for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
        if (snprintf(from, sizeof from, "%s%s", path, tails[i]) >= (int)sizeof from ||
            snprintf(to, sizeof to, "%s.corrupt%s", path, tails[i]) >= (int)sizeof to)
            return -ENAMETOOLONG;
        if (rename(from, to) && errno != ENOENT)
            err = -errno;
    }
    return err;
}

static void column_copy(sqlite3_stmt *row, int column, char *to, size_t size)
{
    const unsigned char *text = sqlite3_column_text(row, column);

    snprintf(to, size, "%s", text ? (const char *)text : "");
}

static bool read_row(sqlite3_stmt *row, struct binding *b)
{
    char address[ADDRESS_TEXT_MAX];

    memset(b, 0, sizeof *b);
    column_copy(row, 1, b->contact, sizeof b->contact);
    column_copy(row, 2, b->call_id, sizeof b->call_id);
    b->cseq = (uint32_t)sqlite3_column_int64(row, 3);
    column_copy(row, 4, b->path, sizeof b->path);
    column_copy(row, 5, b->user_agent, sizeof b->user_agent);
    column_copy(row, 6, b->instance, sizeof b->instance);
    column_copy(row, 7, address, sizeof address);
    if (address_parse(address, &b->flow.remote))
        return false;
    column_copy(row, 8, address, sizeof address);
    if (address_parse(address, &b->flow.local))
        return false;
    b->flow.transport = CONF_UDP;
    return true;
}

/* Only UDP bindings are kept: a TCP connection does not outlive us, and we cannot dial the phone.
 */
static int load(struct store *s, void (*each)(void *, const char *, struct binding *), void *ctx)
{
    sqlite3_stmt *rows = NULL;
    int64_t now = (int64_t)time(NULL);
    struct binding binding;

    if (sqlite3_exec(s->db, "DELETE FROM binding WHERE expires <= strftime('%s','now')", NULL, NULL,
                     NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(s->db,
                           "SELECT phone, contact, call_id, cseq, path, user_agent, instance,"
                           " remote, local, expires FROM binding ORDER BY expires",
                           -1, &rows, NULL) != SQLITE_OK)
        return complain(s, "cannot read");
    while (sqlite3_step(rows) == SQLITE_ROW) {
        if (!read_row(rows, &binding))
            continue;
        binding.expires_ms = (uint64_t)(sqlite3_column_int64(rows, 9) - now) * 1000;
        each(ctx, (const char *)sqlite3_column_text(rows, 0), &binding);
    }
    sqlite3_finalize(rows);
    return 0;
}

static int prepare(struct store *s)
{
    if (sqlite3_prepare_v2(s->db, "INSERT OR REPLACE INTO binding VALUES(?,?,?,?,?,?,?,?,?,?)", -1,
                           &s->save, NULL) != SQLITE_OK ||
        sqlite3_prepare_v2(s->db, "DELETE FROM binding WHERE phone = ? AND contact = ?", -1,
                           &s->remove, NULL) != SQLITE_OK)
        return complain(s, "cannot prepare");
    return 0;
}

static void bind_text(sqlite3_stmt *stmt, int index, const char *text)
{
    sqlite3_bind_text(stmt, index, text, -1, SQLITE_TRANSIENT);
}

static int write_change(struct store *s, const struct change *c)
{
    sqlite3_stmt *stmt = c->removed ? s->remove : s->save;
    char text[ADDRESS_TEXT_MAX];
    int err;

    bind_text(stmt, 1, c->phone);
    bind_text(stmt, 2, c->binding.contact);
    if (!c->removed) {
        bind_text(stmt, 3, c->binding.call_id);
        sqlite3_bind_int64(stmt, 4, c->binding.cseq);
        bind_text(stmt, 5, c->binding.path);
        bind_text(stmt, 6, c->binding.user_agent);
        bind_text(stmt, 7, c->binding.instance);
        bind_text(stmt, 8, address_format(&c->binding.flow.remote, text));
        bind_text(stmt, 9, address_format(&c->binding.flow.local, text));
        sqlite3_bind_int64(stmt, 10, c->expires_unix);
    }
    err = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    return err == SQLITE_DONE ? 0 : -EIO;
}

/* Writes a batch in one transaction. A full disk loses it: the phones will refresh. */
static void write_batch(struct store *s, struct changes *batch)
{
    struct change *c;
    bool failed = sqlite3_exec(s->db, "BEGIN", NULL, NULL, NULL) != SQLITE_OK;

    while ((c = STAILQ_FIRST(batch))) {
        STAILQ_REMOVE_HEAD(batch, entry);
        failed = failed || write_change(s, c);
        free(c->phone);
        free(c);
    }
    if (failed || sqlite3_exec(s->db, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        if (!s->complained)
            complain(s, "cannot write, a restart would lose bindings");
        s->complained = true;
        sqlite3_exec(s->db, "ROLLBACK", NULL, NULL, NULL);
    } else if (s->complained) {
        log_info(LOG_SIP, NULL, "registrations: can be written again");
        s->complained = false;
    }
}

static void *writer(void *arg)
{
    struct store *s = arg;
    struct changes batch;

    pthread_mutex_lock(&s->mutex);
    for (;;) {
        while (STAILQ_EMPTY(&s->queue) && !s->stopping)
            pthread_cond_wait(&s->wake, &s->mutex);
        if (STAILQ_EMPTY(&s->queue))
            break;
        STAILQ_INIT(&batch);
        STAILQ_CONCAT(&batch, &s->queue);
        s->queued = 0;
        pthread_mutex_unlock(&s->mutex);
        write_batch(s, &batch);
        pthread_mutex_lock(&s->mutex);
    }
    pthread_mutex_unlock(&s->mutex);
    return NULL;
}

static void release(struct store *s)
{
    sqlite3_finalize(s->save);
    sqlite3_finalize(s->remove);
    sqlite3_close(s->db);
    pthread_mutex_destroy(&s->mutex);
    pthread_cond_destroy(&s->wake);
    free(s);
}

int store_open(const char *path, void (*each)(void *, const char *, struct binding *), void *ctx,
               struct store **store)
{
    struct store *s = calloc(1, sizeof *s);
    int err;

    if (!s)
        return -ENOMEM;
    STAILQ_INIT(&s->queue);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->wake, NULL);
    err = try_open(s, path);
    if (err == -EBADMSG)
        err = set_aside(s, path) ? -EIO : try_open(s, path) ? -EIO : 0;
    if (!err)
        err = load(s, each, ctx);
    if (!err)
        err = prepare(s);
    if (!err)
        err = -pthread_create(&s->thread, NULL, writer, s);
    if (err) {
        log_error(LOG_SIP, NULL, "registrations: cannot use %s: %s", path, strerror(-err));
        release(s);
        return err;
    }
    *store = s;
    return 0;
}

static void enqueue(struct store *s, const char *phone, struct change *c)
{
    c->phone = strdup(phone);
    pthread_mutex_lock(&s->mutex);
    if (!c->phone || s->queued >= QUEUE_MAX) {
        free(c->phone);
        free(c);
    } else {
        STAILQ_INSERT_TAIL(&s->queue, c, entry);
        s->queued++;
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->mutex);
}

void store_save(struct store *s, const char *phone, const struct binding *binding, uint64_t left_ms)
{
    struct change *c;

    if (binding->flow.transport != CONF_UDP || !(c = calloc(1, sizeof *c)))
        return;
    c->binding = *binding;
    c->expires_unix = (int64_t)time(NULL) + (int64_t)(left_ms / 1000);
    enqueue(s, phone, c);
}

void store_remove(struct store *s, const char *phone, const char *contact)
{
    struct change *c = calloc(1, sizeof *c);

    if (!c)
        return;
    c->removed = true;
    snprintf(c->binding.contact, sizeof c->binding.contact, "%s", contact);
    enqueue(s, phone, c);
}

void store_close(struct store *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&s->mutex);
    s->stopping = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mutex);
    pthread_join(s->thread, NULL);
    release(s);
}
