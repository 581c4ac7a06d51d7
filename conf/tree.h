/* conf/tree.h: libconfuse, kept behind three functions.
 *
 * Private to conf/. Its lexer has global state: one tree is parsed at a time (conf_load holds a
 * lock). The text has been through outline.h before, so it holds known names only.
 */
#ifndef CONF_TREE_H
#define CONF_TREE_H

#include "conf/messages.h"
#include "conf/settings.h"

struct cfg_t;

/* Parses the text of one file. 0 and *tree (free with tree_free), or -EINVAL with a message, or
 * -ENOMEM. */
int tree_parse(struct source *source, struct messages *messages, struct cfg_t **tree);
void tree_free(struct cfg_t *tree);

/* The section of that kind that came `index`th in the file; NULL for none. SECTION_TOP: the tree.
 */
struct cfg_t *tree_section(struct cfg_t *tree, enum section_id id, int index);

/* Values of a setting; 0 when it was not given. They live as long as the tree. */
int tree_value_count(struct cfg_t *section, const struct setting *setting);
const char *tree_value(struct cfg_t *section, const struct setting *setting, int index);

#endif
