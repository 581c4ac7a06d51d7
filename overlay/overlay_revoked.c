/* The revocation list on disk, and what happens to paths and tunnels when a newer one is in force.
 */
#include "overlay/overlay_parts.h"

#include "overlay/state_file.h"

#include "conf/log.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

static bool file_path(const struct overlay *overlay, char path[PATH_MAX])
{
    const char *dir = overlay->conf->state_dir;
    char tag[IDENTITY_TAG_BYTES];

    identity_realm_tag(overlay->identity, tag);
    return dir && snprintf(path, PATH_MAX, "%s/revoked-%s", dir, tag) < PATH_MAX;
}

static bool we_are_revoked(const struct overlay *overlay)
{
    return identity_is_revoked(overlay->identity, identity_certificate(overlay->identity)->serial);
}

int overlay_revoked_load(struct overlay *overlay, char *why, size_t why_bytes)
{
    char path[PATH_MAX], reason[PATH_MAX + 200];
    int error = file_path(overlay, path)
                    ? identity_revoke_file(overlay->identity, path, reason, sizeof reason)
                    : 0;

    /* One that was damaged comes back from a supernode. */
    if (error < 0 && error != -EALREADY && error != -ESTALE && state_file_is_worth_a_line(error))
        log_warn(LOG_OVERLAY, NULL, "the revocation list kept is not used: %s", reason);
    if (!we_are_revoked(overlay))
        return 0;
    snprintf(why, why_bytes,
             "%s: our certificate is revoked: enrol the node again with `sallyport realm enrol`",
             overlay->conf->realm.enrolment);
    return -EINVAL;
}

static void save(struct overlay *overlay)
{
    char path[PATH_MAX];
    struct state_file file = {.path = path, .what = "the newest revocation list"};

    if (!file_path(overlay, path) || !(file.text = identity_list_pem(overlay->identity)))
        return;
    overlay->open++;
    if (state_file_write(overlay->loop, &file, overlay_let_go, overlay) < 0)
        overlay->open--;
}

void overlay_on_revoked(void *ctx)
{
    struct overlay *overlay = ctx;

    paths_revoke(overlay->paths);
    if (overlay->relay)
        relay_revoke(overlay->relay);
    save(overlay);
}
