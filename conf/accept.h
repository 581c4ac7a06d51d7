/* conf/accept.h: whether a name may stand where the walk of outline.h met it.
 *
 * Private to conf/. What may not is reported here, with what to write instead; the walk then blanks
 * it and goes on.
 */
#ifndef CONF_ACCEPT_H
#define CONF_ACCEPT_H

#include "conf/outline.h"

/* NAME = …: known in this section and not given before. Notes its line. */
bool accept_setting(struct outline *outline, struct section *section, const char *key, int line);
/* What stands after it: a list of *braced_count items, or with NULL a single text. */
bool accept_value(struct outline *outline, const struct section *section, const char *key, int line,
                  const int *braced_count);
/* NAME [title] {: with a title where one is needed, and not given before. */
bool accept_section(struct outline *outline, const struct source *source, enum section_id id,
                    const char *title, int line);
/* Reports a section of a name that is not known. */
void accept_no_section(struct outline *outline, const struct source *source, const char *name,
                       int line);

#endif
