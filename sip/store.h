/* sip/store.h: the bindings on disk (SQLite), so that phones stay reachable across a restart.
 *
 * store_open reads on the calling thread; from then on one writer thread writes, many changes in
 * one transaction. A file that is no database, or of which the check fails, is renamed aside
 * (NAME.corrupt) with an error in the log, and a new one is started: phones come back by
 * themselves. */
#ifndef SIP_STORE_H
#define SIP_STORE_H

#include "sip/registrar.h"

struct store;

/* Opens or makes the file and hands out what is in it: `expires_ms` is what is left from now on.
 * 0 or negative errno (logged). */
int store_open(const char *path,
               void (*each)(void *ctx, const char *phone, struct binding *binding), void *ctx,
               struct store **store);
/* Queue a change; never blocks on the disk. `left_ms` counts from now. */
void store_save(struct store *store, const char *phone, const struct binding *binding,
                uint64_t left_ms);
void store_remove(struct store *store, const char *phone, const char *contact);
/* Writes what is queued, then ends the thread. Blocks for that moment. */
void store_close(struct store *store);

#endif
