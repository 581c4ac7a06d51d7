/* A realm as an operator makes it: files that plain `openssl` reads, and words for every wrong one.
 */
#include "overlay/identity.h"
#include "tests/unit/overlay/realm_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[64];  /* of this test program; removed in the end */
static char realm_a[80]; /* a realm in it */

static const char *at(const char *name)
{
    static char paths[4][PATH_MAX];
    static int next;
    char *path = paths[next++ % 4];

    snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return path;
}

/* Runs a shell command in the folder; its output (cut) is returned, its exit status asserted 0. */
static const char *shell(const char *command)
{
    static char output[16384];
    char line[PATH_MAX + 512];

    snprintf(line, sizeof line, "cd '%s' && { %s; } 2>&1", folder, command);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    size_t bytes = fread(output, 1, sizeof output - 1, pipe);
    output[bytes] = '\0';
    int status = pclose(pipe);
    if (status != 0)
        print_error("%s: status %d\n%s\n", command, status, output);
    assert_int_equal(status, 0);
    return output;
}

static void enrol(const char *realm, const char *file, const char *site)
{
    struct overlay_enrolment enrolment = {
        .site = site,
        .numbers = {"+4930123", "+4930124"},
        .number_count = 2,
        .roles = CONF_ROLE_GATEWAY | CONF_ROLE_SUPERNODE,
        .supernodes = {"192.0.2.1:443", "[2001:db8::1]:443"},
        .supernode_count = 2,
        .days = 90,
    };
    char why[300] = "";

    int error = overlay_realm_enrol(realm, &enrolment, at(file), why, sizeof why);
    if (error < 0)
        print_error("%s\n", why);
    assert_int_equal(error, 0);
}

static int make_folder(void **state)
{
    char why[300];

    (void)state;
    strcpy(folder, "/tmp/sallyport-realm-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(realm_a, sizeof realm_a, "%s/realm", folder);
    if (overlay_realm_new(realm_a, "example.org", 3650, why, sizeof why) < 0)
        return -1;
    enrol(realm_a, "berlin.enrol", "berlin");
    return 0;
}

static int remove_folder(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static mode_t mode_of(const char *path)
{
    struct stat about;

    assert_int_equal(stat(path, &about), 0);
    return about.st_mode & 0777;
}

static void a_realm_is_made_once(void **state)
{
    char why[300];

    (void)state;
    assert_int_equal(mode_of(at("realm/root.key")), 0600);
    assert_int_equal(mode_of(at("realm")), 0700);
    assert_int_equal(overlay_realm_new(realm_a, "again", 10, why, sizeof why), -EEXIST);
    assert_non_null(strstr(why, "there is a realm already"));
    assert_int_equal(overlay_realm_new(at("b"), "", 10, why, sizeof why), -EINVAL);
    assert_int_equal(overlay_realm_new(at("b"), "b", 0, why, sizeof why), -EINVAL);
    assert_int_equal(overlay_realm_new(at("no/such"), "b", 9, why, sizeof why), -ENOENT);
    assert_int_equal(access(at("b"), F_OK), -1);
}

static void openssl_reads_all_of_it(void **state)
{
    (void)state;
    const char *text = shell("openssl x509 -noout -text -in realm/root.pem");
    assert_non_null(strstr(text, "CN = example.org"));
    assert_non_null(strstr(text, "CA:TRUE, pathlen:0"));
    assert_non_null(strstr(text, "Certificate Sign, CRL Sign"));
    assert_non_null(strstr(text, "ED25519"));

    text = shell("openssl x509 -noout -text -in berlin.enrol");
    assert_non_null(strstr(text, "URI:sallyport:site:berlin"));
    assert_non_null(strstr(text, "URI:sallyport:number:+4930123"));
    assert_non_null(strstr(text, "URI:sallyport:number:+4930124"));
    assert_non_null(strstr(text, "URI:sallyport:role:gateway"));
    assert_non_null(strstr(text, "URI:sallyport:role:supernode"));
    assert_null(strstr(text, "role:relay"));
    assert_non_null(strstr(text, "CA:FALSE"));

    shell("openssl verify -x509_strict -CAfile realm/root.pem realm/root.pem");
    shell("openssl verify -CAfile realm/root.pem -purpose sslclient berlin.enrol");
    shell("openssl verify -CAfile realm/root.pem -purpose sslserver realm/issued/berlin-*.pem");
    shell("openssl pkey -noout -text -in berlin.enrol");
}

static void an_enrolment_file_is_private_and_loads(void **state)
{
    struct identity *identity;
    char why[400], *text;

    (void)state;
    assert_int_equal(mode_of(at("berlin.enrol")), 0600);
    assert_int_equal(identity_load(at("berlin.enrol"), NULL, &identity, why, sizeof why), 0);
    assert_string_equal(identity_certificate(identity)->site, "berlin");
    assert_int_equal(identity_supernode_count(identity), 2);
    assert_string_equal(identity_supernode(identity, 0), "192.0.2.1:443");
    assert_string_equal(identity_supernode(identity, 1), "[2001:db8::1]:443");
    assert_null(identity_supernode(identity, 2));
    identity_free(identity);

    assert_int_equal(overlay_enrolment_check(at("berlin.enrol"), NULL, &text, why, sizeof why), 0);
    assert_non_null(strstr(text, "realm: example.org\nsite: berlin\nnumbers: +4930123 +4930124\n"
                                 "roles: gateway supernode\nnode: "));
    assert_non_null(strstr(text, "(90 days)\nsupernodes: 192.0.2.1:443 [2001:db8::1]:443\n"));
    free(text);
}

static void wrong_enrolments_say_what_to_write(void **state)
{
    static const struct {
        const char *site, *number, *supernode;
        unsigned roles;
        int days;
        const char *why;
    } cases[] = {
        {"Berlin", NULL, NULL, 1, 9, "site \"Berlin\": a site is"},
        {"", NULL, NULL, 1, 9, "a site is"},
        {NULL, NULL, NULL, 1, 9, "a site is"},
        {"-x", NULL, NULL, 1, 9, "a site is"},
        {"a,URI:sallyport:role:relay", NULL, NULL, 1, 9, "a site is"},
        {"x", "4930", NULL, 1, 9, "number \"4930\": a number is"},
        {"x", "+", NULL, 1, 9, "a number is"},
        {"x", "+1234567890123456", NULL, 1, 9, "a number is"},
        {"x", NULL, "host", 1, 9, "\"host\" is not host:port"},
        {"x", NULL, "a:1\nsupernode: b:2", 1, 9, "is not host:port"},
        {"x", NULL, NULL, 0, 9, "at least one role"},
        {"x", NULL, NULL, 16, 9, "at least one role"},
        {"x", NULL, NULL, 1, 0, "a lifetime is 1 to"},
        {"x", NULL, NULL, 1, 4000, "the realm's root itself expires on"},
    };
    char why[300];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct overlay_enrolment enrolment = {.site = cases[i].site,
                                              .numbers = {cases[i].number},
                                              .number_count = cases[i].number ? 1 : 0,
                                              .supernodes = {cases[i].supernode},
                                              .supernode_count = cases[i].supernode ? 1 : 0,
                                              .roles = cases[i].roles,
                                              .days = cases[i].days};
        why[0] = '\0';
        assert_int_equal(overlay_realm_enrol(realm_a, &enrolment, at("x"), why, sizeof why),
                         -EINVAL);
        if (!strstr(why, cases[i].why))
            print_error("case %zu: %s\n", i, why);
        assert_non_null(strstr(why, cases[i].why));
        assert_int_equal(access(at("x"), F_OK), -1);
    }
    struct overlay_enrolment good = {.site = "x", .roles = 1, .days = 1};
    assert_int_equal(overlay_realm_enrol(realm_a, &good, at("berlin.enrol"), why, sizeof why),
                     -EEXIST);
    assert_int_equal(overlay_realm_enrol(at("none"), &good, at("x"), why, sizeof why), -ENOENT);
    assert_non_null(strstr(why, "none/root.pem: cannot be read; make a realm"));
}

static void what_could_not_be_revoked_is_not_given_out(void **state)
{
    const struct overlay_enrolment good = {.site = "x", .roles = 1, .days = 1};
    char why[300], full[80];

    (void)state;
    snprintf(full, sizeof full, "%s/full", folder);
    assert_int_equal(overlay_realm_new(full, "full", 9, why, sizeof why), 0);
    shell(": >full/issued"); /* a file where the folder should be */
    assert_true(overlay_realm_enrol(full, &good, at("x"), why, sizeof why) < 0);
    assert_int_equal(access(at("x"), F_OK), -1);
}

static void wrong_files_say_which_and_why(void **state)
{
    static const struct {
        const char *make; /* shell that makes "wrong" */
        int error;
        const char *why;
    } cases[] = {
        {"true", -ENOENT, "/wrong: no such file"},
        {"mkdir wrong", -EISDIR, "/wrong: is a folder"},
        {": >wrong", -EINVAL, "is no enrolment file; make one with `sallyport realm enrol`"},
        {"head -c 2000 /dev/urandom >wrong", -EINVAL, "is no enrolment file"},
        {"head -c 2000000 /dev/zero >wrong", -EFBIG, "is larger than"},
        {"cp realm/root.key wrong", -EINVAL, "is a private key but no node certificate; enrol"},
        {"cp realm/root.pem wrong", -EINVAL, "is a realm root but no node certificate"},
        {"openssl x509 -in berlin.enrol >wrong", -EINVAL, "is a certificate but no private key"},
        {"openssl x509 -in berlin.enrol >wrong; openssl pkey -in berlin.enrol >>wrong", -EINVAL,
         "the realm's root is missing"},
        {"cat berlin.enrol berlin.enrol >wrong", -EINVAL, "holds two node certificates"},
        {"cat berlin.enrol realm/root.pem >wrong", -EINVAL, "holds two realm roots"},
        {"cat berlin.enrol realm/root.key >wrong", -EINVAL, "holds two private keys"},
        {"openssl x509 -in berlin.enrol >wrong; cat realm/root.key realm/root.pem >>wrong", -EINVAL,
         "the private key does not belong to the certificate"},
        {"sed 's/^M.\\{9\\}/M****/' berlin.enrol >wrong", -EINVAL, "is damaged"},
        {"head -c 300 berlin.enrol >wrong", -EINVAL, "is damaged"},
        {"sed 's/192.0.2.1:443/192.0.2.1/' berlin.enrol >wrong", -EINVAL,
         "supernode \"192.0.2.1\" is not host:port"},
        {"openssl genpkey -algorithm rsa -pkeyopt rsa_keygen_bits:1024 -out k; openssl req -x509 "
         "-key k -subj /CN=x -days 9 -addext basicConstraints=CA:FALSE -out wrong; cat k "
         "realm/root.pem >>wrong",
         -EINVAL, "the private key is not Ed25519"},
        {"openssl req -x509 -newkey ed25519 -nodes -keyout k -subj /CN=x -days 9 -addext "
         "basicConstraints=CA:FALSE -out wrong; cat k realm/root.pem >>wrong",
         -EINVAL, "of another realm: it does not belong to the root beside it"},
        {"openssl x509 -in berlin.enrol >wrong; openssl pkey -in berlin.enrol -aes128 -passout "
         "pass:x -passin pass: >>wrong",
         -EINVAL, "its private key is encrypted"},
        {"openssl req -new -key realm/root.key -subj /CN=x >wrong", -EINVAL,
         "holds a \"CERTIFICATE REQUEST\" block"},
    };
    char why[400], command[1024];
    struct identity *identity;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(command, sizeof command, "rm -rf wrong k; %s", cases[i].make);
        shell(command);
        int error = identity_load(at("wrong"), NULL, &identity, why, sizeof why);
        if (error != cases[i].error || !strstr(why, cases[i].why))
            print_error("case %zu: %d %s\n", i, error, why);
        assert_int_equal(error, cases[i].error);
        assert_non_null(strstr(why, cases[i].why));
        assert_non_null(strstr(why, folder));
    }
    shell("rm -rf wrong k");
}

static void write_text(const char *path, const char *text)
{
    FILE *out = fopen(path, "w");

    assert_non_null(out);
    fputs(text, out);
    fclose(out);
    chmod(path, 0600);
}

static void an_expired_enrolment_says_when_and_what_to_do(void **state)
{
    struct realm realm;
    struct identity *identity;
    char why[400];

    (void)state;
    fixture_realm(&realm);
    char *pem = fixture_pem(&realm, "berlin", NULL, CONF_ROLE_GATEWAY, 1767225600); /* 2026-01-01 */
    write_text(at("old.enrol"), pem);
    free(pem);
    realm_fini(&realm);
    assert_int_equal(identity_load(at("old.enrol"), NULL, &identity, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "old.enrol: expired on 2026-01-31: enrol the node again with "
                                "`sallyport realm enrol`"));
}

static void revoked_nodes_are_refused_by_all(void **state)
{
    struct identity *judge, *judged;
    struct certificate certificate;
    char why[400];

    (void)state;
    enrol(realm_a, "paris.enrol", "paris");
    enrol(realm_a, "rome.enrol", "rome");
    assert_int_equal(overlay_realm_revoke(realm_a, at("paris.enrol"), why, sizeof why), 0);
    assert_int_equal(overlay_realm_revoke(realm_a, at("paris.enrol"), why, sizeof why), 0);
    shell("cp realm/issued/rome-*.pem rome.pem");
    assert_int_equal(overlay_realm_revoke(realm_a, at("rome.pem"), why, sizeof why), 0);

    const char *text = shell("openssl crl -noout -text -in realm/revoked.pem");
    const char *first = strstr(text, "Serial Number:");
    assert_non_null(first);
    const char *second = strstr(first + 1, "Serial Number:");
    assert_non_null(second);
    assert_null(strstr(second + 1, "Serial Number:"));
    assert_non_null(strstr(text, "X509v3 CRL Number"));
    shell("openssl crl -noout -CAfile realm/root.pem -in realm/revoked.pem");
    shell(
        "openssl verify -crl_check -CRLfile realm/revoked.pem -CAfile realm/root.pem berlin.enrol");
    shell(
        "! openssl verify -crl_check -CRLfile realm/revoked.pem -CAfile realm/root.pem rome.enrol");

    const char *list = at("realm/revoked.pem");
    assert_int_equal(identity_load(at("berlin.enrol"), list, &judge, why, sizeof why), 0);
    assert_int_equal(identity_load(at("paris.enrol"), NULL, &judged, why, sizeof why), 0);
    const struct certificate *paris = identity_certificate(judged);
    assert_int_equal(identity_verify(judge, paris->der, paris->der_bytes, time(NULL), &certificate,
                                     why, sizeof why),
                     -EACCES);
    assert_string_equal(why, "revoked");
    identity_free(judge);
    identity_free(judged);
    assert_int_equal(identity_load(at("paris.enrol"), list, &judged, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "our certificate is revoked"));
}

static void only_nodes_of_the_realm_are_revoked(void **state)
{
    char why[400], other[80];
    struct identity *identity;

    (void)state;
    snprintf(other, sizeof other, "%s/other", folder);
    assert_int_equal(overlay_realm_new(other, "other", 100, why, sizeof why), 0);
    enrol(other, "there.enrol", "there");
    assert_int_equal(overlay_realm_revoke(realm_a, at("there.enrol"), why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "is a certificate of another realm"));
    assert_int_equal(overlay_realm_revoke(realm_a, at("realm/root.pem"), why, sizeof why), -EINVAL);
    assert_int_equal(overlay_realm_revoke(realm_a, at("none"), why, sizeof why), -ENOENT);
    assert_int_equal(overlay_realm_revoke(realm_a, at("realm/root.key"), why, sizeof why), -EINVAL);

    assert_int_equal(overlay_realm_revoke(other, at("there.enrol"), why, sizeof why), 0);
    assert_int_equal(
        identity_load(at("berlin.enrol"), at("other/revoked.pem"), &identity, why, sizeof why),
        -EINVAL);
    assert_non_null(strstr(why, "is not signed by the root of our realm"));
    assert_int_equal(
        identity_load(at("berlin.enrol"), at("berlin.enrol"), &identity, why, sizeof why), -EINVAL);
    assert_non_null(strstr(why, "is no revocation list"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_realm_is_made_once),
        cmocka_unit_test(openssl_reads_all_of_it),
        cmocka_unit_test(an_enrolment_file_is_private_and_loads),
        cmocka_unit_test(wrong_enrolments_say_what_to_write),
        cmocka_unit_test(what_could_not_be_revoked_is_not_given_out),
        cmocka_unit_test(wrong_files_say_which_and_why),
        cmocka_unit_test(an_expired_enrolment_says_when_and_what_to_do),
        cmocka_unit_test(revoked_nodes_are_refused_by_all),
        cmocka_unit_test(only_nodes_of_the_realm_are_revoked),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
