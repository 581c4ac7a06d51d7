/* Hostile and merely difficult input over UDP and TCP: the messages of RFC 4475 and RFC 5118 as
 * they stand, cut short and mutated, and INVITEs whose descriptions make other parsers run for
 * ever. The gateway must neither crash nor hang, and serve the next phone. */
#include "phone.h"

#include <dirent.h>

#define PORT 43500
#define FILES_MAX 80
#define FILE_BYTES_MAX 16384
#define CORPORA "tests/interop/corpora/"

struct message {
    char bytes[FILE_BYTES_MAX];
    size_t count;
};

static struct message messages[FILES_MAX];
static int message_count;

static void load_folder(const char *name)
{
    DIR *folder = opendir(name);
    struct dirent *entry;
    char path[512];

    if (!folder)
        fail_msg("%s is missing: run the tests from the root of the repository", name);
    while ((entry = readdir(folder))) {
        struct message *m = &messages[message_count];
        FILE *file;

        if (entry->d_name[0] == '.' || message_count == FILES_MAX)
            continue;
        snprintf(path, sizeof path, "%s/%s", name, entry->d_name);
        file = fopen(path, "r");
        assert_non_null(file);
        m->count = fread(m->bytes, 1, sizeof m->bytes, file);
        fclose(file);
        message_count++;
    }
    closedir(folder);
}

static int setup(void **state)
{
    struct lab *lab = lab_open(PORT);

    assert_int_equal(lab_start(lab), 0);
    *state = lab;
    if (!message_count) {
        load_folder(CORPORA "rfc4475");
        load_folder(CORPORA "rfc5118");
    }
    assert_int_equal(message_count, 61);
    return 0;
}

static int teardown(void **state)
{
    lab_close(*state);
    return 0;
}

/* A phone that comes now is served at once. */
static void expect_service(struct lab *lab)
{
    static struct phone p;
    uint64_t start = lab_now_ms();

    for (int tcp = 0; tcp < 2; tcp++) {
        phone_open(&p, lab, tcp, "201", SECRET_201);
        phone_register(&p, phone_contact(&p), "");
        assert_int_equal(phone_status(&p), 200);
        phone_close(&p);
    }
    assert_true(lab_now_ms() - start < 1000);
}

/* Sends on a fresh socket; the connection may be closed on us. */
static void throw_at(struct lab *lab, bool tcp, const char *bytes, size_t count)
{
    static struct phone p;

    phone_open(&p, lab, tcp, "201", SECRET_201);
    phone_send_bytes(&p, bytes, count);
    for (int i = 0; i < 4; i++)
        lab_turn(lab, 0);
    phone_close(&p);
}

static void torture_messages(void **state)
{
    struct lab *lab = *state;

    for (int i = 0; i < message_count; i++)
        for (int tcp = 0; tcp < 2; tcp++)
            throw_at(lab, tcp, messages[i].bytes, messages[i].count);
    lab_run(lab, 50);
    expect_service(lab);
}

static void cut_messages(void **state)
{
    struct lab *lab = *state;

    for (int i = 0; i < message_count; i++)
        for (size_t cut = 1; cut < messages[i].count; cut += 1 + messages[i].count / 12)
            for (int tcp = 0; tcp < 2; tcp++)
                throw_at(lab, tcp, messages[i].bytes, messages[i].count - cut);
    lab_run(lab, 50);
    expect_service(lab);
}

static uint32_t dice = 1;

static uint32_t roll(uint32_t sides)
{
    dice = dice * 1664525u + 1013904223u;
    return (dice >> 8) % sides;
}

static void mutated_messages(void **state)
{
    static const char tokens[] = "\r\n\t ,;:=<>\"@%\\[]()*0\xff";
    static struct message m;
    struct lab *lab = *state;

    for (int round = 0; round < 3000; round++) {
        m = messages[roll((uint32_t)message_count)];
        for (uint32_t n = 1 + roll(8); n && m.count; n--)
            m.bytes[roll((uint32_t)m.count)] = tokens[roll(sizeof tokens)];
        throw_at(lab, roll(2), m.bytes, m.count);
    }
    lab_run(lab, 50);
    expect_service(lab);
}

static const char *const strange_media[] = {
    "m=image 4000 udptl \t\r\n",
    "m=audio 4000 udptl , ;\r\n",
    "m=message 4000 foo \x01\r\n",
    "m=audio 4000 RTP/AVP \t\r\n",
    "m=audio 4000 RTP/AVP 0\r\nm=image 4000 udptl \t\r\n",
    "m=\r\n",
    "m=audio 4000 RTP/AVP ,\r\na=rtpmap:, ,/,\r\n",
};

/* From a stranger, and from a phone that has authenticated. */
static void strange_descriptions(void **state)
{
    struct lab *lab = *state;
    static struct phone p;
    struct talk t;
    char sdp[512];

    for (int tcp = 0; tcp < 2; tcp++) {
        phone_open(&p, lab, tcp, "201", SECRET_201);
        for (size_t i = 0; i < sizeof strange_media / sizeof *strange_media; i++) {
            snprintf(sdp, sizeof sdp, SDP_HEAD "%s", strange_media[i]);
            phone_dial(&p, &t, "202", sdp);
            assert_true(phone_read_within(&p, PATIENCE_MS));
            if (phone_status(&p) == 100) { /* a usable stream is among them */
                struct call_cause cause = call_cause(CALL_BUSY, NULL);

                lab_expect(lab, "invite");
                sip_call_reject(lab->call, &cause);
                phone_expect(&p, 486);
                continue;
            }
            assert_true(phone_status(&p) == 488 || phone_status(&p) == 400);
        }
        phone_close(&p);
    }
    expect_service(lab);
}

/* Large is refused, wherever it comes in. */
static void large_messages(void **state)
{
    struct lab *lab = *state;
    size_t size = 60000;
    char *bytes = malloc(size);

    assert_non_null(bytes);
    memset(bytes, ',', size);
    memcpy(bytes, "OPTIONS sip:x SIP/2.0\r\nAccept: ", 31);
    throw_at(lab, false, bytes, size);
    throw_at(lab, true, bytes, size);
    for (size_t i = 31; i + 6 < size; i += 6)
        memcpy(bytes + i, "\r\nA: b", 6);
    throw_at(lab, false, bytes, size);
    throw_at(lab, true, bytes, size);
    free(bytes);
    lab_run(lab, 50);
    expect_service(lab);
}

/* The port of the UDP socket of ours that no setting names: nta's, behind the TCP front. */
static uint16_t hidden_port(const struct lab *lab)
{
    struct sockaddr_storage address;
    uint16_t port = 0;

    for (int fd = 0; fd < 256; fd++) {
        socklen_t length = sizeof address;
        int type = 0;
        socklen_t type_length = sizeof type;

        if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &type_length) || type != SOCK_DGRAM ||
            getsockname(fd, (struct sockaddr *)&address, &length) || address.ss_family != AF_INET ||
            address_port(&address) == lab->port)
            continue;
        assert_int_equal(port, 0);
        port = address_port(&address);
    }
    return port;
}

/* Whoever sends there without being one of our connections gets nothing. */
static void strangers_behind_the_front_are_ignored(void **state)
{
    static const char ask[] = "OPTIONS sip:x SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKq\r\n"
                              "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: q\r\n"
                              "CSeq: 1 OPTIONS\r\n\r\n";
    struct lab *lab = *state;
    static struct phone p;
    struct sockaddr_storage to;
    uint16_t port = hidden_port(lab);

    assert_int_not_equal(port, 0);
    phone_open(&p, lab, false, "201", SECRET_201);
    lab_loopback(&to, port);
    assert_int_equal(connect(p.fd, (struct sockaddr *)&to, sizeof(struct sockaddr_in)), 0);
    phone_send_bytes(&p, ask, sizeof ask - 1);
    assert_false(phone_read_within(&p, 100));
    phone_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(torture_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(cut_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(mutated_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(strange_descriptions, setup, teardown),
        cmocka_unit_test_setup_teardown(large_messages, setup, teardown),
        cmocka_unit_test_setup_teardown(strangers_behind_the_front_are_ignored, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
