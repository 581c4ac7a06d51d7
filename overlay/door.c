#include "overlay/door.h"

#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#define FAILURE_FORGOTTEN_MS 600
#define CREDIT_ONE 1000
#define CREDIT_MAX (DOOR_BURST * CREDIT_ONE)
#define PER_S_STEP (DOOR_PER_S / 50)

struct door_host {
    uint8_t address[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned open;
    uint64_t clean_ms; /* when all its failures are forgotten, one each FAILURE_FORGOTTEN_MS */
    UT_hash_handle hh;
};

struct door {
    struct door_host *hosts; /* oldest first */
    unsigned open;
    unsigned per_s;
    uint64_t credit; /* thousandths of a handshake */
    uint64_t credit_ms;
};

struct door *door_new(void)
{
    struct door *made = calloc(1, sizeof *made);

    if (made)
        made->per_s = DOOR_PER_S;
    return made;
}

static void forget(struct door *door, struct door_host *host)
{
    HASH_DEL(door->hosts, host);
    free(host);
}

void door_free(struct door *door)
{
    struct door_host *host, *next;

    HASH_ITER(hh, door->hosts, host, next)
    forget(door, host);
    free(door);
}

static void key_of(const struct sockaddr_storage *address, uint8_t key[16])
{
    memset(key, 0, 16);
    if (address->ss_family == AF_INET6) {
        memcpy(key, &((const struct sockaddr_in6 *)address)->sin6_addr, 8);
        return;
    }
    key[10] = key[11] = 0xff;
    memcpy(key + 12, &((const struct sockaddr_in *)address)->sin_addr, 4);
}

/* Makes room for one more: whoever is not here and has nothing to be remembered for goes; when all
 * have, the one that is known longest. */
static void make_room(struct door *door, uint64_t now_ms)
{
    struct door_host *host, *next, *oldest = NULL;

    if (HASH_COUNT(door->hosts) < DOOR_HOSTS_MAX)
        return;
    HASH_ITER(hh, door->hosts, host, next)
    {
        if (host->open > 0)
            continue;
        if (host->clean_ms <= now_ms)
            forget(door, host);
        else if (!oldest)
            oldest = host;
    }
    if (HASH_COUNT(door->hosts) >= DOOR_HOSTS_MAX && oldest)
        forget(door, oldest);
}

static struct door_host *find_or_add(struct door *door, const struct sockaddr_storage *address,
                                     uint64_t now_ms)
{
    struct door_host *host;
    uint8_t key[16];

    key_of(address, key);
    HASH_FIND(hh, door->hosts, key, sizeof key, host);
    if (host)
        return host;
    make_room(door, now_ms);
    host = calloc(1, sizeof *host);
    if (!host)
        return NULL;
    memcpy(host->address, key, sizeof key);
    HASH_ADD(hh, door->hosts, address, sizeof host->address, host);
    return host;
}

struct door_host *door_enter(struct door *door, const struct sockaddr_storage *address,
                             uint64_t now_ms, const char **why)
{
    const uint64_t worst_ms = DOOR_FAILED_PER_HOST_MAX * FAILURE_FORGOTTEN_MS;
    struct door_host *host;

    if (door->open >= DOOR_OPEN_MAX) {
        *why = "too many wait at the door";
        return NULL;
    }
    host = find_or_add(door, address, now_ms);
    if (!host || host->open >= DOOR_OPEN_PER_HOST_MAX) {
        *why = host ? "too many handshakes of this host are open" : "out of memory";
        return NULL;
    }
    if (host->clean_ms >= now_ms + worst_ms) {
        *why = "too many handshakes of this host have failed";
        return NULL;
    }
    host->open++;
    door->open++;
    return host;
}

bool door_begin(struct door *door, uint64_t now_ms)
{
    uint64_t earned = (now_ms - door->credit_ms) * door->per_s;

    door->credit = door->credit + earned < CREDIT_MAX ? door->credit + earned : CREDIT_MAX;
    door->credit_ms = now_ms;
    if (door->credit < CREDIT_ONE)
        return false;
    door->credit -= CREDIT_ONE;
    return true;
}

void door_on_loop(struct door *door, uint64_t late_ms)
{
    if (late_ms > DOOR_LATE_MS)
        door->per_s = door->per_s / 2 > DOOR_PER_S_MIN ? door->per_s / 2 : DOOR_PER_S_MIN;
    else if (door->per_s < DOOR_PER_S)
        door->per_s = door->per_s + PER_S_STEP < DOOR_PER_S ? door->per_s + PER_S_STEP : DOOR_PER_S;
}

bool door_is_quiet(const struct door *door)
{
    return door->open == 0 && door->per_s == DOOR_PER_S;
}

void door_leave(struct door *door, struct door_host *host, bool has_failed, uint64_t now_ms)
{
    door->open--;
    host->open--;
    if (has_failed)
        host->clean_ms = (host->clean_ms > now_ms ? host->clean_ms : now_ms) + FAILURE_FORGOTTEN_MS;
    else if (host->open == 0 && host->clean_ms <= now_ms)
        forget(door, host);
}
