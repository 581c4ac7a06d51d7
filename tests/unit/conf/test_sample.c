/* The sample file: it loads, every setting is in it, and what it shows are the defaults. */
#include "tests/unit/conf/files.h"

#include <ctype.h>

#include "conf/settings.h"

#define SAMPLE "conf/sallyport.conf.sample"

static char sample[64 * 1024];

/* Where "NAME =" is set in the part of the sample that belongs to a section, with # or not. */
static const char *find_setting(const char *from, const char *to, const char *key)
{
    size_t length = strlen(key);

    for (const char *line = from; line && line < to;) {
        const char *at = line + strspn(line, " #");
        if (strncmp(at, key, length) == 0 && strncmp(at + length, " = ", 3) == 0)
            return at + length + 3;
        line = strchr(line, '\n');
        line = line ? line + 1 : NULL;
    }
    return NULL;
}

/* The part of the sample between "NAME … {" and its "}", both at the start of a line; the top level
 * ends where the first section begins. */
static void find_section(enum section_id id, const char **from, const char **to)
{
    char start[32];

    snprintf(start, sizeof start, "\n%s ", section_kinds[id].name);
    *from = id == SECTION_TOP ? sample : strstr(sample, start);
    if (!*from)
        fail_msg("section %s is not in the sample", section_kinds[id].name);
    *to = strstr(*from, id == SECTION_TOP ? "\nrealm " : "\n}");
    assert_non_null(*to);
}

static void test_every_setting_is_in_it(void **state)
{
    (void)state;
    for (int id = 0; id < SECTIONS; id++) {
        const char *from, *to;
        find_section((enum section_id)id, &from, &to);
        for (int i = 0; i < section_kinds[id].count; i++)
            if (!find_setting(from, to, section_kinds[id].settings[i].key))
                fail_msg("%s %s is not in the sample", section_kinds[id].name,
                         section_kinds[id].settings[i].key);
    }
}

/* A default as the table has it ("opus g722") and as the sample shows it ({ "opus", "g722" }). */
static void strip_signs(char *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (!strchr("{},\" ", text[i]))
            *out++ = text[i];
    *out = '\0';
}

static void test_shown_values_are_the_defaults(void **state)
{
    (void)state;
    for (int id = 0; id < SECTIONS; id++) {
        for (int i = 0; i < section_kinds[id].count; i++) {
            const struct setting *setting = &section_kinds[id].settings[i];
            const char *from, *to;
            char shown[128], fallback[128];
            /* the folders' levels of the log have none of their own */
            if (!setting->fallback)
                continue;
            find_section((enum section_id)id, &from, &to);
            const char *at = find_setting(from, to, setting->key);
            assert_non_null(at);
            strip_signs(shown, at, strcspn(at, "\n"));
            strip_signs(fallback, setting->fallback, strlen(setting->fallback));
            assert_string_equal(shown, fallback);
        }
    }
}

static void test_it_loads(void **state)
{
    struct conf *conf = files_load(sample);

    (void)state;
    assert_int_equal(conf->phone_count, 1);
    assert_int_equal(conf->route_count, 1);
    assert_int_equal(conf->sip.listen_count, 2);
    conf_free(conf);
}

/* Every "#NAME = …" and "#include" made a setting: what the sample shows can be typed. */
static void test_it_loads_with_all_set(void **state)
{
    static char text[sizeof sample];
    char *to = text;

    (void)state;
    for (const char *line = sample; *line;) {
        const char *end = strchr(line, '\n') + 1;
        const char *at = line + strspn(line, " ");
        bool is_setting = at[0] == '#' && isalpha((unsigned char)at[1]);
        bool is_other_secret = strncmp(at, "#secret_", 8) == 0;
        const char *start = is_setting && !is_other_secret ? at + 1 : line;
        memcpy(to, start, (size_t)(end - start));
        to += end - start;
        line = end;
    }
    *to = '\0';
    files_write("berlin.enrol", "");
    files_write("realm.revoked", "");
    struct conf *conf = files_load(text);
    assert_string_equal(conf->realm.enrolment, "berlin.enrol");
    assert_int_equal(conf->overlay.supernode_count, 2);
    conf_free(conf);
}

static int set_up(void **state)
{
    FILE *file = fopen(SAMPLE, "r");

    if (!file)
        return -1;
    size_t length = fread(sample, 1, sizeof sample - 1, file);
    fclose(file);
    return length == 0 || length == sizeof sample - 1 ? -1 : files_enter(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_setting_is_in_it),
        cmocka_unit_test(test_shown_values_are_the_defaults),
        cmocka_unit_test(test_it_loads),
        cmocka_unit_test(test_it_loads_with_all_set),
    };

    return cmocka_run_group_tests(tests, set_up, files_leave);
}
