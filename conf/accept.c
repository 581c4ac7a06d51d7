#include "conf/accept.h"

#include "conf/suggest.h"
#include "conf/values.h"

#include <stdio.h>
#include <string.h>

/* Reports a setting that the section does not have. */
static void unknown_setting(struct outline *outline, const struct section *section, const char *key,
                            int line)
{
    const char *names[SETTINGS_MAX], *remedy;
    char text[SUGGEST_TEXT_MAX], shown[VALUE_SHOWN_MAX], place[64] = "outside of any section";
    enum section_id id;
    int count = setting_names(section->id, names);

    value_shown(shown, key);
    if (section->id != SECTION_TOP)
        snprintf(place, sizeof place, "in section %s", section_kinds[section->id].name);

    remedy = suggest_nearest(key, names, count) ? suggest_remedy(text, key, names, count) : NULL;
    if (!remedy && section->id == SECTION_TOP && section_find(key, &id) == 0) {
        snprintf(text, sizeof text, "it is a section: write %s { ... }", key);
        remedy = text;
    }
    for (int other = SECTION_TOP; !remedy && other < SECTIONS; other++) {
        if (setting_find((enum section_id)other, key) < 0)
            continue;
        snprintf(text, sizeof text,
                 other == SECTION_TOP ? "it stands outside of the sections%s"
                                      : "it belongs into section %s",
                 section_kinds[other].name);
        remedy = text;
    }
    if (!remedy)
        remedy = suggest_remedy(text, key, names, count);
    messages_error(&outline->messages, section->source, line, "unknown setting \"%s\" %s; %s",
                   shown, place, remedy);
}

/* Where this setting was given before: in this section, or for one outside of sections in any file.
 */
static const struct section *find_given(const struct outline *outline,
                                        const struct section *section, int index)
{
    if (section->id != SECTION_TOP)
        return section->key_line[index] > 0 ? section : NULL;
    for (int i = 0; i < outline->section_count; i++)
        if (outline->sections[i]->id == SECTION_TOP && outline->sections[i]->key_line[index] > 0)
            return outline->sections[i];
    return NULL;
}

bool accept_setting(struct outline *outline, struct section *section, const char *key, int line)
{
    int index = setting_find(section->id, key);

    if (index < 0) {
        unknown_setting(outline, section, key, line);
        return false;
    }
    const struct section *given = find_given(outline, section, index);
    if (given) {
        messages_error(&outline->messages, section->source, line,
                       "\"%s\" was set before, at %s:%d; remove one of the two", key,
                       given->source->path, given->key_line[index]);
        return false;
    }
    section->key_line[index] = line;
    return true;
}

bool accept_value(struct outline *outline, const struct section *section, const char *key, int line,
                  const int *braced_count)
{
    int index = setting_find(section->id, key);
    const struct setting *setting = &section_kinds[section->id].settings[index];

    if (braced_count && !setting->list)
        messages_error(&outline->messages, section->source, line,
                       "\"%s\" takes one value; write it without braces", key);
    else if (braced_count && *braced_count == 0 && !setting->may_be_empty)
        messages_error(&outline->messages, section->source, line,
                       "\"%s\" is an empty list; name at least one or leave the setting out", key);
    else
        return true;
    return false;
}

void accept_no_section(struct outline *outline, const struct source *source, const char *name,
                       int line)
{
    const char *names[SECTIONS];
    char shown[VALUE_SHOWN_MAX], text[SUGGEST_TEXT_MAX];
    int count = section_names(names);

    messages_error(&outline->messages, source, line, "unknown section \"%s\"; %s",
                   value_shown(shown, name), suggest_remedy(text, name, names, count));
}

/* Titles go into SIP URIs and log lines as they are. */
static bool is_title(const char *title)
{
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "0123456789-_.+*#";

    return title[0] != '\0' && strlen(title) < 64 && title[strspn(title, allowed)] == '\0';
}

bool accept_section(struct outline *outline, const struct source *source, enum section_id id,
                    const char *title, int line)
{
    const struct section_kind *kind = &section_kinds[id];
    struct messages *messages = &outline->messages;
    char name[128], shown[VALUE_SHOWN_MAX];
    struct section *before;

    if (!title && kind->titled) {
        messages_error(messages, source, line,
                       "section %s needs a name; write for example %s \"%s\" { ... }", kind->name,
                       kind->name, id == SECTION_PHONE ? "201" : "paris");
        return false;
    }
    if (title && !kind->titled) {
        messages_error(messages, source, line, "section %s has no name; write %s { ... }",
                       kind->name, kind->name);
        return false;
    }
    if (title && !is_title(title)) {
        messages_error(messages, source, line,
                       "\"%s\" cannot name a %s; use up to 63 letters, digits and - _ . + * #",
                       value_shown(shown, title), kind->name);
        return false;
    }
    snprintf(name, sizeof name, "%s %s", kind->name, title ? title : "");
    HASH_FIND_STR(outline->by_name, name, before);
    if (!before)
        return true;
    if (title)
        messages_error(messages, source, line,
                       "%s \"%s\" was given before, at %s:%d; remove or rename one of the two",
                       kind->name, title, before->source->path, before->line);
    else
        messages_error(messages, source, line,
                       "section %s was given before, at %s:%d; join the two", kind->name,
                       before->source->path, before->line);
    return false;
}
