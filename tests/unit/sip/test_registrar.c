/* Bindings: order, room, expiry, and the file they are kept in. */
#include "sip/registrar.h"
#include "sip/store.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char heard[2048];

static void note(const char *what, const char *phone, const char *contact)
{
    size_t used = strlen(heard);

    snprintf(heard + used, sizeof heard - used, "%s%s %s %s", used ? ", " : "", what, phone,
             contact);
}

static void on_saved(void *ctx, const char *phone, const struct binding *b)
{
    (void)ctx;
    note("save", phone, b->contact);
}

static void on_removed(void *ctx, const char *phone, const struct binding *b)
{
    (void)ctx;
    note("remove", phone, b->contact);
}

static void on_gone(void *ctx, const char *phone)
{
    (void)ctx;
    note("gone", phone, "");
}

static const struct registrar_sink sink = {on_saved, on_removed};

static void expect(const char *words)
{
    assert_string_equal(heard, words);
    heard[0] = '\0';
}

static struct binding binding(const char *contact, const char *call_id, uint32_t cseq, int port)
{
    struct binding b = {.cseq = cseq, .expires_ms = 1000};
    char address[32];

    snprintf(b.contact, sizeof b.contact, "%s", contact);
    snprintf(b.call_id, sizeof b.call_id, "%s", call_id);
    snprintf(address, sizeof address, "192.0.2.1:%d", port);
    address_parse(address, &b.flow.remote);
    address_parse("192.0.2.254:5060", &b.flow.local);
    return b;
}

static int bind_one(struct registrar *r, const char *contact, const char *call_id, uint32_t cseq,
                    int port)
{
    struct binding b = binding(contact, call_id, cseq, port);

    return registrar_bind(r, "201", &b, 3);
}

static void newest_replaces_oldest(void **state)
{
    struct registrar *r = registrar_new(&sink, NULL);

    (void)state;
    bind_one(r, "a", "1", 1, 1);
    bind_one(r, "b", "2", 1, 2);
    bind_one(r, "c", "3", 1, 3);
    bind_one(r, "a", "1", 2, 1); /* a refresh makes it the newest */
    heard[0] = '\0';
    bind_one(r, "d", "4", 1, 4);
    expect("remove 201 b, save 201 d");
    assert_string_equal(TAILQ_FIRST(registrar_find(r, "201"))->contact, "d");
    assert_int_equal(registrar_count(r, "201"), 3);
    assert_int_equal(registrar_total(r), 3);
    assert_null(registrar_find(r, "202"));
    registrar_free(r);
}

static void old_requests_are_refused(void **state)
{
    struct registrar *r = registrar_new(&sink, NULL);

    (void)state;
    assert_int_equal(bind_one(r, "a", "1", 7, 1), 0);
    assert_int_equal(bind_one(r, "a", "1", 7, 1), 0); /* sent again */
    assert_int_equal(bind_one(r, "a", "1", 6, 1), -EALREADY);
    assert_int_equal(bind_one(r, "a", "restarted", 1, 1), 0);
    heard[0] = '\0';
    assert_int_equal(registrar_unbind(r, "201", "a", "restarted", 0), -EALREADY);
    assert_int_equal(registrar_unbind(r, "201", NULL, "restarted", 0), -EALREADY);
    assert_int_equal(registrar_unbind(r, "201", "b", "restarted", 0), 0);
    expect("");
    assert_int_equal(registrar_unbind(r, "201", NULL, "restarted", 2), 0);
    expect("remove 201 a");
    assert_int_equal(registrar_unbind(r, "201", NULL, "restarted", 3), 0);
    registrar_free(r);
    heard[0] = '\0';
}

/* A phone that was restarted comes with another contact from the same place. */
static void same_device_has_one_binding(void **state)
{
    struct registrar *r = registrar_new(&sink, NULL);
    struct binding b;

    (void)state;
    bind_one(r, "old", "1", 1, 5);
    heard[0] = '\0';
    bind_one(r, "new", "2", 1, 5);
    expect("remove 201 old, save 201 new");
    b = binding("proxied1", "3", 1, 5); /* behind a proxy all come from one place */
    strcpy(b.path, "<sip:192.0.2.1;lr>");
    registrar_bind(r, "201", &b, 3);
    b = binding("proxied2", "4", 1, 5);
    strcpy(b.path, "<sip:192.0.2.1;lr>");
    strcpy(b.instance, "urn:uuid:1");
    registrar_bind(r, "201", &b, 3);
    assert_int_equal(registrar_count(r, "201"), 3);
    heard[0] = '\0';
    b = binding("moved", "5", 1, 9);
    strcpy(b.instance, "urn:uuid:1");
    registrar_bind(r, "201", &b, 3);
    expect("remove 201 proxied2, save 201 moved");
    registrar_free(r);
}

static void bindings_expire_and_connections_close(void **state)
{
    struct registrar *r = registrar_new(&sink, NULL);
    struct binding b = binding("t", "1", 1, 1);

    (void)state;
    b.flow.transport = CONF_TCP;
    b.flow.connection = 77;
    registrar_bind(r, "202", &b, 1);
    bind_one(r, "a", "1", 1, 1);
    heard[0] = '\0';
    assert_true(registrar_knows(r, &b.flow.remote));
    registrar_expire(r, 999, on_gone, NULL);
    registrar_drop_connection(r, 78, on_gone, NULL);
    expect("");
    registrar_drop_connection(r, 77, on_gone, NULL);
    expect("remove 202 t, gone 202 ");
    registrar_expire(r, 1000, on_gone, NULL);
    expect("remove 201 a, gone 201 ");
    assert_false(registrar_knows(r, &b.flow.remote));
    registrar_free(r);
}

/* ---- the file ---- */

static char folder[64], path[128];

static int folder_make(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/sallyport-store-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/bindings.db", folder);
    heard[0] = '\0';
    return 0;
}

static int folder_remove(void **state)
{
    static const char *const names[] = {"",         "-wal",         "-shm",
                                        ".corrupt", ".corrupt-wal", ".corrupt-shm"};
    char name[160];

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(name, sizeof name, "%s%s", path, names[i]);
        unlink(name);
    }
    return rmdir(folder);
}

static struct binding loaded;

static void on_loaded(void *ctx, const char *phone, struct binding *b)
{
    (void)ctx;
    loaded = *b;
    note("load", phone, b->contact);
}

static void bindings_survive(void **state)
{
    struct binding b = binding("sip:201@192.0.2.1", "call'1", 4294967295u, 5062);
    struct store *store;

    (void)state;
    strcpy(b.path, "<sip:p;lr>");
    strcpy(b.user_agent, "phone 1.0");
    assert_int_equal(store_open(path, on_loaded, NULL, &store), 0);
    store_save(store, "201", &b, 60000);
    store_save(store, "202", &b, 60000);
    store_save(store, "203", &b, 0); /* expired */
    b.flow.transport = CONF_TCP;
    store_save(store, "204", &b, 60000); /* its connection will not come back */
    store_remove(store, "202", b.contact);
    store_close(store);
    assert_int_equal(store_open(path, on_loaded, NULL, &store), 0);
    expect("load 201 sip:201@192.0.2.1");
    assert_string_equal(loaded.call_id, "call'1");
    assert_true(loaded.cseq == 4294967295u);
    assert_string_equal(loaded.path, "<sip:p;lr>");
    assert_string_equal(loaded.user_agent, "phone 1.0");
    assert_true(address_equal(&loaded.flow.remote, &b.flow.remote));
    assert_true(address_equal(&loaded.flow.local, &b.flow.local));
    assert_in_range(loaded.expires_ms, 50000, 60000);
    store_close(store);
}

static void damaged_file_is_set_aside(void **state)
{
    struct binding b = binding("a", "1", 1, 5062);
    struct store *store;
    struct stat info;
    char aside[160], bytes[4096];
    FILE *file = fopen(path, "w");

    (void)state;
    memset(bytes, 'x', sizeof bytes);
    fwrite(bytes, 1, sizeof bytes, file);
    fclose(file);
    assert_int_equal(store_open(path, on_loaded, NULL, &store), 0);
    store_save(store, "201", &b, 60000);
    store_close(store);
    snprintf(aside, sizeof aside, "%s.corrupt", path);
    assert_int_equal(stat(aside, &info), 0);
    assert_int_equal(info.st_size, 4096);
    assert_int_equal(store_open(path, on_loaded, NULL, &store), 0);
    expect("load 201 a");
    store_close(store);
}

/* Half of a real database, as a full disk or a cut cable leaves it. */
static void cut_file_is_set_aside(void **state)
{
    struct binding b = binding("a", "1", 1, 5062);
    struct store *store;
    char phone[16], aside[160];

    (void)state;
    assert_int_equal(store_open(path, on_loaded, NULL, &store), 0);
    for (int i = 0; i < 500; i++) {
        snprintf(phone, sizeof phone, "p%d", i);
        store_save(store, phone, &b, 60000);
    }
    store_close(store);
    assert_int_equal(truncate(path, 9000), 0);
    assert_int_equal(store_open(path, on_loaded, NULL, &store), 0);
    store_close(store);
    snprintf(aside, sizeof aside, "%s.corrupt", path);
    assert_int_equal(access(aside, F_OK), 0);
}

static void impossible_path_is_an_error(void **state)
{
    struct store *store;

    (void)state;
    assert_true(store_open("/nonexistent/bindings.db", on_loaded, NULL, &store) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(newest_replaces_oldest),
        cmocka_unit_test(old_requests_are_refused),
        cmocka_unit_test(same_device_has_one_binding),
        cmocka_unit_test(bindings_expire_and_connections_close),
        cmocka_unit_test_setup_teardown(bindings_survive, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(damaged_file_is_set_aside, folder_make, folder_remove),
        cmocka_unit_test_setup_teardown(cut_file_is_set_aside, folder_make, folder_remove),
        cmocka_unit_test(impossible_path_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
