/* How lines of the log look, where they go, and how complaints are limited. */
#include "tests/unit/conf/files.h"

#include <errno.h>
#include <sys/wait.h>
#include <time.h>

#include "conf/log.h"
#include "conf/log_line.h"
#include "conf/text.h"

/* 17:26:01.123 UTC */
static const struct timespec moment = {.tv_sec = 1700069161, .tv_nsec = 123999999};

static void test_forms(void **state)
{
    static const struct {
        struct log_line line;
        const char *text, *journal;
    } rows[] = {
        {{LOG_SIP, LOG_INFO, "8c1f0a2b77d0e914", "201 calls 202 (opus pcma pcmu)"},
         "17:26:01.123 info  sip     [8c1f0a2b77d0e914] 201 calls 202 (opus pcma pcmu)\n",
         "<6>info  sip     [8c1f0a2b77d0e914] 201 calls 202 (opus pcma pcmu)\n"},
        {{LOG_GATEWAY, LOG_ERROR, NULL, "cannot start"},
         "17:26:01.123 error gateway cannot start\n",
         "<3>error gateway cannot start\n"},
        {{LOG_OVERLAY, LOG_WARN, NULL, "supernode lost"},
         "17:26:01.123 warn  overlay supernode lost\n",
         "<4>warn  overlay supernode lost\n"},
        {{LOG_MEDIA, LOG_DEBUG, NULL, ""}, "17:26:01.123 debug media   \n", "<7>debug media   \n"},
        /* nobody forges a line, hides one or writes to the terminal */
        {{LOG_SIP, LOG_INFO, NULL, "from \"x\n00:00:00.000 error sip forged\""},
         "17:26:01.123 info  sip     from \"x\\x0a00:00:00.000 error sip forged\"\n",
         "<6>info  sip     from \"x\\x0a00:00:00.000 error sip forged\"\n"},
        {{LOG_CONF, LOG_INFO, "\x1b[2J", "J\xc3\xbcrgen \x1b]0;x\x07 \xff \xc2\x9b"},
         "17:26:01.123 info  conf    [\\x1b[2J] J\xc3\xbcrgen \\x1b]0;x\\x07 \\xff \\xc2\\x9b\n",
         "<6>info  conf    [\\x1b[2J] J\xc3\xbcrgen \\x1b]0;x\\x07 \\xff \\xc2\\x9b\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[LOG_LINE_MAX];
        assert_int_equal(log_line_format(out, &rows[i].line, &moment), strlen(rows[i].text));
        assert_string_equal(out, rows[i].text);
        assert_int_equal(log_line_format(out, &rows[i].line, NULL), strlen(rows[i].journal));
        assert_string_equal(out, rows[i].journal);
    }
}

static void test_endless_message(void **state)
{
    char message[3 * LOG_LINE_MAX], out[LOG_LINE_MAX];
    struct log_line line = {LOG_SIP, LOG_INFO, "0123456789abcdef", message};

    (void)state;
    for (int first = 0; first < 4; first++) {
        memset(message, '\x01', sizeof message);
        memset(message, 'x', (size_t)first);
        message[sizeof message - 1] = '\0';
        size_t length = log_line_format(out, &line, &moment);
        assert_true(length < LOG_LINE_MAX);
        assert_int_equal(strlen(out), length);
        assert_int_equal(out[length - 1], '\n');
    }
}

static void test_characters(void **state)
{
    static const struct {
        const char *text;
        size_t length;
    } rows[] = {
        {"a", 1},
        {" ", 1},
        {"~", 1},
        {"", 0},
        {"\n", 0},
        {"\x7f", 0},
        {"\x80", 0},
        {"\xc2\xa0", 2},
        {"\xc2\x80", 0},
        {"\xc2\x9f", 0},
        {"\xc1\xbf", 0},
        {"\xc3", 0},
        {"\xe2\x82\xac", 3},
        {"\xe2\x82", 0},
        {"\xe0\x9f\xbf", 0},
        {"\xed\xa0\x80", 0},
        {"\xed\x9f\xbf", 3},
        {"\xf0\x9f\x98\x80", 4},
        {"\xf0\x8f\xbf\xbf", 0},
        {"\xf4\x8f\xbf\xbf", 4},
        {"\xf4\x90\x80\x80", 0},
        {"\xf5\x80\x80\x80", 0},
        {"\xff", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(text_character(rows[i].text), rows[i].length);

    char out[8];
    assert_int_equal(text_escape(out, sizeof out, "abcd\xe2\x82\xac\xe2\x82\xac"), 7);
    assert_string_equal(out, "abcd\xe2\x82\xac");
    assert_int_equal(text_escape(out, sizeof out, "abcd\n"), 4);
    assert_string_equal(out, "abcd");
    assert_int_equal(text_escape(out, 1, "abcd"), 0);
    assert_string_equal(out, "");
}

static void test_levels(void **state)
{
    (void)state;
    assert_true(log_is_on(LOG_SIP, LOG_INFO));
    assert_false(log_is_on(LOG_SIP, LOG_DEBUG));
    log_set_level(LOG_SIP, LOG_DEBUG);
    assert_true(log_is_on(LOG_SIP, LOG_DEBUG));
    assert_false(log_is_on(LOG_MEDIA, LOG_DEBUG));
    log_set_level(LOG_SIP, LOG_ERROR);
    assert_true(log_is_on(LOG_SIP, LOG_ERROR));
    assert_false(log_is_on(LOG_SIP, LOG_WARN));
    log_set_level(LOG_SIP, LOG_INFO);
}

static void test_limit(void **state)
{
    static const struct {
        uint64_t now_ms;
        bool written;
        uint64_t count;
    } rows[] = {
        {5, true, 1},      {6, false, 0},      {60004, false, 0}, {60005, true, 3},
        {60006, false, 0}, {120004, false, 0}, {500000, true, 3}, {600000, true, 1},
    };
    struct log_limit limit = {0};

    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t count = 0;
        assert_int_equal(log_limit(&limit, rows[i].now_ms, &count), rows[i].written);
        assert_int_equal(count, rows[i].count);
    }
}

static void test_journal_is_recognised(void **state)
{
    int ends[2];
    char stream[64];
    struct stat file;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fstat(ends[1], &file), 0);
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)file.st_dev, (uintmax_t)file.st_ino);
    assert_true(log_line_to_journal(stream, ends[1]));
    snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)file.st_dev, (uintmax_t)file.st_ino + 1);
    assert_false(log_line_to_journal(stream, ends[1]));
    assert_false(log_line_to_journal("", ends[1]));
    assert_false(log_line_to_journal("1:2:3", ends[1]));
    assert_false(log_line_to_journal(NULL, ends[1]));
    close(ends[0]);
    close(ends[1]);
}

/* What one process, whose stderr is a pipe, writes for a call's line; as a service of journald or
 * not. The log looks at its surroundings once, hence the process of its own. */
static void run_logger(bool as_service, char *text, size_t bytes)
{
    int ends[2], status;

    assert_int_equal(pipe(ends), 0);
    pid_t child = fork();
    if (child == 0) {
        struct stat file;
        char stream[64];
        dup2(ends[1], STDERR_FILENO);
        fstat(STDERR_FILENO, &file);
        snprintf(stream, sizeof stream, "%ju:%ju", (uintmax_t)file.st_dev, (uintmax_t)file.st_ino);
        unsetenv("JOURNAL_STREAM");
        if (as_service)
            setenv("JOURNAL_STREAM", stream, 1);
        errno = EPIPE;
        log_info(LOG_SIP, "8c1f0a2b77d0e914", "%s calls %d", "201", 202);
        log_debug(LOG_SIP, NULL, "not written");
        _exit(errno == EPIPE ? 0 : 1);
    }
    close(ends[1]);
    ssize_t got = read(ends[0], text, bytes - 1);
    close(ends[0]);
    assert_true(got > 0);
    text[got] = '\0';
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

static void test_write(void **state)
{
    char text[LOG_LINE_MAX];
    int hour, minute, second, ms, end = 0;

    (void)state;
    run_logger(true, text, sizeof text);
    assert_string_equal(text, "<6>info  sip     [8c1f0a2b77d0e914] 201 calls 202\n");
    run_logger(false, text, sizeof text);
    assert_int_equal(sscanf(text, "%2d:%2d:%2d.%3d%n", &hour, &minute, &second, &ms, &end), 4);
    assert_int_equal(end, 12);
    assert_string_equal(text + end, " info  sip     [8c1f0a2b77d0e914] 201 calls 202\n");
}

static int use_utc(void **state)
{
    (void)state;
    setenv("TZ", "UTC", 1);
    tzset();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forms),      cmocka_unit_test(test_endless_message),
        cmocka_unit_test(test_characters), cmocka_unit_test(test_levels),
        cmocka_unit_test(test_limit),      cmocka_unit_test(test_journal_is_recognised),
        cmocka_unit_test(test_write),
    };

    return cmocka_run_group_tests(tests, use_utc, NULL);
}
