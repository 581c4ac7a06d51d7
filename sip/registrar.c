#include "sip/registrar.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

struct phone {
    char *id;
    struct bindings bindings; /* newest first */
    int count;
    UT_hash_handle hh;
};

struct registrar {
    struct phone *phones;
    unsigned total;
    struct registrar_sink sink;
    void *ctx;
};

bool flow_equal(const struct flow *a, const struct flow *b)
{
    return a->transport == b->transport && a->connection == b->connection &&
           address_equal(&a->remote, &b->remote);
}

struct registrar *registrar_new(const struct registrar_sink *sink, void *ctx)
{
    struct registrar *r = calloc(1, sizeof *r);

    if (r) {
        r->sink = *sink;
        r->ctx = ctx;
    }
    return r;
}

static void binding_drop(struct registrar *r, struct phone *phone, struct binding *b)
{
    TAILQ_REMOVE(&phone->bindings, b, entry);
    phone->count--;
    r->total--;
    free(b);
}

static void binding_remove(struct registrar *r, struct phone *phone, struct binding *b)
{
    r->sink.removed(r->ctx, phone->id, b);
    binding_drop(r, phone, b);
}

static void phone_free(struct registrar *r, struct phone *phone)
{
    HASH_DEL(r->phones, phone);
    free(phone->id);
    free(phone);
}

void registrar_free(struct registrar *r)
{
    struct phone *phone, *next;

    if (!r)
        return;
    HASH_ITER(hh, r->phones, phone, next)
    {
        while (!TAILQ_EMPTY(&phone->bindings))
            binding_drop(r, phone, TAILQ_FIRST(&phone->bindings));
        phone_free(r, phone);
    }
    free(r);
}

static struct phone *phone_find(struct registrar *r, const char *id)
{
    struct phone *phone;

    HASH_FIND_STR(r->phones, id, phone);
    return phone;
}

static struct phone *phone_get(struct registrar *r, const char *id)
{
    struct phone *phone = phone_find(r, id);

    if (phone)
        return phone;
    phone = calloc(1, sizeof *phone);
    if (phone)
        phone->id = strdup(id);
    if (!phone || !phone->id) {
        free(phone);
        return NULL;
    }
    TAILQ_INIT(&phone->bindings);
    HASH_ADD_KEYPTR(hh, r->phones, phone->id, strlen(phone->id), phone);
    return phone;
}

static struct binding *binding_find(struct phone *phone, const char *contact)
{
    struct binding *b;

    TAILQ_FOREACH(b, &phone->bindings, entry)
    if (!strcmp(b->contact, contact))
        return b;
    return NULL;
}

/* The requests of one Call-ID come in the order of their CSeq (RFC 3261, 10.3 step 7). */
static bool is_outdated(const struct binding *known, const char *call_id, uint32_t cseq)
{
    return !strcmp(known->call_id, call_id) && cseq < known->cseq;
}

bool registrar_is_outdated(struct registrar *r, const char *id, const struct binding *new)
{
    struct phone *phone = phone_find(r, id);
    struct binding *b = phone ? binding_find(phone, new->contact) : NULL;

    return b && is_outdated(b, new->call_id, new->cseq);
}

static bool is_same_device(const struct binding *old, const struct binding *new)
{
    if (old->instance[0] && new->instance[0])
        return !strcmp(old->instance, new->instance);
    return !old->path[0] && !new->path[0] && strcmp(old->call_id, new->call_id) &&
           flow_equal(&old->flow, &new->flow);
}

static void make_room(struct registrar *r, struct phone *phone, const struct binding *new,
                      int max_contacts)
{
    struct binding *b, *next;

    for (b = TAILQ_FIRST(&phone->bindings); b; b = next) {
        next = TAILQ_NEXT(b, entry);
        if (is_same_device(b, new))
            binding_remove(r, phone, b);
    }
    while (phone->count >= max_contacts && phone->count)
        binding_remove(r, phone, TAILQ_LAST(&phone->bindings, bindings));
}

int registrar_bind(struct registrar *r, const char *id, const struct binding *new, int max_contacts)
{
    struct phone *phone = phone_get(r, id);
    struct binding *b;

    if (!phone)
        return -ENOMEM;
    b = binding_find(phone, new->contact);
    if (b && is_outdated(b, new->call_id, new->cseq))
        return -EALREADY;
    if (b) {
        TAILQ_REMOVE(&phone->bindings, b, entry);
    } else {
        make_room(r, phone, new, max_contacts > 0 ? max_contacts : 1);
        b = malloc(sizeof *b);
        if (!b)
            return -ENOMEM;
        phone->count++;
        r->total++;
    }
    *b = *new;
    TAILQ_INSERT_HEAD(&phone->bindings, b, entry);
    r->sink.saved(r->ctx, id, b);
    return 0;
}

int registrar_unbind(struct registrar *r, const char *id, const char *contact, const char *call_id,
                     uint32_t cseq)
{
    struct phone *phone = phone_find(r, id);
    struct binding *b, *next;

    if (!phone)
        return 0;
    /* All or nothing: first look, then remove. */
    TAILQ_FOREACH(b, &phone->bindings, entry)
    if ((!contact || !strcmp(b->contact, contact)) && is_outdated(b, call_id, cseq))
        return -EALREADY;
    for (b = TAILQ_FIRST(&phone->bindings); b; b = next) {
        next = TAILQ_NEXT(b, entry);
        if (!contact || !strcmp(b->contact, contact))
            binding_remove(r, phone, b);
    }
    if (!phone->count)
        phone_free(r, phone);
    return 0;
}

struct sweep {
    uint64_t now_ms;
    uint16_t connection; /* 0: by time */
};

static bool is_swept(const struct binding *b, const struct sweep *sweep)
{
    return sweep->connection
               ? b->flow.transport == CONF_TCP && b->flow.connection == sweep->connection
               : b->expires_ms <= sweep->now_ms;
}

static void sweep_all(struct registrar *r, const struct sweep *sweep, registrar_gone *gone,
                      void *ctx)
{
    struct phone *phone, *next_phone;
    struct binding *b, *next;

    HASH_ITER(hh, r->phones, phone, next_phone)
    {
        for (b = TAILQ_FIRST(&phone->bindings); b; b = next) {
            next = TAILQ_NEXT(b, entry);
            if (is_swept(b, sweep))
                binding_remove(r, phone, b);
        }
        if (!phone->count) {
            gone(ctx, phone->id);
            phone_free(r, phone);
        }
    }
}

void registrar_expire(struct registrar *r, uint64_t now_ms, registrar_gone *gone, void *ctx)
{
    sweep_all(r, &(struct sweep){.now_ms = now_ms}, gone, ctx);
}

void registrar_drop_connection(struct registrar *r, uint16_t connection, registrar_gone *gone,
                               void *ctx)
{
    sweep_all(r, &(struct sweep){.connection = connection}, gone, ctx);
}

const struct bindings *registrar_find(struct registrar *r, const char *id)
{
    struct phone *phone = phone_find(r, id);

    return phone && phone->count ? &phone->bindings : NULL;
}

int registrar_count(struct registrar *r, const char *id)
{
    struct phone *phone = phone_find(r, id);

    return phone ? phone->count : 0;
}

unsigned registrar_total(const struct registrar *r)
{
    return r->total;
}

bool registrar_knows(struct registrar *r, const struct sockaddr_storage *remote)
{
    struct phone *phone, *next;
    struct binding *b;

    HASH_ITER(hh, r->phones, phone, next)
    TAILQ_FOREACH(b, &phone->bindings, entry)
    if (address_equal(&b->flow.remote, remote))
        return true;
    return false;
}

void registrar_each(struct registrar *r,
                    void (*each)(void *ctx, const char *phone, const struct binding *binding),
                    void *ctx)
{
    struct phone *phone, *next;
    struct binding *b;

    HASH_ITER(hh, r->phones, phone, next)
    TAILQ_FOREACH(b, &phone->bindings, entry)
    each(ctx, phone->id, b);
}
