/* A serialised Path from a peer, and what it makes us try. */
#include "overlay/candidate.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct candidate_policy policy = {0};
    struct candidate_path path, back;
    struct core_path wire, again;

    if (bytes > sizeof wire.data)
        return 0;
    wire.bytes = bytes;
    memcpy(wire.data, data, bytes);
    if (candidate_path_decode(&wire, &path) < 0)
        return 0;
    if (path.count > CANDIDATES_MAX)
        abort();
    for (int i = 0; i < path.count; i++) {
        const struct candidate *candidate = &path.candidates[i];

        if (candidate->kind != CANDIDATE_UDP)
            candidate_host_is_plausible(candidate->host, &policy);
        else if (candidate_is_plausible(&candidate->address, &policy) &&
                 candidate_is_loopback(&candidate->address))
            abort();
    }
    /* what was read can be written and read again */
    if (candidate_path_encode(&path, &again) == 0 &&
        (candidate_path_decode(&again, &back) < 0 || back.count != path.count))
        abort();
    return 0;
}
