/* From observations to a class, and to words that a person understands. */
#include "overlay/reach.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *reach_class_name(enum overlay_class class)
{
    static const char *const names[] = {
        [OVERLAY_CLASS_UNKNOWN] = "unknown",   [OVERLAY_CLASS_TCP] = "tcp",
        [OVERLAY_CLASS_UDP_HARD] = "udp-hard", [OVERLAY_CLASS_UDP_EASY] = "udp-easy",
        [OVERLAY_CLASS_OPEN] = "open",
    };
    return names[class];
}

static void say(struct reach_verdict *verdict, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(struct reach_verdict *verdict, const char *format, ...)
{
    size_t used = strlen(verdict->reason);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(verdict->reason + used, sizeof verdict->reason - used, format, arguments);
    va_end(arguments);
}

/* ---- what the servers saw ---------------------------------------------------------------------
 */

static int count_answers(const struct reach_facts *facts, enum reach_answer answer)
{
    int count = 0;

    for (int i = 0; i < facts->server_count; i++)
        count += facts->server[i].answer == answer;
    return count;
}

/* "198.18.0.11:443 and 198.18.0.12:443" */
static void list_silent(const struct reach_facts *facts, char *text, size_t bytes)
{
    size_t used = 0;

    text[0] = '\0';
    for (int i = 0; i < facts->server_count; i++)
        if (facts->server[i].answer == REACH_SILENT && used < bytes)
            used += (size_t)snprintf(text + used, bytes - used, "%s%s", used ? " and " : "",
                                     facts->server[i].name);
}

static bool is_host(const struct reach_facts *facts, const struct sockaddr_storage *address)
{
    for (int i = 0; i < facts->host_count; i++)
        if (address_equal(&facts->host[i], address))
            return true;
    return false;
}

/* Two servers beyond the same NAT that see us at different addresses. One that sees us as we see
 * ourselves is on our side of it and says nothing about it. */
static bool find_difference(const struct reach_facts *facts, const struct reach_server **one,
                            const struct reach_server **other)
{
    for (int i = 0; i < facts->server_count; i++) {
        *one = &facts->server[i];
        if ((*one)->answer != REACH_ANSWERED || is_host(facts, &(*one)->mapped))
            continue;
        for (int k = 0; k < i; k++) {
            *other = &facts->server[k];
            if ((*other)->answer == REACH_ANSWERED && !is_host(facts, &(*other)->mapped) &&
                (*other)->mapped.ss_family == (*one)->mapped.ss_family &&
                !address_equal(&(*other)->mapped, &(*one)->mapped))
                return true;
        }
    }
    return false;
}

/* ---- verdicts ---------------------------------------------------------------------------------
 */

static void judge_without_udp(const struct reach_facts *facts, struct reach_verdict *verdict)
{
    char silent[160];

    verdict->class = OVERLAY_CLASS_TCP;
    if (facts->is_hidden) {
        say(verdict, "overlay.relay_only is set: media goes through relays");
        return;
    }
    if (facts->is_udp_off) {
        say(verdict, "overlay.udp is off: outgoing TCP only");
        return;
    }
    verdict->is_udp_blocked = true;
    list_silent(facts, silent, sizeof silent);
    if (silent[0])
        say(verdict, "UDP gets no answer from %s; the firewall seems to let out TCP only", silent);
    else
        say(verdict, "this machine has no way to send UDP to the supernodes");
    if (facts->proxy)
        say(verdict, ", through the proxy %s", facts->proxy);
}

static void judge_mapping(const struct reach_facts *facts, struct reach_verdict *verdict)
{
    const struct reach_server *one, *other;
    char a[ADDRESS_TEXT_MAX], b[ADDRESS_TEXT_MAX];
    int answers = count_answers(facts, REACH_ANSWERED);

    if (find_difference(facts, &one, &other)) {
        verdict->class = OVERLAY_CLASS_UDP_HARD;
        say(verdict,
            "the NAT gives each destination another address of ours: %s sees %s, %s sees %s",
            other->name, address_format(&other->mapped, a), one->name,
            address_format(&one->mapped, b));
        return;
    }
    verdict->class = OVERLAY_CLASS_UDP_EASY;
    for (int i = 0; i < facts->server_count; i++) {
        const struct reach_server *server = &facts->server[i];
        if (server->answer != REACH_ANSWERED || is_host(facts, &server->mapped))
            continue;
        say(verdict, "UDP goes out, and the NAT shows us to %s as %s",
            answers > 1 ? "everybody" : server->name, address_format(&server->mapped, a));
        if (answers == 1)
            say(verdict, " (a second supernode would tell whether to others as well)");
        return;
    }
    say(verdict, "UDP goes out, there is no NAT");
}

static void judge_dial_back(const struct reach_facts *facts, struct reach_verdict *verdict)
{
    verdict->takes_tcp = facts->tcp == REACH_DIALED;
    if (facts->tcp == REACH_DIALED && facts->udp == REACH_DIALED) {
        verdict->class = OVERLAY_CLASS_OPEN;
        verdict->reason[0] = '\0';
        say(verdict, "a supernode has reached us by TCP and UDP");
    } else if (facts->tcp == REACH_DIALED) {
        say(verdict, "; a supernode has reached us by TCP, but not by UDP");
    } else if (facts->tcp == REACH_NOT_DIALED) {
        say(verdict, "; overlay.listen is set, but a supernode cannot reach us there: %s",
            facts->dialed_why);
    }
}

void reach_judge(const struct reach_facts *facts, struct reach_verdict *verdict)
{
    *verdict = (struct reach_verdict){.class = OVERLAY_CLASS_UNKNOWN};
    if (facts->is_udp_off || facts->is_hidden)
        judge_without_udp(facts, verdict);
    else if (count_answers(facts, REACH_ANSWERED) > 0)
        judge_mapping(facts, verdict);
    else if (facts->server_count > 0 && count_answers(facts, REACH_WAITING) == 0)
        judge_without_udp(facts, verdict);
    else
        say(verdict, facts->server_count ? "asking supernodes where they see us"
                                         : "no supernode can be asked where it sees us");
    judge_dial_back(facts, verdict);
    if (verdict->class == OVERLAY_CLASS_UNKNOWN && facts->serves && facts->server_count == 0) {
        verdict->class = OVERLAY_CLASS_OPEN;
        verdict->takes_tcp = true;
        verdict->reason[0] = '\0';
        say(verdict, "taken for open, since it serves others; no other supernode is there to try");
    }
}
