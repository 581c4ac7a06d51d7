/* Values of known words, one or a list: codecs, roles, digests, when to serve. */
#include "conf/settings.h"
#include "conf/suggest.h"
#include "conf/values.h"

#include <string.h>
#include <strings.h>

/* A word of a set that is kept as bits. */
struct word {
    const char *name;
    unsigned bit;
};

static const struct word roles[] = {
    {"gateway", CONF_ROLE_GATEWAY},
    {"supernode", CONF_ROLE_SUPERNODE},
    {"relay", CONF_ROLE_RELAY},
    {"client", CONF_ROLE_CLIENT},
};

static const char *const serves[] = {
    [CONF_SERVE_AUTO] = "auto",
    [CONF_SERVE_ALWAYS] = "always",
    [CONF_SERVE_NEVER] = "never",
};

static const struct word digests[] = {
    {"sha-256", CONF_DIGEST_SHA256},
    {"md5", CONF_DIGEST_MD5},
};

#define COUNT(array) ((int)(sizeof(array) / sizeof(array)[0]))
#define WORDS_MAX COUNT(roles)

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

static void set_words(const struct value *value, const struct word *words, int count,
                      const char *what, unsigned *field)
{
    const char *names[WORDS_MAX];
    char shown[VALUE_SHOWN_MAX], remedy[SUGGEST_TEXT_MAX];
    unsigned set = 0;
    int wrong = 0;

    for (int i = 0; i < count; i++)
        names[i] = words[i].name;
    for (int i = 0; i < value->count; i++) {
        int word = 0;
        while (word < count && strcasecmp(value->texts[i], words[word].name) != 0)
            word++;
        if (word < count) {
            set |= words[word].bit;
            continue;
        }
        value_error(value, "names unknown %s \"%s\"; %s", what, value_shown(shown, value->texts[i]),
                    suggest_remedy(remedy, value->texts[i], names, count));
        wrong++;
    }
    if (!wrong)
        *field = set;
}

void value_roles(const struct value *value, void *field)
{
    set_words(value, roles, COUNT(roles), "role", field);
}

void value_digests(const struct value *value, void *field)
{
    set_words(value, digests, COUNT(digests), "digest", field);
}

void value_serve(const struct value *value, void *field)
{
    const char *text = value->texts[0];
    char shown[VALUE_SHOWN_MAX], remedy[SUGGEST_TEXT_MAX];

    for (int i = 0; i < COUNT(serves); i++) {
        if (strcasecmp(text, serves[i]) == 0) {
            *(enum conf_serve *)field = (enum conf_serve)i;
            return;
        }
    }
    value_error(value, "\"%s\" does not say when; %s", value_shown(shown, text),
                suggest_remedy(remedy, text, serves, COUNT(serves)));
}
