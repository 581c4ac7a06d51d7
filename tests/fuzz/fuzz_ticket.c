/* RelayBind with its ticket, and RelayBound, as a relay and a node hear them. */
#include "overlay/realm.h"
#include "overlay/relay_frame.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static struct identity *berlin;
static struct trust trust;

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct overlay_enrolment enrolment = {.site = "berlin", .roles = CONF_ROLE_GATEWAY, .days = 30};
    struct realm realm;
    char why[200], *pem;

    (void)argc;
    (void)argv;
    if (realm_make(&realm, "fuzz", 99, why, sizeof why) < 0 ||
        realm_issue(&realm, &enrolment, time(NULL), &pem, NULL, why, sizeof why) < 0 ||
        identity_parse(pem, strlen(pem), &berlin, why, sizeof why) < 0)
        abort();
    free(pem);
    realm_fini(&realm);
    trust_init(&trust, berlin);
    return 0;
}

static void judge(const uint8_t *data, size_t bytes, const struct relay_bind *bind)
{
    struct ticket ticket;
    struct ticket_trial trial = {.data = data,
                                 .bytes = bytes,
                                 .certificate = bind->certificate,
                                 .certificate_bytes = bind->certificate_bytes,
                                 .bearer = identity_certificate(berlin),
                                 .relay = identity_certificate(berlin)->node,
                                 .now_s = time(NULL),
                                 .trust = &trust};

    if (ticket_decode(data, bytes, &ticket) == 0)
        trial.relay = ticket.relay; /* what the fuzzer cannot guess */
    if (ticket_check(&trial, &ticket) == TICKET_GOOD)
        abort(); /* nobody but us can sign for us */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct relay_bind bind = {.ticket_bytes = 0};
    struct relay_bound bound;
    uint8_t frame[BIND_LENGTH_BYTES + BIND_FRAME_MAX];

    judge(data, bytes, &bind);
    if (bytes > BIND_FRAME_MAX)
        return 0;
    if (relay_bind_decode(data, bytes, &bind) == 0) {
        judge(bind.ticket, bind.ticket_bytes, &bind);
        relay_bind_encode(&bind, frame);
    }
    if (relay_bound_decode(data, bytes, &bound) == 0 &&
        (strlen(bound.refused) >= sizeof bound.refused || bound.load > 100 ||
         relay_bound_encode(&bound, frame) > sizeof frame))
        abort();
    return 0;
}
