#include "overlay/host_file.h"

#include "overlay/identity_file.h"
#include "overlay/state_file.h"
#include "overlay/tls_address.h"

#include "conf/log.h"

#include <stdlib.h>
#include <string.h>

void host_file_read(const char *path, void (*each)(void *ctx, const char *address), void *ctx)
{
    struct tls_address address;
    char *text, *next = NULL, why[300];
    size_t bytes;
    int count = 0, error = identity_file_read(path, &text, &bytes, why, sizeof why);

    if (error < 0) {
        if (state_file_is_worth_a_line(error))
            log_warn(LOG_OVERLAY, NULL, "the supernodes known before are not read: %s", why);
        return;
    }
    for (char *line = strtok_r(text, "\r\n", &next); line && count < HOST_FILE_MAX;
         line = strtok_r(NULL, "\r\n", &next)) {
        if (tls_address_parse(line, &address) < 0)
            continue;
        count++;
        each(ctx, line);
    }
    free(text);
}

int host_file_write(uv_loop_t *loop, const char *path, char *text, void (*done)(void *ctx),
                    void *ctx)
{
    const struct state_file file = {path, "the supernodes known now", text};

    return state_file_write(loop, &file, done, ctx);
}
