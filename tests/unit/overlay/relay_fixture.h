/* Two nodes and a relay over real TLS, and connections to the relay that the test speaks on itself.
 */
#ifndef TESTS_RELAY_FIXTURE_H
#define TESTS_RELAY_FIXTURE_H

#include "overlay/path_control.h"
#include "overlay/relay_frame.h"
#include "overlay/relay_tunnel.h"
#include "overlay/tls.h"
#include "tests/unit/overlay/path_fixture.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <unistd.h>

#include <cmocka.h>

#define PORT_MIN 52000
#define PORT_MAX 53999

struct supernode {
    struct lab *lab;
    struct identity *identity;
    struct overlay_workers workers; /* the lab's third alone */
    uv_tcp_t listener;
    bool has_udp;              /* set before it is opened */
    unsigned relay_kbit_s;     /* the same */
    struct udp_port *udp_port; /* NULL: none */
    struct relay *relay;
    char address[ADDRESS_TEXT_MAX];
    bool is_closed;
};

struct relayed {
    struct lab lab;
    struct lab_node berlin, paris;
    struct supernode supernode;
};

/* ---- the supernode ----------------------------------------------------------------------------
 */

static inline int one(void *ctx)
{
    (void)ctx;
    return 1;
}

static inline uv_loop_t *third_loop(void *ctx, int worker)
{
    (void)worker;
    return lab_loop(ctx, LAB_PATH_WORKERS);
}

static inline int third_post(void *ctx, int worker, void (*fn)(void *arg), void *arg)
{
    return lab_post(ctx, worker < 0 ? worker : LAB_PATH_WORKERS, fn, arg);
}

static inline void on_up(void *ctx, struct tls_stream *stream, const struct certificate *peer,
                         const char *alpn)
{
    struct supernode *supernode = ctx;

    assert_string_equal(alpn, TLS_ALPN_RELAY);
    relay_take(supernode->relay, stream, peer);
}

static inline void on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    (void)ctx;
    (void)why;
    tls_stream_close(stream);
}

static const struct tls_stream_events door_events = {.on_up = on_up, .on_down = on_down};

static inline void on_connection(uv_stream_t *listener, int status)
{
    struct supernode *supernode = listener->data;
    struct tls_stream *stream;

    assert_int_equal(status, 0);
    assert_int_equal(
        tls_stream_accept(listener, supernode->identity, &door_events, supernode, &stream), 0);
}

static inline void supernode_listen(struct supernode *supernode)
{
    struct sockaddr_storage address;
    int port = PORT_MIN + getpid() % (PORT_MAX - PORT_MIN), err;

    do {
        if (++port > PORT_MAX)
            port = PORT_MIN;
        snprintf(supernode->address, sizeof supernode->address, "127.0.0.1:%d", port);
        address_parse(supernode->address, &address);
        uv_tcp_init(&supernode->lab->control.loop, &supernode->listener);
        supernode->listener.data = supernode;
        err = uv_tcp_bind(&supernode->listener, (struct sockaddr *)&address, 0);
        if (err == 0)
            err = uv_listen((uv_stream_t *)&supernode->listener, 16, on_connection);
        if (err < 0) {
            uv_close((uv_handle_t *)&supernode->listener, NULL);
            uv_run(&supernode->lab->control.loop, UV_RUN_NOWAIT);
        }
    } while (err < 0);
}

static inline void supernode_open_relay(struct supernode *supernode)
{
    struct relay_settings settings = {.loop = &supernode->lab->control.loop,
                                      .workers = &supernode->workers,
                                      .identity = supernode->identity,
                                      .udp_port = supernode->udp_port,
                                      .relay_kbit_s = supernode->relay_kbit_s,
                                      .tunnel_kbit_s = 100000,
                                      .idle_s = 1};
    assert_int_equal(relay_open(&settings, &supernode->relay), 0);
}

static inline void supernode_open_udp(struct supernode *supernode)
{
    struct sockaddr_storage address;
    struct udp_port_settings settings = {.control = &supernode->lab->control.loop,
                                         .workers = &supernode->workers,
                                         .address = &address};

    address_parse(supernode->address, &address);
    assert_int_equal(udp_port_open(&settings, &supernode->udp_port), 0);
}

static inline void supernode_open(struct supernode *supernode, struct lab *lab, unsigned roles)
{
    supernode->lab = lab;
    supernode->identity = fixture_identity(&lab->realm, "rome", roles);
    supernode->workers = lab->workers;
    supernode->workers.count = one;
    supernode->workers.loop = third_loop;
    supernode->workers.post = third_post;
    supernode_listen(supernode);
    if (supernode->has_udp)
        supernode_open_udp(supernode);
    supernode_open_relay(supernode);
}

static inline void on_supernode_closed(void *ctx)
{
    ((struct supernode *)ctx)->is_closed = true;
}

static inline void supernode_close(struct supernode *supernode)
{
    uv_close((uv_handle_t *)&supernode->listener, NULL);
    relay_close(supernode->relay, on_supernode_closed, supernode);
    assert_true(lab_run(supernode->lab, lab_flag, &supernode->is_closed, 5000));
    supernode->is_closed = !supernode->udp_port;
    if (supernode->udp_port)
        udp_port_close(supernode->udp_port, on_supernode_closed, supernode);
    assert_true(lab_run(supernode->lab, lab_flag, &supernode->is_closed, 5000));
    identity_free(supernode->identity);
}

static inline void join(struct relayed *relayed, struct lab_node *node)
{
    node->conf.supernodes[0] = relayed->supernode.address;
    node->conf.supernode_count = 1;
    node->conf.keep_path_s = 60;
    lab_knows_relay(node, relayed->supernode.identity, relayed->supernode.address);
}

static inline int open_relayed(struct relayed *relayed, unsigned roles)
{
    lab_init(&relayed->lab);
    supernode_open(&relayed->supernode, &relayed->lab, roles);
    join(relayed, &relayed->berlin);
    join(relayed, &relayed->paris);
    assert_int_equal(lab_open(&relayed->lab, &relayed->berlin, "berlin"), 0);
    assert_int_equal(lab_open(&relayed->lab, &relayed->paris, "paris"), 0);
    return 0;
}

static inline int setup_roles(void **state, unsigned roles)
{
    struct relayed *relayed = calloc(1, sizeof *relayed);

    *state = relayed;
    return open_relayed(relayed, roles);
}

static inline int setup(void **state)
{
    return setup_roles(state, CONF_ROLE_SUPERNODE | CONF_ROLE_RELAY);
}

static inline int setup_not_a_relay(void **state)
{
    return setup_roles(state, CONF_ROLE_SUPERNODE);
}

static inline int teardown(void **state)
{
    struct relayed *relayed = *state;

    lab_close(&relayed->berlin);
    lab_close(&relayed->paris);
    supernode_close(&relayed->supernode);
    lab_fini(&relayed->lab);
    free(relayed);
    return 0;
}

/* The same nodes, now with UDP. */
static inline int setup_with_udp(void **state)
{
    struct relayed *relayed;

    setup(state);
    relayed = *state;
    struct lab_node *nodes[] = {&relayed->berlin, &relayed->paris};
    for (int i = 0; i < 2; i++) {
        lab_close(nodes[i]);
        nodes[i]->identity = NULL;
        nodes[i]->is_closed = false;
        nodes[i]->conf.udp = true;
        assert_int_equal(lab_open(&relayed->lab, nodes[i], i ? "paris" : "berlin"), 0);
    }
    return 0;
}

static inline bool both_have_ways(void *arg)
{
    struct relayed *relayed = arg;

    return lab_has_way(&relayed->berlin) && lab_has_way(&relayed->paris);
}

static inline void hang_up(struct relayed *relayed)
{
    lab_hang_up(&relayed->berlin);
    lab_hang_up(&relayed->paris);
}

/* ---- connections that the test speaks on itself -----------------------------------------------
 */

struct client {
    struct tls_stream *stream;
    struct lab *lab;
    struct bind_first first;
    struct relay_bound bound;
    bool is_up, is_answered, is_down, is_closed;
    size_t bytes; /* after the RelayBound */
};

static inline void client_on_up(void *ctx, struct tls_stream *stream,
                                const struct certificate *peer, const char *alpn)
{
    (void)stream;
    (void)peer;
    (void)alpn;
    ((struct client *)ctx)->is_up = true;
}

static inline void client_on_data(void *ctx, struct tls_stream *stream, const uint8_t *data,
                                  size_t bytes)
{
    struct client *client = ctx;
    const uint8_t *frame;
    size_t frame_bytes;

    (void)stream;
    if (!client->is_answered &&
        bind_first_take(&client->first, &data, &bytes, &frame, &frame_bytes) > 0) {
        assert_int_equal(relay_bound_decode(frame, frame_bytes, &client->bound), 0);
        client->is_answered = true;
    }
    client->bytes += bytes;
}

static inline void client_on_down(void *ctx, struct tls_stream *stream, const char *why)
{
    (void)stream;
    (void)why;
    ((struct client *)ctx)->is_down = true;
}

static const struct tls_stream_events client_events = {
    .on_up = client_on_up, .on_data = client_on_data, .on_down = client_on_down};

static inline void client_dial(struct client *client, struct relayed *relayed,
                               const struct identity *identity)
{
    struct tls_dial dial = {
        .identity = identity, .address = relayed->supernode.address, .alpn = TLS_ALPN_RELAY};

    memset(client, 0, sizeof *client);
    client->lab = &relayed->lab;
    assert_int_equal(
        tls_stream_dial(&client->lab->control.loop, &dial, &client_events, client, &client->stream),
        0);
    assert_true(lab_run(client->lab, lab_flag, &client->is_up, 3000));
}

/* What a bind shows. */
struct shown {
    const struct identity *signer, *peer, *relay;
    const char *tunnel;
    int64_t issued_s;
    uint32_t lifetime_s;
    const struct identity *certificate; /* NULL: none */
};

/* A good one of Berlin, for Berlin and Paris. */
static inline struct shown good(const struct relayed *relayed, const char *tunnel)
{
    return (struct shown){.signer = relayed->berlin.identity,
                          .peer = relayed->paris.identity,
                          .relay = relayed->supernode.identity,
                          .tunnel = tunnel,
                          .issued_s = time(NULL),
                          .lifetime_s = 60,
                          .certificate = relayed->berlin.identity};
}

static inline size_t encode_bind(const struct shown *shown, uint8_t *out)
{
    struct ticket ticket = {.issued_s = shown->issued_s, .lifetime_s = shown->lifetime_s};
    struct relay_bind bind;

    memcpy(ticket.tunnel, shown->tunnel, sizeof ticket.tunnel);
    memcpy(ticket.relay, identity_certificate(shown->relay)->node, sizeof ticket.relay);
    memcpy(ticket.peer, identity_certificate(shown->peer)->node, sizeof ticket.peer);
    bind.ticket_bytes = ticket_sign(shown->signer, &ticket, bind.ticket);
    bind.certificate_bytes = 0;
    if (shown->certificate) {
        const struct certificate *certificate = identity_certificate(shown->certificate);
        bind.certificate_bytes = certificate->der_bytes;
        memcpy(bind.certificate, certificate->der, certificate->der_bytes);
    }
    return relay_bind_encode(&bind, out);
}

static inline void client_show(struct client *client, const struct shown *shown)
{
    uint8_t frame[BIND_LENGTH_BYTES + BIND_FRAME_MAX];

    tls_stream_send(client->stream, frame, encode_bind(shown, frame));
    assert_true(lab_run(client->lab, lab_flag, &client->is_answered, 3000));
}

static inline void client_bind(struct client *client, const struct relayed *relayed,
                               const char *tunnel)
{
    struct shown shown = good(relayed, tunnel);

    client_show(client, &shown);
}

static inline void on_client_closed(void *ctx)
{
    ((struct client *)ctx)->is_closed = true;
}

static inline void client_close(struct client *client)
{
    tls_stream_close_then(client->stream, on_client_closed, client);
    assert_true(lab_run(client->lab, lab_flag, &client->is_closed, 3000));
}

#endif
