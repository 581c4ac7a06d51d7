/* Good files: every type of setting, includes, secrets, defaults. */
#include "tests/unit/conf/files.h"

#include <errno.h>
#include <pthread.h>

#include "conf/log.h"

static const char *shown(const struct sockaddr_storage *address)
{
    static char text[ADDRESS_TEXT_MAX];

    return address_format(address, text);
}

static void test_defaults(void **state)
{
    struct conf *conf = conf_default();

    (void)state;
    assert_non_null(conf);
    assert_string_equal(conf->state_dir, "/var/lib/sallyport");
    assert_null(conf->realm.enrolment);
    assert_int_equal(conf->overlay.listen.ss_family, 0);
    assert_int_equal(conf->overlay.roles, CONF_ROLE_GATEWAY);
    assert_int_equal(conf->overlay.serve, CONF_SERVE_AUTO);
    assert_int_equal(conf->overlay.seats, 0);
    assert_int_equal(conf->overlay.priority, 0);
    assert_int_equal(conf->overlay.weight, 1);
    assert_true(conf->overlay.udp);
    assert_int_equal(conf->overlay.udp_port, 0);
    assert_false(conf->overlay.relay_only);
    assert_int_equal(conf->overlay.trust_count, 1);
    assert_string_equal(conf->overlay.trust[0], "*");
    assert_int_equal(conf->overlay.keep_path_s, 60);
    assert_int_equal(conf->overlay.relay_kbit, 0);
    assert_int_equal(conf->sip.listen_count, 0);
    assert_string_equal(conf->sip.domain, "sallyport");
    assert_string_equal(conf->sip.registrations, "/var/lib/sallyport/registrations.db");
    assert_int_equal(conf->sip.min_expires_s, 60);
    assert_int_equal(conf->sip.max_expires_s, 3600);
    assert_int_equal(conf->sip.ring_timeout_s, 60);
    assert_int_equal(conf->sip.max_connections, 1000);
    assert_int_equal(conf->sip.max_connections_per_address, 50);
    assert_int_equal(conf->media.port_min, 20000);
    assert_int_equal(conf->media.port_max, 29999);
    assert_int_equal(conf->media.codecs.count, 4);
    assert_int_equal(conf->media.peer_codecs.codec[0], CODEC_OPUS);
    assert_int_equal(conf->media.timeout_s, 60);
    for (int i = 0; i < LOG_FOLDERS; i++)
        assert_int_equal(conf->log_level[i], LOG_INFO);
    assert_int_equal(conf->phone_count, 0);
    assert_int_equal(conf->route_count, 0);
    conf_free(conf);
}

static const char whole_file[] =
    "state_dir = \"state\"\n"
    "realm { enrolment = \"berlin.enrol\" }\n"
    "overlay {\n"
    "  listen = \"[::]:443\"  advertise = \"gate.example:443\"\n"
    "  supernodes = { \"a.example:443\", \"192.0.2.7:443\", \"[2001:db8::1]:4430\" }\n"
    "  proxy = \"http://anna:s3cret@proxy.example:3128/\"  trust = { \"paris\", \"oslo.2\" }"
    "  roles = { \"gateway\", \"supernode\", \"Relay\" }\n"
    "  udp = no  udp_port = 4000  relay_only = on  keep_path = 0s relay_kbit = 50000 priority = 20 "
    "weight = 3\n"
    "}\n"
    "sip {\n"
    "  listen = { \"udp:0.0.0.0:5060\", \"tcp:[::1]:5060\", }  domain = \"berlin.example\"\n"
    "  registrations = \"/run/bindings\"  min_expires = 30s  max_expires = 2h\n"
    "  ring_timeout = \"45s\"  max_connections = 200  max_connections_per_address = 20\n"
    "}\n"
    "media { ports = \"30000-30099\"  workers = 2  address = \"192.0.2.1\"\n"
    "  codecs = { PCMA, \"opus\" }  peer_codecs = \"g722\"  timeout = never }\n"
    "admin { listen = \"127.0.0.1:8088\" }\n"
    "log { sip = debug  level = warn  overlay = \"error\" }\n"
    "phone \"201\" { secret = \"from \\\"quotes\\\" \\\\\"  name = 'R\\eception' }\n"
    "phone 202 { secret_file = \"secret\"  max_contacts = 1 }\n"
    "phone \"a.b-c_d+1\" { secret_env = \"CONF_TEST_SECRET\" }\n"
    "route \"paris\" { match = \"^8([0-9]+)$\"  to = \"overlay:\\\\1@paris\" }\n"
    "route \"world\" { match = '^\\+(33[0-9]{3,9})$'  to = 'overlay:+\\1' }\n"
    "route \"door\" { match = \"^0$\"  to = \"phone:201\" }\n"
    "route \"echo\" { match = \"^600$\"  to = \"service:echo\" }\n";

static void check_overlay(const struct conf *conf)
{
    assert_string_equal(conf->file, "good.conf");
    assert_string_equal(conf->state_dir, "state");
    assert_string_equal(conf->realm.enrolment, "berlin.enrol");
    assert_string_equal(shown(&conf->overlay.listen), "[::]:443");
    assert_string_equal(conf->overlay.advertise, "gate.example:443");
    assert_int_equal(conf->overlay.supernode_count, 3);
    assert_string_equal(conf->overlay.supernodes[2], "[2001:db8::1]:4430");
    assert_string_equal(conf->overlay.proxy, "anna:s3cret@proxy.example:3128");
    assert_int_equal(conf->overlay.trust_count, 2);
    assert_string_equal(conf->overlay.trust[1], "oslo.2");
    assert_int_equal(conf->overlay.roles,
                     CONF_ROLE_GATEWAY | CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY);
    assert_false(conf->overlay.udp);
    assert_int_equal(conf->overlay.udp_port, 4000);
    assert_true(conf->overlay.relay_only);
    assert_int_equal(conf->overlay.keep_path_s, 0);
    assert_int_equal(conf->overlay.priority, 20);
    assert_int_equal(conf->overlay.weight, 3);
    assert_int_equal(conf->overlay.relay_kbit, 50000);
}

static void check_sip_and_media(const struct conf *conf)
{
    assert_int_equal(conf->sip.listen_count, 2);
    assert_int_equal(conf->sip.listen[1].transport, CONF_TCP);
    assert_string_equal(shown(&conf->sip.listen[1].address), "[::1]:5060");
    assert_string_equal(conf->sip.domain, "berlin.example");
    assert_string_equal(conf->sip.registrations, "/run/bindings");
    assert_int_equal(conf->sip.min_expires_s, 30);
    assert_int_equal(conf->sip.max_expires_s, 7200);
    assert_int_equal(conf->sip.ring_timeout_s, 45);
    assert_int_equal(conf->sip.max_connections, 200);
    assert_int_equal(conf->sip.max_connections_per_address, 20);
    assert_int_equal(conf->media.port_min, 30000);
    assert_int_equal(conf->media.port_max, 30099);
    assert_int_equal(conf->media.workers, 2);
    assert_string_equal(shown(&conf->media.address), "192.0.2.1:0");
    assert_int_equal(conf->media.codecs.count, 2);
    assert_int_equal(conf->media.codecs.codec[0], CODEC_PCMA);
    assert_int_equal(conf->media.peer_codecs.count, 1);
    assert_int_equal(conf->media.timeout_s, 0);
    assert_string_equal(shown(&conf->admin.listen), "127.0.0.1:8088");
    assert_int_equal(conf->log_level[LOG_SIP], LOG_DEBUG);
    assert_int_equal(conf->log_level[LOG_OVERLAY], LOG_ERROR);
    assert_int_equal(conf->log_level[LOG_MEDIA], LOG_WARN);
}

static void check_phones_and_routes(const struct conf *conf)
{
    assert_int_equal(conf->phone_count, 3);
    assert_string_equal(conf->phones[0].secret, "from \"quotes\" \\");
    assert_string_equal(conf->phones[0].name, "R\\eception");
    assert_int_equal(conf->phones[0].max_contacts, 5);
    assert_string_equal(conf->phones[1].secret, "from-a-file");
    assert_int_equal(conf->phones[1].max_contacts, 1);
    assert_null(conf->phones[1].name);
    assert_string_equal(conf->phones[2].secret, "from-the-environment");
    assert_int_equal(conf->phones[2].place.line, 20);
    assert_string_equal(conf->phones[2].place.file, "good.conf");
    assert_ptr_equal(conf_phone_find(conf, "202"), &conf->phones[1]);
    assert_null(conf_phone_find(conf, "203"));

    assert_int_equal(conf->route_count, 4);
    assert_int_equal(conf->routes[0].target, CONF_TO_OVERLAY);
    assert_string_equal(conf->routes[0].to, "\\1@paris");
    assert_int_equal(regexec(&conf->routes[0].match, "8201", 0, NULL, 0), 0);
    assert_int_equal(regexec(&conf->routes[0].match, "201", 0, NULL, 0), REG_NOMATCH);
    assert_int_equal(regexec(&conf->routes[1].match, "+33123", 0, NULL, 0), 0);
    assert_string_equal(conf->routes[1].to, "+\\1");
    assert_int_equal(conf->routes[2].target, CONF_TO_PHONE);
    assert_string_equal(conf->routes[2].to, "201");
    assert_int_equal(conf->routes[3].target, CONF_TO_SERVICE);
    assert_int_equal(conf->routes[3].place.line, 24);
}

static void test_whole_file(void **state)
{
    (void)state;
    files_write("berlin.enrol", "");
    files_write("secret", "from-a-file\n");
    setenv("CONF_TEST_SECRET", "from-the-environment", 1);
    struct conf *conf = files_load(whole_file);
    check_overlay(conf);
    check_sip_and_media(conf);
    check_phones_and_routes(conf);
    conf_free(conf);
}

/* Who serves, by the settings `supernode` and `roles` together. */
static void test_serving(void **state)
{
    static const struct {
        const char *settings;
        enum conf_serve serve;
        unsigned roles;
    } rows[] = {
        {"", CONF_SERVE_AUTO, CONF_ROLE_GATEWAY},
        {"supernode = auto", CONF_SERVE_AUTO, CONF_ROLE_GATEWAY},
        {"supernode = \"Always\"", CONF_SERVE_ALWAYS, CONF_ROLE_GATEWAY | CONF_ROLE_SUPERNODE},
        {"supernode = never", CONF_SERVE_NEVER, CONF_ROLE_GATEWAY},
        {"roles = { \"relay\" }", CONF_SERVE_AUTO, CONF_ROLE_RELAY},
        {"roles = \"supernode\"", CONF_SERVE_ALWAYS, CONF_ROLE_SUPERNODE},
        {"roles = { } supernode = always", CONF_SERVE_ALWAYS, CONF_ROLE_SUPERNODE},
        {"roles = { \"supernode\" } supernode = always", CONF_SERVE_ALWAYS, CONF_ROLE_SUPERNODE},
        {"roles = { \"relay\", \"supernode\" } supernode = auto", CONF_SERVE_AUTO, CONF_ROLE_RELAY},
    };

    (void)state;
    files_write("e", "");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[256];
        snprintf(text, sizeof text,
                 "realm { enrolment = \"e\" }\noverlay { listen = \"0.0.0.0:443\" seats = 1000000 "
                 "%s }\n",
                 rows[i].settings);
        struct conf *conf = files_load(text);
        assert_int_equal(conf->overlay.serve, rows[i].serve);
        assert_int_equal(conf->overlay.roles, rows[i].roles);
        assert_int_equal(conf->overlay.seats, 1000000);
        conf_free(conf);
    }
}

static void test_small_files(void **state)
{
    (void)state;
    conf_free(files_load(""));
    conf_free(files_load("\xef\xbb\xbf# with a byte order mark\r\nsip { }\r\n"));
    conf_free(files_load("#"));
    conf_free(files_load("/**/ // x\n/* } \" */"));

    struct conf *conf = files_load("sip { }");
    assert_int_equal(conf->sip.listen_count, 2);
    assert_int_equal(conf->sip.listen[0].transport, CONF_UDP);
    assert_string_equal(shown(&conf->sip.listen[0].address), "0.0.0.0:5060");
    assert_string_equal(shown(&conf->sip.listen[1].address), "0.0.0.0:5060");
    conf_free(conf);

    files_write("e", "");
    conf = files_load("realm { enrolment = \"e\" }\noverlay { roles = { } supernodes = { } }\n");
    assert_int_equal(conf->overlay.roles, 0);
    conf_free(conf);

    /* both families may use one port */
    conf = files_load("sip { listen = { \"udp:0.0.0.0:5060\", \"udp:[::]:5060\" } }");
    assert_int_equal(conf->sip.listen_count, 2);
    conf_free(conf);
}

static void test_environment(void **state)
{
    (void)state;
    setenv("CONF_TEST_PLACE", "berlin", 1);
    unsetenv("CONF_TEST_UNSET");
    struct conf *conf =
        files_load("sip { domain = \"${CONF_TEST_PLACE}.${CONF_TEST_UNSET:-example}\" }\n"
                   "phone \"1\" { secret = '${CONF_TEST_PLACE}' }\n");
    assert_string_equal(conf->sip.domain, "berlin.example");
    assert_string_equal(conf->phones[0].secret, "${CONF_TEST_PLACE}");
    conf_free(conf);
}

/* Included files stand where the include stands; their paths start from their own folder. */
static void test_includes(void **state)
{
    (void)state;
    assert_int_equal(mkdir("conf.d", 0700), 0);
    assert_int_equal(mkdir("conf.d/sub", 0700), 0);
    files_write("conf.d/secret", "secret-of-2\n");
    files_write("conf.d/20.conf", "route \"c\" { match = \"3\" to = \"phone:2\" }\n");
    files_write("conf.d/10.conf", "route \"b\" { match = \"2\" to = \"phone:2\" }\n"
                                  "include \"sub/phone.conf\"\n");
    files_write("conf.d/sub/phone.conf", "\nphone \"2\" { secret_file = \"../secret\" }\n");
    struct conf *conf = files_load("route \"a\" { match = \"1\" to = \"phone:2\" }\n"
                                   "include \"conf.d/*.conf\"\n"
                                   "include \"nothing.d/*\"\n"
                                   "sip { }\n"
                                   "route \"d\" { match = \"4\" to = \"phone:2\" }\n");
    assert_int_equal(conf->route_count, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(conf->routes[i].name[0], 'a' + i);
    assert_string_equal(conf->phones[0].secret, "secret-of-2");
    assert_string_equal(conf->phones[0].place.file, "conf.d/sub/phone.conf");
    assert_int_equal(conf->phones[0].place.line, 2);
    conf_free(conf);
}

static void test_include_depth(void **state)
{
    struct conf *conf = NULL;
    struct conf_errors errors;

    (void)state;
    for (int i = 0; i < 12; i++) {
        char name[16], text[32];
        snprintf(name, sizeof name, "deep%d.conf", i);
        snprintf(text, sizeof text, "include \"deep%d.conf\"\n", i + 1);
        files_write(name, text);
    }
    assert_int_equal(conf_load("deep0.conf", &conf, &errors), -EINVAL);
    assert_string_equal(errors.text, "deep8.conf:1: include \"deep9.conf\" is nested too deep; "
                                     "include it from a file further up\n");
    conf_errors_fini(&errors);
}

static void test_warnings(void **state)
{
    struct conf *conf = NULL;
    struct conf_errors errors;

    (void)state;
    files_write("open", "hunter2");
    assert_int_equal(chmod("open", 0644), 0);
    files_write("warn.conf", "sip { }\nphone \"1\" { secret_file = \"open\" }\n"
                             "admin { listen = \"0.0.0.0:8088\" }\n");
    assert_int_equal(conf_load("warn.conf", &conf, &errors), 0);
    assert_string_equal(
        errors.text,
        "warn.conf:2: warning: phone \"1\": secret_file \"open\" can be read by everyone; run "
        "chmod "
        "o-rwx on it\n"
        "warn.conf:3: warning: admin: listen 0.0.0.0:8088 can be reached by other machines; use "
        "127.0.0.1 unless a firewall guards it\n");
    assert_int_equal(errors.count, 2);
    assert_string_equal(conf->phones[0].secret, "hunter2");
    conf_errors_fini(&errors);
    conf_free(conf);
}

static void test_many_phones(void **state)
{
    enum { PHONES = 1000 };
    FILE *file = fopen("many.conf", "w");
    struct conf *conf = NULL;
    struct conf_errors errors;

    (void)state;
    fprintf(file, "sip { }\n");
    for (int i = 0; i < PHONES; i++)
        fprintf(file, "phone \"%d\" { secret = \"s%d\" }\n", i, i);
    fclose(file);
    assert_int_equal(conf_load("many.conf", &conf, &errors), 0);
    assert_int_equal(conf->phone_count, PHONES);
    assert_string_equal(conf->phones[PHONES - 1].secret, "s999");
    conf_errors_fini(&errors);
    conf_free(conf);
}

static void *load_often(void *path)
{
    intptr_t good = 0;

    for (int i = 0; i < 20; i++) {
        struct conf *conf = NULL;
        struct conf_errors errors;
        if (conf_load(path, &conf, &errors) == 0 && strcmp(conf->sip.domain, path) == 0)
            good++;
        conf_errors_fini(&errors);
        if (conf)
            conf_free(conf);
    }
    return (void *)good;
}

static void test_threads(void **state)
{
    static char names[2][8] = {"one", "two"};
    pthread_t threads[2];
    void *good;

    (void)state;
    for (int i = 0; i < 2; i++) {
        char text[64];
        snprintf(text, sizeof text, "sip { domain = \"%s\" }\n", names[i]);
        files_write(names[i], text);
    }
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, load_often, names[i]), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(pthread_join(threads[i], &good), 0);
        assert_int_equal((intptr_t)good, 20);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),    cmocka_unit_test(test_whole_file),
        cmocka_unit_test(test_small_files), cmocka_unit_test(test_environment),
        cmocka_unit_test(test_includes),    cmocka_unit_test(test_include_depth),
        cmocka_unit_test(test_warnings),    cmocka_unit_test(test_many_phones),
        cmocka_unit_test(test_threads),     cmocka_unit_test(test_serving),
    };

    return cmocka_run_group_tests(tests, files_enter, files_leave);
}
