/* `sallyport realm publish`: a node that attaches only to hand the realm's revocation list in. */
#include "gateway/command.h"

#include "gateway/gateway.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* With the time that closing takes all is over after 10 s. */
#define PUBLISH_MS 9000
#define LOOK_MS 50

struct publisher {
    struct gateway gateway;
    struct gateway_client side;
    struct overlay_realm_list list;
    uv_timer_t timer;
    bool has_timer;
    uint64_t end_ms;
    bool is_held; /* by a supernode */
    int status;
};

static void on_stop(void *ctx)
{
    struct publisher *publisher = ctx;
    if (publisher->has_timer)
        uv_close((uv_handle_t *)&publisher->timer, NULL);
    publisher->has_timer = false;
}

static void on_supernode(void *ctx, const struct overlay_supernode *supernode)
{
    struct publisher *publisher = ctx;
    const struct overlay_realm_list *list = &publisher->list;
    if (publisher->is_held || supernode->revocation < list->number)
        return;
    publisher->is_held = true;
    publisher->status = 0;
    printf("Published: supernode %s (%s) holds list number %llu with %d %s and hands it to all "
           "nodes.\n",
           supernode->address, supernode->site, (unsigned long long)list->number, list->count,
           list->count == 1 ? "certificate" : "certificates");
}

/* Why it cannot come to a good end any more; false: it still can. */
static bool is_hopeless(const struct publisher *publisher)
{
    struct overlay_status status;
    overlay_status(publisher->gateway.overlay, &status);
    if (status.revocation > publisher->list.number)
        fprintf(stderr,
                "sallyport realm: %s has number %llu, but the realm knows number %llu already; "
                "publish that list, or revoke where it was made\n",
                publisher->list.path, (unsigned long long)publisher->list.number,
                (unsigned long long)status.revocation);
    else if (uv_now(publisher->timer.loop) >= publisher->end_ms)
        fprintf(stderr, "sallyport realm: no supernode has taken the list in %d s: %s\n",
                PUBLISH_MS / 1000, *status.last_error ? status.last_error : "no answer");
    else
        return false;
    return true;
}

/* The node hands the list in by itself as soon as a supernode says that it holds an older one. */
static void on_look(uv_timer_t *timer)
{
    struct publisher *publisher = timer->data;
    overlay_each_supernode(publisher->gateway.overlay, on_supernode, publisher);
    if (publisher->is_held || is_hopeless(publisher))
        gateway_stop(&publisher->gateway);
}

static int check_list(const struct overlay_realm_list *list)
{
    if (list->fits)
        return 0;
    fprintf(stderr,
            "sallyport realm: %s: %d certificates are more than fit into one message between "
            "nodes; give the file to each node, realm { revocation = \"FILE\" }, and start it "
            "again\n",
            list->path, list->count);
    return COMMAND_FAILED;
}

static int run(struct publisher *publisher, const struct conf *conf)
{
    publisher->status = COMMAND_FAILED;
    publisher->side.user = "sallyport";
    publisher->side.on_stop = on_stop;
    publisher->side.ctx = publisher;
    if (gateway_open(&publisher->gateway, conf, &publisher->side) != 0)
        return COMMAND_FAILED;
    uv_timer_init(publisher->gateway.uv, &publisher->timer);
    publisher->timer.data = publisher;
    publisher->has_timer = true;
    publisher->end_ms = uv_now(publisher->gateway.uv) + PUBLISH_MS;
    uv_timer_start(&publisher->timer, on_look, LOOK_MS, LOOK_MS);
    gateway_run(&publisher->gateway);
    return publisher->status;
}

int command_realm_publish(const char *realm, const char *enrolment, const char *config)
{
    struct publisher *publisher = calloc(1, sizeof *publisher);
    struct conf *conf = config ? command_load(config) : conf_default();
    char why[PATH_MAX + 128];
    int status = publisher && conf ? 0 : COMMAND_FAILED;
    if (!status && overlay_realm_list(realm, &publisher->list, why, sizeof why) != 0) {
        fprintf(stderr, "sallyport realm: %s\n", why);
        status = COMMAND_FAILED;
    }
    if (!status)
        status = check_list(&publisher->list);
    if (!status) {
        if (enrolment) {
            free(conf->realm.enrolment);
            conf->realm.enrolment = strdup(enrolment);
        }
        free(conf->realm.revocation);
        conf->realm.revocation = strdup(publisher->list.path);
        conf->overlay.roles = 0;
        status = run(publisher, conf);
    }
    conf_free(conf);
    free(publisher);
    return status;
}
