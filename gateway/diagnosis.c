#include "gateway/diagnosis.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Less than this says nothing about the sound. */
#define TALK_MIN_MS 1500
/* What people hear as an interruption, and as bad sound. */
#define GAP_HEARD_US 150000
#define LOSS_HEARD_PER_MILLE 30

struct sentence {
    char *text;
    size_t used;
};

static void say(struct sentence *sentence, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void say(struct sentence *sentence, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    int bytes =
        vsnprintf(sentence->text + sentence->used, DIAGNOSIS_MAX - sentence->used, format, args);
    va_end(args);
    sentence->used += bytes > 0 ? (size_t)bytes : 0;
    if (sentence->used >= DIAGNOSIS_MAX)
        sentence->used = DIAGNOSIS_MAX - 1;
}

typedef bool (*rule)(const struct diagnosis_facts *facts, struct sentence *out);

static const struct diagnosis_leg *leg_a(const struct diagnosis_facts *facts)
{
    return &facts->legs[MEDIA_A];
}

static const struct diagnosis_leg *leg_b(const struct diagnosis_facts *facts)
{
    return &facts->legs[MEDIA_B];
}

/* The site in "201@paris"; a number has none. */
static const char *site_of(const struct diagnosis_leg *leg)
{
    const char *at = strrchr(leg->name, '@');

    return at ? at + 1 : leg->name;
}

/* ---- calls that were never answered -----------------------------------------------------------
 */

static bool was_refused(const struct diagnosis_facts *facts, struct sentence *out)
{
    const char *name = leg_a(facts)->name;

    switch (facts->refusal) {
    case DIAGNOSIS_NOT_REFUSED:
        return false;
    case DIAGNOSIS_NO_SUCH_USER:
        say(out,
            "Refused: there is no phone \"%s\" in the settings. Correct the user name in the "
            "phone, or add a phone section.",
            name);
        break;
    case DIAGNOSIS_WRONG_PASSWORD:
        say(out,
            "Refused: phone %s sent a wrong password. Enter the secret of its phone section "
            "in the phone again.",
            name);
        break;
    case DIAGNOSIS_UNKNOWN_CODECS:
        say(out,
            "Refused: phone %s offered no codec that is known here. Switch on opus, g722, "
            "pcma or pcmu in the phone.",
            name);
        break;
    case DIAGNOSIS_BAD_REQUEST:
        say(out,
            "Refused: the INVITE of phone %s could not be understood; `sallyport run` logs "
            "what is wrong with it.",
            name);
        break;
    }
    return true;
}

static bool is_in_setup(const struct diagnosis_facts *facts, struct sentence *out)
{
    if (!facts->is_live || facts->was_answered)
        return false;
    if (facts->is_ringing)
        say(out, "%s rings; nobody has answered yet.", leg_b(facts)->name);
    else if (leg_b(facts)->kind == DIAGNOSIS_NODE)
        say(out, "Still being set up: %s",
            facts->has_arrived ? "the far node has the call, its phone does not "
                                 "ring yet."
                               : "the far site has not been reached yet.");
    else
        say(out, "Still being set up: %s does not ring yet.", leg_b(facts)->name);
    return true;
}

static void was_not_found(const struct diagnosis_facts *facts, struct sentence *out)
{
    const struct diagnosis_leg *b = leg_b(facts);

    if (b->kind == DIAGNOSIS_NODE && facts->has_arrived)
        say(out, "Site %s has no such number: %s.", site_of(b), b->name);
    else if (b->kind == DIAGNOSIS_NODE)
        say(out,
            "No such site: nobody in the realm serves %s. Check the name, and that this site "
            "was enrolled under it and has been started.",
            site_of(b));
    else
        say(out,
            "No such number: no phone and no route matches %s. Add one, or correct the "
            "number.",
            b->name);
}

static void was_unavailable(const struct diagnosis_facts *facts, struct sentence *out)
{
    const struct diagnosis_leg *b = leg_b(facts);

    if (b->kind == DIAGNOSIS_NODE && facts->has_arrived)
        say(out, "At site %s: %s. `sallyport why` there, with the same call id, tells more.",
            site_of(b), facts->cause.text);
    else if (b->kind == DIAGNOSIS_NODE && strstr(facts->cause.text, "directory"))
        say(out,
            "The supernodes did not answer when they were asked for %s: see `sallyport status` for "
            "how they are reached.",
            site_of(b));
    else if (b->kind == DIAGNOSIS_NODE)
        say(out,
            "Site %s is offline: its node is attached to no supernode. See `sallyport "
            "status` there.",
            site_of(b));
    else if (*facts->refused_from)
        say(out,
            "Phone %s is not registered: it tried from %s with a wrong password. Enter the secret "
            "of its phone section in the phone again.",
            b->name, facts->refused_from);
    else if (strstr(facts->cause.text, "registered"))
        say(out,
            "Phone %s is not registered. Check that it is on, its account and password, and "
            "that it reaches this gateway.",
            b->name);
    else
        say(out,
            "Phone %s does not answer where it registered: it was switched off, or its "
            "network has changed.",
            b->name);
}

static void had_no_codec(const struct diagnosis_facts *facts, struct sentence *out)
{
    bool has_node = leg_b(facts)->kind == DIAGNOSIS_NODE || leg_a(facts)->kind == DIAGNOSIS_NODE;

    say(out, "No common codec between %s and %s. Add one that both ends have to media.codecs%s.",
        leg_a(facts)->name, leg_b(facts)->name, has_node ? " or media.peer_codecs" : "");
}

static bool was_not_answered(const struct diagnosis_facts *facts, struct sentence *out)
{
    const char *b = leg_b(facts)->name, *text = facts->cause.text;

    if (facts->was_answered)
        return false;
    switch (facts->cause.reason) {
    case CALL_NOT_FOUND:
        was_not_found(facts, out);
        break;
    case CALL_UNAVAILABLE:
        was_unavailable(facts, out);
        break;
    case CALL_NOT_ACCEPTABLE:
        had_no_codec(facts, out);
        break;
    case CALL_NO_SUPERNODE:
        say(out, "No supernode could be reached%s%s: no other site can be called until one can.",
            *facts->no_supernode ? ": " : "", facts->no_supernode);
        break;
    case CALL_BUSY:
    case CALL_BUSY_EVERYWHERE:
        say(out, "%s was busy.", b);
        break;
    case CALL_DECLINED:
        say(out, "%s declined the call.", b);
        break;
    case CALL_NO_ANSWER:
        say(out, "%s rang, and nobody answered.", b);
        break;
    case CALL_NORMAL:
    case CALL_CANCELLED:
        say(out, "The caller hung up before %s answered.", b);
        break;
    case CALL_TIMEOUT:
        say(out, "%s got the call but did not say anything for too long: %s.",
            leg_b(facts)->kind == DIAGNOSIS_NODE ? site_of(leg_b(facts)) : b, text);
        break;
    case CALL_FORBIDDEN:
        say(out, "%s does not allow the call: %s.", b, text);
        break;
    default:
        say(out, "The call to %s failed: %s.", b,
            *text ? text : call_reason_name(facts->cause.reason));
    }
    return true;
}

/* ---- the sound --------------------------------------------------------------------------------
 */

static bool is_deaf(const struct diagnosis_facts *facts, int side)
{
    const struct diagnosis_leg *leg = &facts->legs[side];

    return leg->is_expected && (leg->kind == DIAGNOSIS_PHONE || leg->kind == DIAGNOSIS_NODE) &&
           leg->first_voice_ms == 0 && leg->stats->packets_in == 0;
}

static void tell_deaf(const struct diagnosis_facts *facts, int side, struct sentence *out)
{
    const struct diagnosis_leg *leg = &facts->legs[side];
    char text[ADDRESS_TEXT_MAX];

    if (leg->kind == DIAGNOSIS_NODE && !*facts->path) {
        say(out, "nothing came from %s, because no path to it was ever found%s%s", leg->name,
            *facts->reach ? ": " : "", facts->reach);
        return;
    }
    if (leg->kind == DIAGNOSIS_NODE) {
        say(out,
            "nothing came from %s by %s; `sallyport why` there, with the same call id, tells "
            "whether its phone sent anything",
            leg->name, facts->path);
        return;
    }
    say(out, "no RTP came from phone %s", leg->name);
    if (leg->named.ss_family)
        say(out, ", which should send it from %s", address_format(&leg->named, text));
    if (leg->stats->rejected > 0)
        say(out, "; %llu packets of strangers or of unknown codecs were refused",
            (unsigned long long)leg->stats->rejected);
    else
        say(out, "; look at the phone's microphone and mute key, and for a firewall between it "
                 "and the ports of media.ports");
}

static bool is_one_way(const struct diagnosis_facts *facts, struct sentence *out)
{
    bool is_timeout = facts->cause.reason == CALL_MEDIA_TIMEOUT && !facts->is_live;
    bool is_a_deaf = is_deaf(facts, MEDIA_A), is_b_deaf = is_deaf(facts, MEDIA_B);

    if (!facts->was_answered || (!is_a_deaf && !is_b_deaf) ||
        (facts->talk_ms < TALK_MIN_MS && !is_timeout))
        return false;
    say(out, "%s audio: ", is_a_deaf && is_b_deaf ? "No" : "One-way");
    if (is_a_deaf)
        tell_deaf(facts, MEDIA_A, out);
    if (is_a_deaf && is_b_deaf)
        say(out, "; and ");
    if (is_b_deaf)
        tell_deaf(facts, MEDIA_B, out);
    say(out, ".");
    return true;
}

static bool is_path_dead(const struct diagnosis_facts *facts, struct sentence *out)
{
    if (!facts->was_answered || !facts->is_path_lost)
        return false;
    say(out,
        "The path (%s) died and no other way worked: something between the sites cut the "
        "connection, or the far node went down.%s",
        facts->path, facts->is_live ? " Another way is still looked for." : "");
    return true;
}

static bool has_timed_out(const struct diagnosis_facts *facts, struct sentence *out)
{
    if (facts->is_live || facts->cause.reason != CALL_MEDIA_TIMEOUT)
        return false;
    for (int side = 0; side < 2; side++) {
        const struct diagnosis_leg *leg = &facts->legs[side];
        if (facts->ended_by != side)
            continue;
        say(out, "Ended because no sound came from %s any more: %s.", leg->name,
            leg->kind == DIAGNOSIS_PHONE
                ? "the phone crashed, lost its network, or stopped sending without a word"
                : "its site lost its network, or its phone went silent");
        return true;
    }
    say(out, "Ended because no sound came any more.");
    return true;
}

static bool is_interrupted(const struct diagnosis_facts *facts, struct sentence *out)
{
    const struct diagnosis_leg *worst = leg_a(facts);

    if (!facts->was_answered)
        return false;
    if (leg_b(facts)->stats->longest_gap_us > worst->stats->longest_gap_us)
        worst = leg_b(facts);
    if (worst->stats->longest_gap_us < GAP_HEARD_US)
        return false;
    say(out, "Sound from %s was interrupted %u time%s, at most for %u ms", worst->name,
        worst->stats->gaps, worst->stats->gaps == 1 ? "" : "s",
        worst->stats->longest_gap_us / 1000);
    if (worst->kind == DIAGNOSIS_NODE && facts->moves == 1)
        say(out, "; the path %s.", facts->last_move);
    else if (worst->kind == DIAGNOSIS_NODE && facts->moves > 0)
        say(out, "; the path moved %u times, the last time it %s.", facts->moves, facts->last_move);
    else if (worst->kind == DIAGNOSIS_NODE)
        say(out, " on %s; `sallyport why` at the other site tells whether it came from its phone.",
            facts->path);
    else
        say(out, ": the network between the phone and this gateway, or the phone itself.");
    return true;
}

static unsigned loss_per_mille(const struct media_stats *stats)
{
    uint64_t lost = stats->lost + stats->late, all = stats->packets_in + stats->lost;

    return all > 0 ? (unsigned)(lost * 1000 / all) : 0;
}

static bool is_choppy(const struct diagnosis_facts *facts, struct sentence *out)
{
    const struct diagnosis_leg *worst = leg_a(facts);

    if (!facts->was_answered)
        return false;
    if (loss_per_mille(leg_b(facts)->stats) > loss_per_mille(worst->stats))
        worst = leg_b(facts);
    unsigned loss = loss_per_mille(worst->stats);
    if (loss < LOSS_HEARD_PER_MILLE || worst->stats->packets_in < 100)
        return false;
    say(out, "Bad sound from %s: %u.%u %% of its packets were lost or late", worst->name, loss / 10,
        loss % 10);
    if (worst->kind == DIAGNOSIS_NODE)
        say(out, " on %s; look for a full or bad line at either site.", facts->path);
    else
        say(out, " between the phone and this gateway; look at its cable, switch or Wi-Fi.");
    return true;
}

/* ---- good calls -------------------------------------------------------------------------------
 */

/* "udp 192.0.2.1:4000", "relay tcp …": how it travelled. */
static void say_path(const struct diagnosis_facts *facts, struct sentence *out)
{
    const char *path = facts->path;

    if (strncmp(path, "relay", 5) == 0) {
        say(out, "through a relay (%s)", path);
        if (*facts->reach)
            say(out, ", because %s", facts->reach);
    } else if (strncmp(path, "udp", 3) == 0) {
        say(out, "direct over UDP");
    } else if (strncmp(path, "tcp", 3) == 0) {
        say(out, "direct over TCP");
        if (*facts->reach)
            say(out, ", because %s", facts->reach);
    } else {
        say(out, "by %s", path);
    }
}

static bool is_good(const struct diagnosis_facts *facts, struct sentence *out)
{
    const struct diagnosis_leg *node = leg_b(facts)->kind == DIAGNOSIS_NODE   ? leg_b(facts)
                                       : leg_a(facts)->kind == DIAGNOSIS_NODE ? leg_a(facts)
                                                                              : NULL;
    uint32_t longest_us = 0;

    if (!facts->was_answered)
        return false;
    say(out, facts->is_live                 ? "Good so far: "
             : facts->talk_ms < TALK_MIN_MS ? "Short call: "
                                            : "Good call: ");
    if (node && *facts->path)
        say_path(facts, out);
    else
        say(out, node ? "its path was not known yet" : "inside the site");
    if (node && node->stats->round_trip_us > 0)
        say(out, ", %.*f ms round trip", node->stats->round_trip_us < 10000,
            (double)node->stats->round_trip_us / 1000);
    for (int side = 0; side < 2; side++)
        if (facts->legs[side].stats->longest_gap_us > longest_us)
            longest_us = facts->legs[side].stats->longest_gap_us;
    if (longest_us > 0)
        say(out, ", no gap longer than %u ms", (longest_us + 999) / 1000);
    if (facts->moves > 0)
        say(out, facts->moves == 1 ? ", the path moved once" : ", the path moved %u times",
            facts->moves);
    say(out, ".");
    return true;
}

static bool is_failure(const struct diagnosis_facts *facts, struct sentence *out)
{
    if (facts->is_live || facts->cause.reason == CALL_NORMAL)
        return false;
    say(out, "It was up and then failed: %s.",
        *facts->cause.text ? facts->cause.text : call_reason_name(facts->cause.reason));
    return true;
}

/* The first that applies is said. */
static const rule rules[] = {
    was_refused,   is_in_setup, was_not_answered, is_path_dead, is_one_way,
    has_timed_out, is_failure,  is_interrupted,   is_choppy,    is_good,
};

void diagnosis_write(const struct diagnosis_facts *facts, char text[DIAGNOSIS_MAX])
{
    struct sentence out = {.text = text};

    text[0] = '\0';
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++)
        if (rules[i](facts, &out))
            return;
}
