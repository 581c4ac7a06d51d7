#include "conf/tree.h"

#include <confuse.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libconfuse's words for an error may quote the text, which may be a secret: only the place is
 * taken. What users can get wrong was reported before with better words. */
static _Thread_local int error_line;

static void on_error(cfg_t *tree, const char *fmt, va_list args)
{
    (void)fmt;
    (void)args;
    error_line = tree ? tree->line : 0;
}

/* cfg_init makes a deep copy: these tables need not outlive tree_new. */
static void fill_settings(enum section_id id, cfg_opt_t *options)
{
    const struct section_kind *kind = &section_kinds[id];
    const cfg_opt_t one = CFG_STR(NULL, NULL, CFGF_NODEFAULT);
    const cfg_opt_t many = CFG_STR_LIST(NULL, NULL, CFGF_NODEFAULT);
    const cfg_opt_t end = CFG_END();

    for (int i = 0; i < kind->count; i++) {
        options[i] = kind->settings[i].list ? many : one;
        options[i].name = kind->settings[i].key;
    }
    options[kind->count] = end;
}

static cfg_t *tree_new(void)
{
    cfg_opt_t options[SECTIONS][SETTINGS_MAX + SECTIONS + 1];
    const cfg_opt_t end = CFG_END();
    cfg_opt_t *next = &options[SECTION_TOP][section_kinds[SECTION_TOP].count];

    for (int id = 0; id < SECTIONS; id++)
        fill_settings((enum section_id)id, options[id]);
    for (int id = SECTION_TOP + 1; id < SECTIONS; id++) {
        /* MULTI: for a single section libconfuse would not keep the place */
        cfg_flag_t flags = CFGF_MULTI | (section_kinds[id].titled ? CFGF_TITLE : CFGF_NONE);
        const cfg_opt_t section = CFG_SEC(section_kinds[id].name, options[id], flags);
        *next++ = section;
    }
    *next = end;
    return cfg_init(options[SECTION_TOP], CFGF_NONE);
}

int tree_parse(struct source *source, struct messages *messages, struct cfg_t **tree)
{
    int ret = -ENOMEM;
    cfg_t *made = tree_new();
    FILE *text = fmemopen(source->text, source->bytes, "r");

    if (made && text) {
        cfg_set_error_function(made, on_error);
        error_line = 0;
        ret = cfg_parse_fp(made, text) == CFG_SUCCESS ? 0 : -EINVAL;
        if (ret < 0)
            messages_error(messages, source, error_line,
                           "cannot be understood; check quotes, braces and commas here");
    }
    if (text)
        fclose(text);
    if (ret < 0)
        tree_free(made);
    else
        *tree = made;
    return ret;
}

void tree_free(struct cfg_t *tree)
{
    if (tree)
        cfg_free(tree);
}

struct cfg_t *tree_section(struct cfg_t *tree, enum section_id id, int index)
{
    return id == SECTION_TOP ? tree : cfg_getnsec(tree, section_kinds[id].name, (unsigned)index);
}

int tree_value_count(struct cfg_t *section, const struct setting *setting)
{
    return (int)cfg_size(section, setting->key);
}

const char *tree_value(struct cfg_t *section, const struct setting *setting, int index)
{
    return cfg_getnstr(section, setting->key, (unsigned)index);
}
