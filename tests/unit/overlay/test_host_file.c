/* The host cache on disk: what was written is read, and nothing else is believed. */
#include "overlay/host_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64], path[100];
static int count;
static char last[80];

static int make_folder(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/sallyport-hosts-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(path, sizeof path, "%s/supernodes", folder);
    return 0;
}

static int remove_folder(void **state)
{
    (void)state;
    unlink(path);
    return rmdir(folder);
}

static void each(void *ctx, const char *address)
{
    (void)ctx;
    count++;
    snprintf(last, sizeof last, "%s", address);
}

static void on_done(void *ctx)
{
    *(bool *)ctx = true;
}

static void what_is_written_is_read(void **state)
{
    struct stat about;
    uv_loop_t loop;
    bool is_done = false;

    (void)state;
    count = 0;
    host_file_read(path, each, NULL);
    assert_int_equal(count, 0);

    uv_loop_init(&loop);
    for (int i = 0; i < 2; i++) {
        char *text = strdup("192.0.2.1:443\nsn.example:8443\n");
        assert_int_equal(host_file_write(&loop, path, text, on_done, &is_done), 0);
        assert_false(is_done);
        uv_run(&loop, UV_RUN_DEFAULT);
        assert_true(is_done);
        is_done = false;
    }
    uv_loop_close(&loop);
    host_file_read(path, each, NULL);
    assert_int_equal(count, 2);
    assert_string_equal(last, "sn.example:8443");
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
}

static void other_lines_are_left_out(void **state)
{
    (void)state;
    FILE *out = fopen(path, "w");
    assert_non_null(out);
    fprintf(out, "nonsense\n\n# a comment\r\nsn.example\n\x01:443\n");
    for (int i = 0; i < 1000; i++)
        fprintf(out, "10.0.0.1:%d\r\n", i + 1);
    fclose(out);
    count = 0;
    host_file_read(path, each, NULL);
    assert_int_equal(count, HOST_FILE_MAX);
    assert_string_equal(last, "10.0.0.1:200");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(other_lines_are_left_out),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
