#include "gateway/report.h"

#include "gateway/gateway.h"
#include "gateway/version.h"

#include <unistd.h>

static json_t *text_or_null(const char *text)
{
    return text && *text ? json_string(text) : json_null();
}

static json_t *address_or_null(const struct sockaddr_storage *address)
{
    char text[ADDRESS_TEXT_MAX];
    return address->ss_family ? json_string(address_format(address, text)) : json_null();
}

/* ---- status
 * --------------------------------------------------------------------------------------- */

static void add_supernode(void *ctx, const struct overlay_supernode *supernode)
{
    const char *kind = supernode->is_fellow ? "fellow" : supernode->is_home ? "home" : "standby";
    json_array_append_new(ctx, json_pack("{s:s, s:s, s:s, s:s?, s:I, s:I}", "address",
                                         supernode->address, "node", supernode->node, "kind", kind,
                                         "site", supernode->site, "round_trip_us",
                                         (json_int_t)supernode->round_trip_us, "since_ms",
                                         (json_int_t)supernode->since_ms));
}

static json_t *roles_of(unsigned roles)
{
    static const struct {
        unsigned role;
        const char *name;
    } names[] = {{CONF_ROLE_GATEWAY, "gateway"},
                 {CONF_ROLE_SUPERNODE, "supernode"},
                 {CONF_ROLE_RELAY, "relay"},
                 {CONF_ROLE_CLIENT, "client"}};
    json_t *array = json_array();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (roles & names[i].role)
            json_array_append_new(array, json_string(names[i].name));
    return array;
}

static json_t *report_reachability(const struct overlay *overlay)
{
    struct overlay_reachability reachability;
    overlay_reachability(overlay, &reachability);
    json_t *mapped = json_array();
    for (int i = 0; i < reachability.mapped_count; i++)
        json_array_append_new(mapped,
                              json_pack("{s:s, s:s}", "server", reachability.mapped[i].server,
                                        "address", reachability.mapped[i].address));
    return json_pack("{s:s, s:s, s:b, s:o}", "class", reachability.class, "reason",
                     reachability.reason, "udp_blocked", reachability.is_udp_blocked, "mapped",
                     mapped);
}

static json_t *report_relaying(const struct overlay *overlay)
{
    struct overlay_relaying relaying;
    if (!overlay_relaying(overlay, &relaying))
        return json_null();
    json_t *refused = json_object();
    for (int i = 0; i < relaying.refused_count; i++)
        json_object_set_new(refused, relaying.refused[i].why,
                            json_integer((json_int_t)relaying.refused[i].count));
    return json_pack("{s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:o}", "tunnels",
                     (int)relaying.tunnels, "load_percent", (int)relaying.load, "packets",
                     (json_int_t)relaying.packets, "bytes", (json_int_t)relaying.bytes, "over_cap",
                     (json_int_t)relaying.over_cap, "missing", (json_int_t)relaying.missing, "late",
                     (json_int_t)relaying.late, "unknown", (json_int_t)relaying.unknown, "refused",
                     refused);
}

static json_t *report_overlay(const struct overlay *overlay)
{
    if (!overlay)
        return json_null();
    struct overlay_status status;
    overlay_status(overlay, &status);
    json_t *supernodes = json_array();
    overlay_each_supernode(overlay, add_supernode, supernodes);
    return json_pack(
        "{s:s, s:s, s:o, s:b, s:o, s:o, s:I, s:i, s:i, s:i, s:i, s:o, s:I, s:I, s:I, s:I, s:o}",
        "node", status.node, "site", status.site, "roles", roles_of(status.roles), "attached",
        overlay_is_attached(overlay), "supernodes", supernodes, "reachability",
        report_reachability(overlay), "certificate_expires_at_s", (json_int_t)status.expires_s,
        "clients", (int)status.clients, "records", (int)status.records, "tunnels",
        (int)status.tunnels, "paths", (int)status.paths, "relaying", report_relaying(overlay),
        "refused", (json_int_t)status.refused, "malformed", (json_int_t)status.malformed, "shed",
        (json_int_t)status.shed, "revocation_list", (json_int_t)status.revocation, "last_error",
        text_or_null(status.last_error));
}

static void add_binding(void *ctx, const struct sip_binding *binding)
{
    json_array_append_new(ctx,
                          json_pack("{s:s, s:s, s:s?, s:o, s:s, s:i}", "phone", binding->phone,
                                    "contact", binding->contact, "user_agent", binding->user_agent,
                                    "source", address_or_null(&binding->source), "transport",
                                    binding->transport == CONF_UDP ? "udp" : "tcp", "expires_s",
                                    binding->expires_s));
}

static json_t *report_sip(struct sip *sip)
{
    if (!sip)
        return json_null();
    struct sip_counters counters;
    sip_counters(sip, &counters);
    json_t *bindings = json_array();
    sip_each_binding(sip, add_binding, bindings);
    return json_pack("{s:o, s:I, s:I, s:I, s:I, s:I, s:i}", "bindings", bindings, "requests",
                     (json_int_t)counters.requests, "malformed", (json_int_t)counters.malformed,
                     "auth_failures", (json_int_t)counters.auth_failures, "calls_in",
                     (json_int_t)counters.calls_in, "calls_out", (json_int_t)counters.calls_out,
                     "connections", (int)counters.connections);
}

json_t *report_status(struct gateway *gateway)
{
    return json_pack("{s:s, s:i, s:I, s:i, s:I, s:o, s:o}", "version", SALLYPORT_VERSION, "pid",
                     (int)getpid(), "up_ms",
                     (json_int_t)(uv_now(gateway->uv) - gateway->started_ms), "calls",
                     (int)gateway->call_count, "calls_total", (json_int_t)gateway->calls_total,
                     "overlay", report_overlay(gateway->overlay), "sip", report_sip(gateway->sip));
}

/* ---- calls
 * ------------------------------------------------------------------------------------------ */

static json_t *report_live(const struct gateway *gateway, const struct call *call)
{
    const struct leg *a = &call->legs[MEDIA_A], *b = &call->legs[MEDIA_B];
    uint64_t now = uv_now(gateway->uv);
    return json_pack("{s:s, s:s, s:s, s:s, s:o, s:I}", "id", call->id, "from", a->name, "to",
                     b->name, "state", call_state_name(call->state), "path",
                     text_or_null(*a->path ? a->path : b->path), "talk_ms",
                     (json_int_t)(call->answered_ms ? now - call->answered_ms : 0));
}

static json_t *report_leg(const struct call_summary *summary, int side)
{
    const struct media_stats *stats = &summary->stats[side];
    return json_pack("{s:s, s:o, s:o, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "name",
                     side == MEDIA_A ? summary->from : summary->to, "codec",
                     text_or_null(summary->codecs[side]), "source", address_or_null(&stats->source),
                     "first_voice_ms", (json_int_t)summary->first_voice_ms[side], "packets_in",
                     (json_int_t)stats->packets_in, "packets_out", (json_int_t)stats->packets_out,
                     "lost", (json_int_t)stats->lost, "late", (json_int_t)stats->late, "duplicate",
                     (json_int_t)stats->duplicate, "rejected", (json_int_t)stats->rejected,
                     "concealed", (json_int_t)(stats->concealed + stats->fec_recovered),
                     "jitter_us", (json_int_t)stats->jitter_us, "round_trip_us",
                     (json_int_t)stats->round_trip_us);
}

static json_t *report_ended(const struct call_summary *summary)
{
    const struct call_cause *cause = &summary->cause;
    return json_pack("{s:s, s:I, s:s, s:i, s:i, s:o, s:I, s:I, s:I, s:o, s:[o, o]}", "id",
                     summary->id, "time_s", (json_int_t)summary->created_s, "reason",
                     call_reason_name(cause->reason), "sip_status", (int)cause->sip_status, "q850",
                     (int)cause->q850, "text", text_or_null(cause->text), "setup_ms",
                     (json_int_t)summary->setup_ms, "answer_ms", (json_int_t)summary->ring_ms,
                     "talk_ms", (json_int_t)summary->talk_ms, "path", text_or_null(summary->path),
                     "legs", report_leg(summary, MEDIA_A), report_leg(summary, MEDIA_B));
}

static json_t *report_refused(const struct call_summary *summary)
{
    return json_pack("{s:s, s:I, s:s, s:s, s:o, s:i, s:i, s:s}", "id", summary->id, "time_s",
                     (json_int_t)summary->created_s, "from", summary->from, "to", summary->to,
                     "source", address_or_null(&summary->source), "sip_status",
                     (int)summary->cause.sip_status, "times", (int)summary->times, "diagnosis",
                     summary->diagnosis);
}

static void add_summary(void *ctx, const struct call_summary *summary)
{
    json_t **lists = ctx; /* ended, refused */
    if (summary->times > 0)
        json_array_append_new(lists[1], report_refused(summary));
    else
        json_array_append_new(lists[0], report_ended(summary));
}

json_t *report_calls(struct gateway *gateway)
{
    json_t *live = json_array(), *lists[2] = {json_array(), json_array()};
    struct call *call;
    TAILQ_FOREACH(call, &gateway->calls, link)
    json_array_append_new(live, report_live(gateway, call));
    history_each(&gateway->history, "", add_summary, lists);
    return json_pack("{s:o, s:o, s:o}", "live", live, "ended", lists[0], "refused", lists[1]);
}
