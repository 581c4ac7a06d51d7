/* conf/values.h: from the text of a setting to its field in struct conf.
 *
 * Private to conf/ and its tests. One function per type of setting. Each checks the text, reports
 * what is wrong with it and what is allowed, and writes the field only when all is well; a heap
 * string that stands in the field is freed.
 */
#ifndef CONF_VALUES_H
#define CONF_VALUES_H

#include "conf/messages.h"

struct setting;

/* A setting as given. Its messages begin with `label`, such as `sip: ` or `phone "201": `. */
struct value {
    const struct setting *setting;
    const char *const *texts; /* one, or the items of a list */
    int count;
    const char *label;
    const struct source *source;
    int line;
    struct messages *messages;
};

typedef void value_parse(const struct value *value, void *field);

/* Reports "LABEL KEY …" for this value. Never pass a secret. */
void value_error(const struct value *value, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

value_parse value_text;     /* char *: one line of text, not empty */
value_parse value_domain;   /* char *: a host name or IP address */
value_parse value_path;     /* char *: relative to the file's folder */
value_parse value_file;     /* the same; the file must be readable */
value_parse value_duration; /* int, in seconds */
value_parse value_duration_or_never;
value_parse value_int;        /* int */
value_parse value_port;       /* uint16_t; 0 or "any" is any */
value_parse value_bool;       /* bool */
value_parse value_level;      /* int of enum log_level */
value_parse value_levels_all; /* int[LOG_FOLDERS] */

value_parse value_address;    /* sockaddr_storage with port */
value_parse value_ip;         /* sockaddr_storage without port */
value_parse value_host_port;  /* char *, "host:port" */
value_parse value_host_ports; /* in struct conf_overlay: supernodes and their count */
value_parse value_proxy;      /* char *: "host:port" or "user:secret@host:port" */
value_parse value_sites;      /* in struct conf_overlay: trust and its count */
value_parse value_listens;    /* in struct conf_sip: listen and its count */
value_parse value_codecs;     /* struct codec_list */
value_parse value_roles;      /* unsigned, of enum conf_role */
value_parse value_serve;      /* enum conf_serve */
value_parse value_digests;    /* unsigned, of enum conf_digest */
value_parse value_port_range; /* in struct conf_media: port_min and port_max */

value_parse value_secret; /* char *: one of the three, or they complain */
value_parse value_secret_file;
value_parse value_secret_env;

/* Text fit for a message: escaped, cut to a sensible length. `out` has VALUE_SHOWN_MAX bytes. */
#define VALUE_SHOWN_MAX 100
const char *value_shown(char *out, const char *text);

#endif
