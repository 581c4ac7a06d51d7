/* Records of names, and a hub that holds none itself among eight fellows, for the tests of the
 * directory. */
#ifndef TESTS_NAMES_FIXTURE_H
#define TESTS_NAMES_FIXTURE_H

#include "tests/unit/overlay/supernode_fixture.h"

#define BODY(name) SALLYPORT__ENVELOPE__BODY_##name
#define FELLOWS 8
#define LINK(i) (0x80000001u + (unsigned)(i)) /* of fellow i */
#define CLIENT LINK(20)

static struct realm realm;
static struct identity *hub, *all[FELLOWS], *berlin, *paris;

static int names_setup(void **state)
{
    (void)state;
    log_set_level(LOG_OVERLAY, LOG_ERROR);
    fixture_realm(&realm);
    hub = fixture_identity(&realm, "hub", CONF_ROLE_SUPERNODE | CONF_ROLE_GATEWAY);
    berlin = fixture_identity(&realm, "berlin", CONF_ROLE_GATEWAY);
    paris = fixture_identity(&realm, "paris", CONF_ROLE_GATEWAY);
    fixture_supernodes(&realm, all, FELLOWS);
    return 0;
}

static int names_teardown(void **state)
{
    (void)state;
    for (int i = 0; i < FELLOWS; i++)
        identity_free(all[i]);
    identity_free(hub);
    identity_free(berlin);
    identity_free(paris);
    realm_fini(&realm);
    return 0;
}

/* Linked to so many fellows; holds no name itself, so that the others must be asked. */
static inline void open_names(struct stand *stand, int fellows)
{
    struct core_settings settings = {
        .identity = hub, .roles = CONF_ROLE_SUPERNODE, .address = "hub.example:443", .seats = 100};

    stand_open(stand, &settings);
    for (int i = 0; i < fellows; i++)
        stand_fellow(stand, LINK(i), all[i], 5);
    stand->core->members->self->is_leaving = true;
    stand_run(stand, 100);
    stand_clear(stand);
}

static inline struct identity *fixture_number(const char *site, const char *number)
{
    char *pem = fixture_pem(&realm, site, number, CONF_ROLE_GATEWAY, time(NULL)), why[200];
    struct identity *identity;

    if (identity_parse(pem, strlen(pem), &identity, why, sizeof why) < 0)
        abort();
    free(pem);
    return identity;
}

static inline void sign_name(const struct identity *signer, const char *name, uint64_t sequence,
                             Sallyport__SignedRecord *wire)
{
    struct record *record = core_alloc(sizeof *record);

    strcpy(record->name, name);
    record->sequence = sequence;
    record->issued_s = time(NULL);
    record->lifetime_s = 900;
    record_sign(signer, record, wire);
    free(record);
}

static inline void give_publish(struct stand *stand, core_link link, const struct identity *signer,
                                const char *name, uint64_t sequence)
{
    Sallyport__Envelope envelope = SALLYPORT__ENVELOPE__INIT;
    Sallyport__Publish publish = SALLYPORT__PUBLISH__INIT;
    Sallyport__SignedRecord wire, *list = &wire;

    sign_name(signer, name, sequence, &wire);
    publish.records = &list;
    publish.n_records = 1;
    publish.forwarded = link != CLIENT;
    envelope.body_case = BODY(PUBLISH);
    envelope.publish = &publish;
    stand_give(stand, link, &envelope);
    record_signed_fini(&wire);
}

/* The link to the holder of this rank for a name. */
static inline core_link holder_of(const struct stand *stand, const char *name, int rank)
{
    struct member *holders[HOLDERS];

    if (members_rank(stand->core, members_key(name), holders) <= rank)
        abort();
    for (int i = 0; i < FELLOWS; i++)
        if (memcmp(identity_certificate(all[i])->node, holders[rank]->node,
                   OVERLAY_NODE_ID_BYTES) == 0)
            return LINK(i);
    abort();
}

/* Does the fellow on this link hold the name? */
static inline bool holds(const struct stand *stand, core_link link, const char *name)
{
    for (int i = 0; i < HOLDERS; i++)
        if (holder_of(stand, name, i) == link)
            return true;
    return false;
}

#endif
