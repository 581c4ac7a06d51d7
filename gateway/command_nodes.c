/* `nodes`: the realm as a running node sees it.
 *
 * With --json it prints what the node answers to GET /nodes; what is not known is null:
 *
 *   realm       null without an overlay, else
 *     supernodes, seats, clients   those that live, and what they hold in all
 *     reserve     seats that would be left if the 30 % of them with the most seats went at once
 *     short       the reserve does not hold all clients: more nodes are invited to serve
 *     serving     whether this node serves, in words that begin with "always", "invited:",
 *                 "retiring:", "willing:", "not yet:" or "no:"
 *     revocation  number of the newest revocation list that it knows
 *   nodes       the supernodes: home first, then by round trip; those that do not answer last
 *     address, node, site
 *     self, home, standby, linked, down, leaving, invited   true or false
 *     version     of the protocol
 *     seats, clients, records      as it said last
 *     share_per_mille   of all names, that it keeps; 0 when the node that was asked is no supernode
 *     round_trip_us, heard_ms      heard_ms: since it said something of itself
 */
#include "gateway/command.h"
#include "gateway/command_ask.h"

#include <stdio.h>
#include <string.h>

#define CELL_MAX 96

static const char nodes_help[] =
    "usage: sallyport nodes [-c FILE | --admin IP:PORT] [--json]\n\n"
    "Shows the realm as a running node sees it: how many supernodes and seats there are and\n"
    "would be left if the largest 30 % failed, whether this node serves or would, and each "
    "supernode:\n\n"
    "  IS        home, standby: this node is attached there; linked: it holds a connection;\n"
    "            invited: it serves while the realm needs it; leaving: it moves its nodes away;\n"
    "            DOWN: it does not answer\n"
    "  NODES     that it holds, of how many seats\n"
    "  RECORDS   of the directory that it keeps; KEEPS: the share of all names that falls to it\n"
    "  TRIP      round trip to it; HEARD: how long ago it said something of itself\n\n";

enum column { ADDRESS, SITE, IS, NODES, RECORDS, KEEPS, TRIP, HEARD, COLUMNS };
static const char *const heads[COLUMNS] = {"SUPERNODE", "SITE",  "IS",   "NODES",
                                           "RECORDS",   "KEEPS", "TRIP", "HEARD"};

struct row {
    char cell[COLUMNS][CELL_MAX];
};

static bool is_known(const json_t *object, const char *key)
{
    return json_is_integer(json_object_get(object, key));
}

static void fill_is(const json_t *node, char cell[CELL_MAX])
{
    static const struct {
        const char *key, *word;
    } words[] = {{"self", "this"},       {"home", "home"},       {"standby", "standby"},
                 {"invited", "invited"}, {"leaving", "leaving"}, {"down", "DOWN"}};
    size_t used = 0;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (json_is_true(json_object_get(node, words[i].key)))
            used += (size_t)snprintf(cell + used, CELL_MAX - used, "%s%s", used ? " " : "",
                                     words[i].word);
    if (used == 0)
        snprintf(cell, CELL_MAX, "%s",
                 json_is_true(json_object_get(node, "linked")) ? "linked" : "-");
}

static void fill_time(const json_t *node, const char *key, double ms, char cell[CELL_MAX])
{
    double value = (double)command_number(node, key) * ms;
    if (!is_known(node, key))
        strcpy(cell, "-");
    else if (value < 1000)
        snprintf(cell, CELL_MAX, value < 100 ? "%.1f ms" : "%.0f ms", value);
    else
        snprintf(cell, CELL_MAX, value < 100000 ? "%.1f s" : "%.0f s", value / 1000);
}

static void fill(const json_t *node, struct row *row)
{
    snprintf(row->cell[ADDRESS], CELL_MAX, "%s", command_text(node, "address"));
    snprintf(row->cell[SITE], CELL_MAX, "%s", command_text(node, "site"));
    fill_is(node, row->cell[IS]);
    for (int i = NODES; i < COLUMNS; i++)
        strcpy(row->cell[i], "-");
    if (is_known(node, "seats"))
        snprintf(row->cell[NODES], CELL_MAX, "%lld/%lld", command_number(node, "clients"),
                 command_number(node, "seats"));
    if (is_known(node, "records"))
        snprintf(row->cell[RECORDS], CELL_MAX, "%lld", command_number(node, "records"));
    if (command_number(node, "share_per_mille") > 0)
        snprintf(row->cell[KEEPS], CELL_MAX, "%.1f %%",
                 (double)command_number(node, "share_per_mille") / 10);
    fill_time(node, "round_trip_us", 0.001, row->cell[TRIP]);
    fill_time(node, "heard_ms", 1, row->cell[HEARD]);
}

static void print_row(const struct row *row, const int width[COLUMNS])
{
    for (int i = 0; i < COLUMNS; i++)
        printf(i < NODES ? "%-*s%s" : "%*s%s", width[i], row->cell[i],
               i + 1 < COLUMNS ? "  " : "\n");
}

static void tell_realm(const json_t *realm)
{
    long long supernodes = command_number(realm, "supernodes");
    printf("%lld supernode%s, ", supernodes, supernodes == 1 ? "" : "s");
    if (command_number(realm, "seats") > 0)
        printf(
            "%lld of %lld seats taken; if the largest 30 %% failed at once %lld would be left%s\n",
            command_number(realm, "clients"), command_number(realm, "seats"),
            command_number(realm, "reserve"),
            json_is_true(json_object_get(realm, "short")) ? ": TOO FEW, nodes are invited" : "");
    else
        printf("whose seats are not known here\n");
    printf("this node serves: %s\n", command_text(realm, "serving"));
    if (is_known(realm, "revocation"))
        printf("revocation list: number %lld\n", command_number(realm, "revocation"));
}

static void tell_nodes(const json_t *answer)
{
    const json_t *realm = json_object_get(answer, "realm"),
                 *nodes = json_object_get(answer, "nodes");
    int width[COLUMNS];
    struct row row;
    json_t *node;
    size_t i;
    if (!json_is_object(realm)) {
        printf("no overlay: calls stay inside the site\n");
        return;
    }
    tell_realm(realm);
    for (int column = 0; column < COLUMNS; column++)
        width[column] = (int)strlen(strcpy(row.cell[column], heads[column]));
    json_array_foreach(nodes, i, node)
    {
        fill(node, &row);
        for (int column = 0; column < COLUMNS; column++)
            if ((int)strlen(row.cell[column]) > width[column])
                width[column] = (int)strlen(row.cell[column]);
    }
    for (int column = 0; column < COLUMNS; column++)
        strcpy(row.cell[column], heads[column]);
    print_row(&row, width);
    json_array_foreach(nodes, i, node)
    {
        fill(node, &row);
        print_row(&row, width);
    }
}

int command_nodes(int argc, char **argv)
{
    static const struct command_page page = {"nodes", "/nodes", nodes_help, tell_nodes};
    return command_ask_page(&page, argc, argv);
}
