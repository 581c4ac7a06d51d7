/* overlay/advertise.h: the address that others are told to find our door at. Private to overlay.c
 * and tests. */
#ifndef OVERLAY_ADVERTISE_H
#define OVERLAY_ADVERTISE_H

#include "conf/conf.h"

/* Writes into `text` (ADDRESS_TEXT_MAX): overlay.advertise when it is set; else where we listen,
 * with the machine's first address of its own in the place of "any". -EINVAL when overlay.advertise
 * is no host:port or too long. */
int advertise_choose(const struct conf_overlay *conf, const struct sockaddr_storage *listen,
                     char *text);

#endif
