#include "overlay/homes.h"

#include <string.h>

bool home_address_is_valid(const char *address)
{
    const char *colon = strrchr(address, ':');

    if (!colon || colon == address || strlen(address) >= ADDRESS_TEXT_MAX)
        return false;
    for (const char *c = address; *c; c++)
        if (*c <= ' ' || *c >= 0x7f)
            return false;

    int port = 0;
    for (const char *c = colon + 1; *c; c++) {
        if (*c < '0' || *c > '9' || port > UINT16_MAX)
            return false;
        port = 10 * port + (*c - '0');
    }
    return port > 0 && port <= UINT16_MAX;
}

bool home_decode(struct home *home, const Sallyport__Supernode *wire)
{
    *home = (struct home){.has_node = wire->node.len == OVERLAY_NODE_ID_BYTES};
    if (home->has_node)
        memcpy(home->node, wire->node.data, OVERLAY_NODE_ID_BYTES);
    if (home_address_is_valid(wire->address))
        strcpy(home->address, wire->address);
    return home->has_node || home->address[0];
}

void homes_decode(struct homes *homes, Sallyport__Supernode *const *wire, size_t count)
{
    homes->count = 0;
    for (size_t i = 0; i < count && homes->count < HOMES_MAX; i++)
        if (home_decode(&homes->home[homes->count], wire[i]))
            homes->count++;
}

void home_encode(Sallyport__Supernode *wire, const struct home *home)
{
    sallyport__supernode__init(wire);
    if (home->has_node) {
        wire->node.data = (uint8_t *)home->node;
        wire->node.len = OVERLAY_NODE_ID_BYTES;
    }
    wire->address = (char *)home->address;
}

void homes_encode(struct homes_wire *wire, const struct homes *homes, int first)
{
    wire->count = (size_t)homes->count;
    for (int i = 0; i < homes->count; i++) {
        home_encode(&wire->supernode[i], &homes->home[(i + first) % homes->count]);
        wire->list[i] = &wire->supernode[i];
    }
}
