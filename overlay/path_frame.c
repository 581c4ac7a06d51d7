/* PathBind and PathBound. */
#include "overlay/path_frame.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "overlay/overlay.pb-c.h"

size_t path_bind_encode(const uint8_t id[PATH_ID_BYTES], uint8_t *out)
{
    Sallyport__PathBind bind = SALLYPORT__PATH_BIND__INIT;

    bind.path.len = PATH_ID_BYTES;
    bind.path.data = (uint8_t *)id;
    return bind_frame_length(out, sallyport__path_bind__pack(&bind, out + BIND_LENGTH_BYTES));
}

size_t path_bound_encode(const char *refused, uint8_t *out)
{
    Sallyport__PathBound bound = SALLYPORT__PATH_BOUND__INIT;

    assert(strlen(refused) < BIND_REASON_MAX);
    bound.refused = (char *)refused;
    return bind_frame_length(out, sallyport__path_bound__pack(&bound, out + BIND_LENGTH_BYTES));
}

int path_bind_decode(const uint8_t *frame, size_t bytes, uint8_t id[PATH_ID_BYTES])
{
    Sallyport__PathBind *bind = sallyport__path_bind__unpack(NULL, bytes, frame);
    int err = -EBADMSG;

    if (bind && bind->path.len == PATH_ID_BYTES) {
        memcpy(id, bind->path.data, PATH_ID_BYTES);
        err = 0;
    }
    if (bind)
        sallyport__path_bind__free_unpacked(bind, NULL);
    return err;
}

int path_bound_decode(const uint8_t *frame, size_t bytes, char *refused)
{
    Sallyport__PathBound *bound = sallyport__path_bound__unpack(NULL, bytes, frame);

    if (!bound)
        return -EBADMSG;
    bind_reason_copy(refused, bound->refused);
    sallyport__path_bound__free_unpacked(bound, NULL);
    return 0;
}
