#include "overlay/identity_ticket.h"

#include <errno.h>
#include <pthread.h>
#include <sodium.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

struct identity_tickets {
    pthread_mutex_t mutex;
    bool has_key, has_previous;
    int64_t since_s; /* when `key` was made */
    struct identity_ticket_key key, previous;
};

struct identity_tickets *identity_tickets_new(void)
{
    struct identity_tickets *made = calloc(1, sizeof *made);

    if (made)
        pthread_mutex_init(&made->mutex, NULL);
    return made;
}

void identity_tickets_free(struct identity_tickets *tickets)
{
    if (!tickets)
        return;
    pthread_mutex_destroy(&tickets->mutex);
    sodium_memzero(tickets, sizeof *tickets);
    free(tickets);
}

/* What is too old to open with is overwritten, what is too old to seal with steps back. */
static void rotate(struct identity_tickets *tickets, int64_t now_s)
{
    int64_t age_s = now_s - tickets->since_s;

    if (!tickets->has_key || age_s < IDENTITY_TICKET_S)
        return;
    tickets->has_previous = age_s < 2 * IDENTITY_TICKET_S;
    if (tickets->has_previous)
        tickets->previous = tickets->key;
    else
        sodium_memzero(&tickets->previous, sizeof tickets->previous);
    randombytes_buf(&tickets->key, sizeof tickets->key);
    /* In step with the first key, so that the one before goes when it is due. */
    tickets->since_s = now_s - age_s % IDENTITY_TICKET_S;
}

void identity_tickets_seal(struct identity_tickets *tickets, int64_t now_s,
                           struct identity_ticket_key *key)
{
    pthread_mutex_lock(&tickets->mutex);
    rotate(tickets, now_s);
    if (!tickets->has_key) {
        randombytes_buf(&tickets->key, sizeof tickets->key);
        tickets->since_s = now_s;
        tickets->has_key = true;
    }
    *key = tickets->key;
    pthread_mutex_unlock(&tickets->mutex);
}

int identity_tickets_open(struct identity_tickets *tickets, int64_t now_s,
                          const uint8_t name[IDENTITY_TICKET_NAME_BYTES],
                          struct identity_ticket_key *key)
{
    const struct identity_ticket_key *found = NULL;

    pthread_mutex_lock(&tickets->mutex);
    rotate(tickets, now_s);
    if (tickets->has_key && memcmp(name, tickets->key.name, sizeof tickets->key.name) == 0)
        found = &tickets->key;
    else if (tickets->has_previous &&
             memcmp(name, tickets->previous.name, sizeof tickets->previous.name) == 0)
        found = &tickets->previous;
    if (found)
        *key = *found;
    pthread_mutex_unlock(&tickets->mutex);
    return found ? 0 : -ENOENT;
}
