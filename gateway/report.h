/* gateway/report.h: the state of a node as JSON. The caller owns what is returned. */
#ifndef GATEWAY_REPORT_H
#define GATEWAY_REPORT_H

#include <jansson.h>

struct gateway;

json_t *report_status(struct gateway *gateway);
json_t *report_calls(struct gateway *gateway);

#endif
