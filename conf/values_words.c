/* Values that are lists of known words: codecs and roles. */
#include "conf/settings.h"
#include "conf/suggest.h"
#include "conf/values.h"

#include <string.h>
#include <strings.h>

static const struct {
    const char *name;
    enum conf_role role;
} roles[] = {
    {"gateway", CONF_ROLE_GATEWAY},
    {"supernode", CONF_ROLE_SUPERNODE},
    {"relay", CONF_ROLE_RELAY},
    {"client", CONF_ROLE_CLIENT},
};

#define ROLES ((int)(sizeof roles / sizeof roles[0]))

static void complain_codec(const struct value *value, const char *text)
{
    const char *names[CODEC_COUNT];
    char shown[VALUE_SHOWN_MAX], remedy[SUGGEST_TEXT_MAX];

    for (int i = 0; i < CODEC_COUNT; i++)
        names[i] = codec_name((enum codec)i);
    value_error(value, "names unknown codec \"%s\"; %s", value_shown(shown, text),
                suggest_remedy(remedy, text, names, CODEC_COUNT));
}

void value_codecs(const struct value *value, void *field)
{
    struct codec_list list = {0};
    int wrong = 0;

    for (int i = 0; i < value->count; i++) {
        enum codec codec;
        if (codec_find(value->texts[i], &codec) < 0) {
            complain_codec(value, value->texts[i]);
            wrong++;
        } else if (codec_list_has(&list, codec)) {
            value_error(value, "names %s twice; name each codec once", codec_name(codec));
            wrong++;
        } else {
            list.codec[list.count++] = codec;
        }
    }
    if (!wrong)
        *(struct codec_list *)field = list;
}

void value_roles(const struct value *value, void *field)
{
    const char *names[ROLES];
    char shown[VALUE_SHOWN_MAX], remedy[SUGGEST_TEXT_MAX];
    unsigned set = 0;
    int wrong = 0;

    for (int i = 0; i < ROLES; i++)
        names[i] = roles[i].name;
    for (int i = 0; i < value->count; i++) {
        int role = 0;
        while (role < ROLES && strcasecmp(value->texts[i], roles[role].name) != 0)
            role++;
        if (role < ROLES) {
            set |= roles[role].role;
            continue;
        }
        value_error(value, "names unknown role \"%s\"; %s", value_shown(shown, value->texts[i]),
                    suggest_remedy(remedy, value->texts[i], names, ROLES));
        wrong++;
    }
    if (!wrong)
        *(unsigned *)field = set;
}
