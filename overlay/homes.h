/* overlay/homes.h: where a node is attached: home first, then standby; and addresses of supernodes.
 *
 * Private to the core. Plain data on this side, `repeated Supernode` on the wire.
 */
#ifndef OVERLAY_HOMES_H
#define OVERLAY_HOMES_H

#include "overlay/overlay.h"
#include "overlay/overlay.pb-c.h"

#define HOMES_MAX 4

struct home {
    bool has_node;
    uint8_t node[OVERLAY_NODE_ID_BYTES];
    char address[ADDRESS_TEXT_MAX]; /* "": not known */
};
struct homes {
    struct home home[HOMES_MAX];
    int count;
};

/* "host:port" of printable characters that fits into ADDRESS_TEXT_MAX. */
bool home_address_is_valid(const char *address);
/* Reads one; false when it has neither a node id nor an address that can be used. */
bool home_decode(struct home *home, const Sallyport__Supernode *wire);
/* Reads as many as fit; what is malformed is left out. */
void homes_decode(struct homes *homes, Sallyport__Supernode *const *wire, size_t count);

/* For the wire; points into `homes`, which must live as long. */
struct homes_wire {
    Sallyport__Supernode supernode[HOMES_MAX];
    Sallyport__Supernode *list[HOMES_MAX];
    size_t count;
};
void home_encode(Sallyport__Supernode *wire, const struct home *home);
/* `first` rotates the order: 0 leaves it. */
void homes_encode(struct homes_wire *wire, const struct homes *homes, int first);

#endif
