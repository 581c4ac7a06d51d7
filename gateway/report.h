/* gateway/report.h: the state of a node as JSON. The caller owns what is returned. */
#ifndef GATEWAY_REPORT_H
#define GATEWAY_REPORT_H

#include <jansson.h>

struct gateway;

json_t *report_status(struct gateway *gateway);
json_t *report_calls(struct gateway *gateway);
json_t *report_nodes(struct gateway *gateway);
/* The journal of the call whose id begins so, or of the "last". *error: 0, -ENOENT, or -EEXIST when
 * several are meant; then an object that says so is returned. */
json_t *report_journal(struct gateway *gateway, const char *id, int *error);

#endif
