/* From what was observed to a class and its reason: one row per kind of network. */
#include "overlay/reach.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

struct row {
    const char *what;
    const char *hosts[2];
    struct {
        const char *name;
        enum reach_answer answer;
        const char *mapped;
    } server[3];
    enum reach_dialed tcp, udp;
    const char *dialed_why, *proxy;
    bool is_udp_off, is_hidden, serves;
    enum overlay_class class;
    bool is_udp_blocked, takes_tcp;
    const char *reason;
};

#define ONE "198.18.0.11:443"
#define TWO "198.18.0.12:443"

static const struct row rows[] = {
    {.what = "nobody to ask",
     .class = OVERLAY_CLASS_UNKNOWN,
     .reason = "no supernode can be asked where it sees us"},
    {.what = "no answer yet",
     .server = {{ONE, REACH_WAITING, NULL}},
     .class = OVERLAY_CLASS_UNKNOWN,
     .reason = "asking supernodes where they see us"},
    {.what = "one answers, the other is still waited for",
     .hosts = {"10.0.0.5:4000"},
     .server = {{ONE, REACH_WAITING, NULL}, {TWO, REACH_ANSWERED, "203.0.113.9:6100"}},
     .class = OVERLAY_CLASS_UDP_EASY,
     .reason =
         "UDP goes out, and the NAT shows us to 198.18.0.12:443 as 203.0.113.9:6100 (a second "
         "supernode would tell whether to others as well)"},
    {.what = "no NAT",
     .hosts = {"192.0.2.5:4000"},
     .server = {{ONE, REACH_ANSWERED, "192.0.2.5:4000"}, {TWO, REACH_ANSWERED, "192.0.2.5:4000"}},
     .class = OVERLAY_CLASS_UDP_EASY,
     .reason = "UDP goes out, there is no NAT"},
    {.what = "a NAT with one mapping",
     .hosts = {"10.0.0.5:4000"},
     .server = {{ONE, REACH_ANSWERED, "203.0.113.9:6100"},
                {TWO, REACH_ANSWERED, "203.0.113.9:6100"}},
     .class = OVERLAY_CLASS_UDP_EASY,
     .reason = "UDP goes out, and the NAT shows us to everybody as 203.0.113.9:6100"},
    {.what = "another port for each",
     .hosts = {"10.0.0.5:4000"},
     .server = {{ONE, REACH_ANSWERED, "203.0.113.9:6100"},
                {TWO, REACH_ANSWERED, "203.0.113.9:6101"}},
     .class = OVERLAY_CLASS_UDP_HARD,
     .reason = "the NAT gives each destination another address of ours: 198.18.0.11:443 sees "
               "203.0.113.9:6100, 198.18.0.12:443 sees 203.0.113.9:6101"},
    {.what = "one server on our side of the NAT tells nothing about it",
     .hosts = {"10.0.0.5:4000"},
     .server = {{ONE, REACH_ANSWERED, "10.0.0.5:4000"}, {TWO, REACH_ANSWERED, "203.0.113.9:6100"}},
     .class = OVERLAY_CLASS_UDP_EASY,
     .reason = "UDP goes out, and the NAT shows us to everybody as 203.0.113.9:6100"},
    {.what = "IPv4 and IPv6 are different by nature",
     .hosts = {"10.0.0.5:4000", "[2001:db8::5]:4000"},
     .server = {{ONE, REACH_ANSWERED, "203.0.113.9:6100"},
                {"[2001:db8:1::1]:443", REACH_ANSWERED, "[2001:db8::5]:4000"}},
     .class = OVERLAY_CLASS_UDP_EASY,
     .reason = "UDP goes out, and the NAT shows us to everybody as 203.0.113.9:6100"},
    {.what = "a firewall that lets TCP out only",
     .hosts = {"10.0.0.5:4000"},
     .server = {{ONE, REACH_SILENT, NULL}, {TWO, REACH_SILENT, NULL}},
     .class = OVERLAY_CLASS_TCP,
     .is_udp_blocked = true,
     .reason = "UDP gets no answer from 198.18.0.11:443 and 198.18.0.12:443; the firewall seems to "
               "let out TCP only"},
    {.what = "one is silent, which may be its own fault",
     .hosts = {"192.0.2.5:4000"},
     .server = {{ONE, REACH_SILENT, NULL}, {TWO, REACH_ANSWERED, "192.0.2.5:4000"}},
     .class = OVERLAY_CLASS_UDP_EASY,
     .reason = "UDP goes out, there is no NAT"},
    {.what = "IPv6 is not there, IPv4 blocked",
     .hosts = {"10.0.0.5:4000"},
     .server = {{ONE, REACH_SILENT, NULL}, {"[2001:db8:1::1]:443", REACH_UNREACHABLE, NULL}},
     .class = OVERLAY_CLASS_TCP,
     .is_udp_blocked = true,
     .reason = "UDP gets no answer from 198.18.0.11:443; the firewall seems to let out TCP only"},
    {.what = "behind a proxy",
     .hosts = {"10.0.0.5:4000"},
     .server = {{"sn.example:443", REACH_UNREACHABLE, NULL}},
     .proxy = "10.0.0.1:3128",
     .class = OVERLAY_CLASS_TCP,
     .is_udp_blocked = true,
     .reason = "this machine has no way to send UDP to the supernodes, through the proxy "
               "10.0.0.1:3128"},
    {.what = "UDP off by our settings",
     .is_udp_off = true,
     .server = {{ONE, REACH_WAITING, NULL}},
     .class = OVERLAY_CLASS_TCP,
     .reason = "overlay.udp is off: outgoing TCP only"},
    {.what = "hidden by our settings",
     .is_hidden = true,
     .class = OVERLAY_CLASS_TCP,
     .reason = "overlay.relay_only is set: media goes through relays"},
    {.what = "dialled back by both",
     .hosts = {"192.0.2.5:4000"},
     .server = {{ONE, REACH_ANSWERED, "192.0.2.5:4000"}},
     .tcp = REACH_DIALED,
     .udp = REACH_DIALED,
     .class = OVERLAY_CLASS_OPEN,
     .takes_tcp = true,
     .reason = "a supernode has reached us by TCP and UDP"},
    {.what = "dialled back by TCP only",
     .hosts = {"192.0.2.5:4000"},
     .server = {{ONE, REACH_ANSWERED, "192.0.2.5:4000"}},
     .tcp = REACH_DIALED,
     .udp = REACH_NOT_DIALED,
     .class = OVERLAY_CLASS_UDP_EASY,
     .takes_tcp = true,
     .reason = "UDP goes out, there is no NAT; a supernode has reached us by TCP, but not by UDP"},
    {.what = "listens, but is not reached",
     .hosts = {"192.0.2.5:4000"},
     .server = {{ONE, REACH_ANSWERED, "192.0.2.5:4000"}},
     .tcp = REACH_NOT_DIALED,
     .udp = REACH_NOT_DIALED,
     .dialed_why = "connection timed out",
     .class = OVERLAY_CLASS_UDP_EASY,
     .reason = "UDP goes out, there is no NAT; overlay.listen is set, but a supernode cannot reach "
               "us there: connection timed out"},
    {.what = "the only supernode",
     .serves = true,
     .class = OVERLAY_CLASS_OPEN,
     .takes_tcp = true,
     .reason = "taken for open, since it serves others; no other supernode is there to try"},
};

static void fill(const struct row *row, struct reach_facts *facts)
{
    *facts = (struct reach_facts){.proxy = row->proxy,
                                  .is_udp_off = row->is_udp_off,
                                  .is_hidden = row->is_hidden,
                                  .serves = row->serves,
                                  .tcp = row->tcp,
                                  .udp = row->udp};
    snprintf(facts->dialed_why, sizeof facts->dialed_why, "%s",
             row->dialed_why ? row->dialed_why : "");
    while (facts->host_count < 2 && row->hosts[facts->host_count]) {
        assert_int_equal(
            address_parse(row->hosts[facts->host_count], &facts->host[facts->host_count]), 0);
        facts->host_count++;
    }
    while (facts->server_count < 3 && row->server[facts->server_count].name) {
        struct reach_server *server = &facts->server[facts->server_count];
        const char *mapped = row->server[facts->server_count].mapped;

        strcpy(server->name, row->server[facts->server_count].name);
        server->answer = row->server[facts->server_count++].answer;
        assert_true(!mapped || address_parse(mapped, &server->mapped) == 0);
    }
}

static void each_network_has_its_class_and_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct row *row = &rows[i];
        struct reach_verdict verdict;
        struct reach_facts facts;

        fill(row, &facts);
        reach_judge(&facts, &verdict);
        if (verdict.class != row->class || verdict.is_udp_blocked != row->is_udp_blocked ||
            verdict.takes_tcp != row->takes_tcp || strcmp(verdict.reason, row->reason) != 0)
            fail_msg("%s: %s%s%s: \"%s\"", row->what, reach_class_name(verdict.class),
                     verdict.is_udp_blocked ? ", blocked" : "",
                     verdict.takes_tcp ? ", takes TCP" : "", verdict.reason);
    }
}

/* Names of servers come from others. */
static void long_names_do_no_harm(void **state)
{
    struct reach_facts facts = {.server_count = REACH_SERVERS_MAX};
    struct reach_verdict verdict;

    (void)state;
    for (int i = 0; i < REACH_SERVERS_MAX; i++) {
        memset(facts.server[i].name, 'a', ADDRESS_TEXT_MAX - 1);
        facts.server[i].answer = REACH_SILENT;
    }
    reach_judge(&facts, &verdict);
    assert_int_equal(verdict.class, OVERLAY_CLASS_TCP);
    assert_true(strlen(verdict.reason) < sizeof verdict.reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_network_has_its_class_and_reason),
        cmocka_unit_test(long_names_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
