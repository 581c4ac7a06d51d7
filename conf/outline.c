#include "conf/outline.h"

#include "conf/accept.h"
#include "conf/include.h"
#include "conf/scan.h"
#include "conf/tree.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The walk of one file. */
struct walk {
    struct outline *outline;
    struct source *source;
    struct scan scan;
    struct section *top;
};

static int complain(struct walk *walk, int line, const char *what)
{
    messages_error(&walk->outline->messages, walk->source, line, "%s", what);
    return -EINVAL;
}

static struct section *section_add(struct outline *outline, enum section_id id,
                                   const struct source *source, int line)
{
    size_t bytes = ((size_t)outline->section_count + 1) * sizeof(struct section *);
    struct section **list = realloc(outline->sections, bytes);
    struct section *section = calloc(1, sizeof *section);

    if (list)
        outline->sections = list;
    if (!list || !section) {
        free(section);
        return NULL;
    }
    section->id = id;
    section->source = source;
    section->line = line;
    list[outline->section_count++] = section;
    return section;
}

/* ---- values ------------------------------------------------------------------------------------
 */

static bool is_text(const struct scan_token *token)
{
    return token->kind == SCAN_WORD || token->kind == SCAN_STRING;
}

/* After the opening brace of a list: its items, up to the closing brace. */
static int walk_list(struct walk *walk, int *count)
{
    static const char wrong[] =
        "a list is not written as { \"one\", \"two\" }; check its commas and braces";
    struct scan_token token;
    int ret;

    for (*count = 0;; ++*count) {
        if ((ret = scan_next(&walk->scan, &token)) < 0)
            return ret;
        if (token.kind == SCAN_CLOSE)
            return 0;
        if (!is_text(&token))
            return complain(walk, token.line, wrong);
        if ((ret = scan_next(&walk->scan, &token)) < 0)
            return ret;
        if (token.kind == SCAN_CLOSE) {
            ++*count;
            return 0;
        }
        if (token.kind != SCAN_COMMA)
            return complain(walk, token.line, wrong);
    }
}

/* After the equal sign. *count is how many texts there are, *braces whether it is a list. */
static int walk_value(struct walk *walk, int *count, bool *braces)
{
    struct scan_token token;
    int ret = scan_next(&walk->scan, &token);

    if (ret < 0)
        return ret;
    *count = 1;
    *braces = token.kind == SCAN_OPEN;
    if (*braces)
        return walk_list(walk, count);
    return is_text(&token)
               ? 0
               : complain(walk, token.line,
                          "= without a value; write the value after it, in double quotes");
}

/* ---- settings ----------------------------------------------------------------------------------
 */

/* After NAME =. */
static int walk_setting(struct walk *walk, struct section *section, const struct scan_token *name)
{
    int count = 0;
    bool braces = false;
    char *key = scan_text(&walk->scan, name);

    if (!key)
        return -ENOMEM;
    /* the name first, so that messages come in the order of the text */
    bool is_good = accept_setting(walk->outline, section, key, name->line);
    int ret = walk_value(walk, &count, &braces);
    if (ret == 0 && is_good)
        is_good = accept_value(walk->outline, section, key, name->line, braces ? &count : NULL);
    if (ret == 0 && !is_good)
        scan_blank(&walk->scan, name->start, walk->scan.at);
    free(key);
    return ret;
}

/* ---- sections ----------------------------------------------------------------------------------
 */

static int not_closed(struct walk *walk, const char *name, int line)
{
    messages_error(&walk->outline->messages, walk->source, line,
                   "section %s has no end; add } after its last setting", name);
    return -EINVAL;
}

/* After the opening brace of a section that is not known: up to its end, whatever is in it. */
static int skip_body(struct walk *walk, int line)
{
    struct scan_token token;

    for (int depth = 1; depth > 0;) {
        int ret = scan_next(&walk->scan, &token);
        if (ret < 0)
            return ret;
        if (token.kind == SCAN_END)
            return complain(walk, line, "this section has no end; add } after its last setting");
        depth += token.kind == SCAN_OPEN ? 1 : token.kind == SCAN_CLOSE ? -1 : 0;
    }
    return 0;
}

/* What follows a name inside a section. */
static int walk_inner(struct walk *walk, struct section *section, const struct scan_token *name)
{
    struct scan_token sign;
    int ret = scan_next(&walk->scan, &sign);

    if (ret < 0)
        return ret;
    if (sign.kind == SCAN_EQUAL)
        return walk_setting(walk, section, name);
    if (sign.kind == SCAN_APPEND)
        return complain(walk, sign.line, "+= is not known; write = and the whole list");
    if (is_text(&sign) || sign.kind == SCAN_OPEN)
        return complain(
            walk, name->line,
            "this is not NAME = VALUE; a } may be missing before it, or quotes around a "
            "value of several words");
    return complain(walk, sign.line, "a name without a value; write NAME = VALUE");
}

/* After the opening brace. */
static int walk_body(struct walk *walk, struct section *section)
{
    struct scan_token token;

    for (;;) {
        int ret = scan_next(&walk->scan, &token);
        if (ret < 0)
            return ret;
        switch (token.kind) {
        case SCAN_CLOSE:
            return 0;
        case SCAN_END:
            return not_closed(walk, section_kinds[section->id].name, section->line);
        case SCAN_WORD:
            if ((ret = walk_inner(walk, section, &token)) < 0)
                return ret;
            break;
        default:
            return complain(walk, token.line,
                            "a setting does not begin here; write NAME = VALUE, a value of several "
                            "words in double quotes");
        }
    }
}

static struct section *section_open(struct walk *walk, enum section_id id, const char *title,
                                    int line)
{
    struct section *section = section_add(walk->outline, id, walk->source, line);

    if (!section)
        return NULL;
    section->title = title ? strdup(title) : NULL;
    if (asprintf(&section->name, "%s %s", section_kinds[id].name, title ? title : "") < 0)
        section->name = NULL;
    else
        HASH_ADD_KEYPTR(hh, walk->outline->by_name, section->name, strlen(section->name), section);
    return section;
}

/* After NAME [title] {. `title_token` is NULL without a title. */
static int walk_section(struct walk *walk, const struct scan_token *name,
                        const struct scan_token *title_token)
{
    enum section_id id = SECTION_TOP;
    char *word = scan_text(&walk->scan, name);
    char *title = title_token ? scan_text(&walk->scan, title_token) : NULL;
    int ret = -ENOMEM;

    if (word && section_find(word, &id) < 0) {
        accept_no_section(walk->outline, walk->source, word, name->line);
        ret = skip_body(walk, name->line);
        scan_blank(&walk->scan, name->start, walk->scan.at);
    } else if (word && !accept_section(walk->outline, walk->source, id, title, name->line)) {
        ret = skip_body(walk, name->line);
        scan_blank(&walk->scan, name->start, walk->scan.at);
    } else if (word) {
        struct section *section = section_open(walk, id, title, name->line);
        ret = section ? walk_body(walk, section) : -ENOMEM;
    }
    free(word);
    free(title);
    return ret;
}

/* ---- files -------------------------------------------------------------------------------------
 */

static int walk_file(struct outline *outline, struct source *source);

static int read_file(struct outline *outline, const char *path, const struct source *includer)
{
    struct source *source;

    if (outline->source_count == SOURCE_COUNT_MAX)
        return -EMFILE;
    int ret = source_read(path, includer, &source);
    if (ret < 0)
        return ret;
    source->ordinal = outline->source_count;
    outline->sources[outline->source_count++] = source;
    if (source_is_loop(source))
        return -ELOOP;
    /* a message was written for whatever is wrong inside */
    return walk_file(outline, source) < 0 ? -EINPROGRESS : 0;
}

static int walk_include(struct walk *walk, const struct scan_token *name,
                        const struct scan_token *pattern_token)
{
    char *pattern = scan_text(&walk->scan, pattern_token);
    struct include include = {
        .source = walk->source, .line = name->line, .messages = &walk->outline->messages};
    int ret = pattern ? include_find(&include, pattern) : -ENOMEM;

    scan_blank(&walk->scan, name->start, walk->scan.at);
    for (size_t i = 0; ret == 0 && i < include.found.gl_pathc; i++) {
        int error = read_file(walk->outline, include.found.gl_pathv[i], walk->source);
        ret = include_judge(&include, include.found.gl_pathv[i], error);
    }
    include_free(&include);
    free(pattern);
    return ret;
}

/* After NAME STRING: an include, or the brace of a section. */
static int walk_titled(struct walk *walk, const struct scan_token *name,
                       const struct scan_token *title)
{
    struct scan_token open;
    static const char include[] = "include";

    if (name->end - name->start == sizeof include - 1 &&
        memcmp(walk->source->text + name->start, include, sizeof include - 1) == 0)
        return walk_include(walk, name, title);

    int ret = scan_next(&walk->scan, &open);
    if (ret < 0)
        return ret;
    if (open.kind != SCAN_OPEN)
        return complain(walk, name->line,
                        "this is neither NAME = VALUE nor a section; check = { and quotes");
    return walk_section(walk, name, title);
}

static int walk_outer(struct walk *walk, const struct scan_token *name)
{
    struct scan_token next;
    int ret = scan_next(&walk->scan, &next);

    if (ret < 0)
        return ret;
    switch (next.kind) {
    case SCAN_EQUAL:
        return walk_setting(walk, walk->top, name);
    case SCAN_OPEN:
        return walk_section(walk, name, NULL);
    case SCAN_WORD:
    case SCAN_STRING:
        return walk_titled(walk, name, &next);
    case SCAN_APPEND:
        return complain(walk, next.line, "+= is not known; write = and the whole list");
    default:
        return complain(walk, name->line,
                        "a name stands alone; write NAME = VALUE or NAME { ... }");
    }
}

static int walk_statements(struct walk *walk)
{
    struct scan_token token;
    int ret;

    while ((ret = scan_next(&walk->scan, &token)) == 0 && token.kind != SCAN_END) {
        if (token.kind == SCAN_CLOSE)
            ret = complain(walk, token.line, "} without a section that it could close; remove it");
        else if (token.kind != SCAN_WORD)
            ret = complain(walk, token.line,
                           "neither a setting nor a section begins here; write NAME = VALUE or "
                           "NAME { ... }");
        else
            ret = walk_outer(walk, &token);
        if (ret < 0)
            break;
    }
    return ret;
}

/* Gives the sections of a file that is parsed their values. */
static void attach_tree(struct outline *outline, const struct source *source, struct cfg_t *tree)
{
    int index[SECTIONS] = {0};

    for (int i = 0; i < outline->section_count; i++) {
        struct section *section = outline->sections[i];
        if (section->source == source)
            section->tree = tree_section(tree, section->id, index[section->id]++);
    }
}

static int walk_file(struct outline *outline, struct source *source)
{
    struct walk walk = {.outline = outline, .source = source};
    struct cfg_t **tree = &outline->trees[source->ordinal];

    walk.top = section_add(outline, SECTION_TOP, source, 1);
    if (!walk.top)
        return -ENOMEM;
    scan_init(&walk.scan, source, &outline->messages);
    int ret = walk_statements(&walk);
    if (ret == 0)
        ret = tree_parse(source, &outline->messages, tree);
    if (ret == 0)
        attach_tree(outline, source, *tree);
    source_forget_text(source);
    return ret;
}

int outline_read(struct outline *outline, const char *path)
{
    int ret = read_file(outline, path, NULL);

    return ret == -EINPROGRESS ? -EINVAL : ret;
}

void outline_fini(struct outline *outline)
{
    HASH_CLEAR(hh, outline->by_name);
    for (int i = 0; i < outline->section_count; i++) {
        free(outline->sections[i]->title);
        free(outline->sections[i]->name);
        free(outline->sections[i]);
    }
    free(outline->sections);
    for (int i = 0; i < outline->source_count; i++) {
        tree_free(outline->trees[i]);
        source_free(outline->sources[i]);
    }
}
