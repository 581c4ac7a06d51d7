/* overlay/spread.h: the records of our clients at their holders. Private to the core.
 *
 * A supernode keeps what its own clients publish, and hands it to the three supernodes that hold
 * the name (members.h); when these are others than before, to the new ones. A node is attached to
 * two supernodes, so each record has two that care; and a third one, should both die: of those that
 * held it before the first one that lives hands it on, too. Of a withdrawn record all holders care:
 * its node is gone soon, and a supernode that does not know that may still hand on an older one.
 */
#ifndef OVERLAY_SPREAD_H
#define OVERLAY_SPREAD_H

#include "overlay/members.h"

void spread_open(struct core *core);
/* A record of a client is new: to all its holders. `told` is where the directory keeps to whom it
 * went. */
void spread_record(struct core *core, const char *name, const Sallyport__SignedRecord *wire,
                   uint64_t told[HOLDERS]);
/* A record came that we hold for others. */
void spread_held(struct core *core, const char *name, uint64_t told[HOLDERS]);
/* Something may not have arrived at a holder. */
void spread_soon(struct core *core);
/* Members came or went, or one has restarted and forgotten all: soon all records are looked at. */
void spread_members_changed(struct core *core);

#endif
