/* The realm as JSON; what the fields mean is said in command_nodes.c. */
#include "gateway/report.h"

#include "gateway/gateway.h"

#include <stdlib.h>
#include <string.h>

struct nodes {
    struct overlay_node *list;
    size_t count, room;
};

static void add(void *ctx, const struct overlay_node *node)
{
    struct nodes *nodes = ctx;
    if (nodes->count == nodes->room) {
        size_t room = nodes->room ? 2 * nodes->room : 16;
        struct overlay_node *list = realloc(nodes->list, room * sizeof *list);
        if (!list)
            return;
        nodes->list = list;
        nodes->room = room;
    }
    nodes->list[nodes->count++] = *node;
}

static int rank(const struct overlay_node *node)
{
    return node->is_home      ? 0
           : node->is_standby ? 1
           : node->is_self    ? 2
           : node->is_down    ? 5
                              : 3 + !node->round_trip_us;
}

/* Home first, then by round trip; those that do not answer last. */
static int compare(const void *a, const void *b)
{
    const struct overlay_node *one = a, *other = b;
    int by_rank = rank(one) - rank(other);
    if (by_rank || one->round_trip_us == other->round_trip_us)
        return by_rank ? by_rank : strcmp(one->address, other->address);
    return one->round_trip_us < other->round_trip_us ? -1 : 1;
}

static json_t *number_or_null(uint64_t number, uint64_t unknown)
{
    return number == unknown ? json_null() : json_integer((json_int_t)number);
}

static json_t *text_or_null(const char *text)
{
    return *text ? json_string(text) : json_null();
}

static json_t *report_node(const struct overlay_node *node)
{
    bool has_load = node->seats > 0;
    json_t *object = json_pack("{s:s, s:o, s:o}", "address", node->address, "node",
                               text_or_null(node->node), "site", text_or_null(node->site));
    json_t *flags =
        json_pack("{s:b, s:b, s:b, s:b, s:b, s:b, s:b}", "self", node->is_self, "home",
                  node->is_home, "standby", node->is_standby, "linked", node->is_linked, "down",
                  node->is_down, "leaving", node->is_leaving, "invited", node->is_invited);
    json_t *figures = json_pack(
        "{s:o, s:o, s:o, s:o, s:I, s:o, s:o}", "version", number_or_null(node->version, 0), "seats",
        number_or_null(node->seats, 0), "clients",
        has_load ? json_integer(node->clients) : json_null(), "records",
        node->share || node->records ? json_integer(node->records) : json_null(), "share_per_mille",
        (json_int_t)node->share, "round_trip_us", number_or_null(node->round_trip_us, 0),
        "heard_ms", number_or_null(node->heard_ms, UINT64_MAX));
    json_object_update(object, flags);
    json_object_update(object, figures);
    json_decref(flags);
    json_decref(figures);
    return object;
}

static json_t *report_realm(const struct overlay *overlay)
{
    struct overlay_realm realm;
    overlay_realm_state(overlay, &realm);
    return json_pack("{s:I, s:I, s:I, s:I, s:b, s:s, s:o}", "supernodes",
                     (json_int_t)realm.supernodes, "seats", (json_int_t)realm.seats, "clients",
                     (json_int_t)realm.clients, "reserve", (json_int_t)realm.reserve, "short",
                     realm.is_short, "serving", realm.serving, "revocation",
                     number_or_null(realm.revocation, 0));
}

json_t *report_nodes(struct gateway *gateway)
{
    struct nodes nodes = {0};
    json_t *array = json_array();
    if (!gateway->overlay)
        return json_pack("{s:n, s:o}", "realm", "nodes", array);
    overlay_each_node(gateway->overlay, add, &nodes);
    if (nodes.count > 0)
        qsort(nodes.list, nodes.count, sizeof *nodes.list, compare);
    for (size_t i = 0; i < nodes.count; i++)
        json_array_append_new(array, report_node(&nodes.list[i]));
    free(nodes.list);
    return json_pack("{s:o, s:o}", "realm", report_realm(gateway->overlay), "nodes", array);
}
