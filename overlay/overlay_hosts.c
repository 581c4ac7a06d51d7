/* The host cache of the core, kept on disk: some seconds after attaching, then when it has changed.
 */
#include "overlay/overlay_parts.h"

#include "overlay/host_file.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_MS 5000
#define EVERY_MS 300000

static bool file_path(const struct overlay *overlay, char path[PATH_MAX])
{
    const char *dir = overlay->conf->state_dir;
    char tag[IDENTITY_TAG_BYTES];

    identity_realm_tag(overlay->identity, tag);
    return dir && snprintf(path, PATH_MAX, "%s/supernodes-%s", dir, tag) < PATH_MAX;
}

static void add_host(void *ctx, const char *address)
{
    core_add_host(((struct overlay *)ctx)->core, address);
}

void overlay_hosts_load(struct overlay *overlay)
{
    char path[PATH_MAX];

    if (file_path(overlay, path))
        host_file_read(path, add_host, overlay);
}

static void write_line(void *ctx, const char *address)
{
    fprintf(ctx, "%s\n", address);
}

static char *hosts_text(const struct overlay *overlay)
{
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);

    if (!out)
        return NULL;
    core_each_host(overlay->core, write_line, out);
    if (fclose(out) == 0)
        return text;
    free(text);
    return NULL;
}

void overlay_hosts_save(struct overlay *overlay)
{
    char path[PATH_MAX], *text = file_path(overlay, path) ? hosts_text(overlay) : NULL;
    char *kept = text ? strdup(text) : NULL;

    /* None is no news: a node that never attached must not forget what it knew. */
    if (!kept || text[0] == '\0' || (overlay->hosts && strcmp(text, overlay->hosts) == 0)) {
        free(text);
        free(kept);
        return;
    }
    overlay->open++;
    if (host_file_write(overlay->loop, path, text, overlay_let_go, overlay) < 0) {
        overlay->open--;
        free(kept);
        return;
    }
    free(overlay->hosts);
    overlay->hosts = kept;
}

static void on_keep(uv_timer_t *timer)
{
    overlay_hosts_save(timer->data);
}

void overlay_hosts_keep(struct overlay *overlay)
{
    uv_timer_start(&overlay->keep, on_keep, FIRST_MS, EVERY_MS);
}
