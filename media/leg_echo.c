/* The echo test: the other leg's sound goes back to it (see leg_join). It sends and hears nothing
 * of its own. */
#include "media/leg.h"

const struct leg_ops media_echo_ops = {
    .echoes = true,
};
