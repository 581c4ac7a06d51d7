/* conf/suggest.h: "did you mean": the known name that is nearest to a misspelt one.
 *
 * Private to conf/ and its tests. No state.
 */
#ifndef CONF_SUGGEST_H
#define CONF_SUGGEST_H

#include <stddef.h>

#define SUGGEST_NAMES_MAX 64
#define SUGGEST_TEXT_MAX 400

/* Letters to insert, delete, replace or swap with their neighbour; upper and lower case are the
 * same. Names longer than 63 bytes are as far away as can be (INT_MAX). */
int suggest_distance(const char *a, const char *b);

/* The nearest of `names`, or NULL when none is near enough to be meant. */
const char *suggest_nearest(const char *word, const char *const *names, int count);

/* Writes the remedy for a name that is not known: `did you mean "listen"?`, or without one near
 * enough `known are a, b and c`. `text` has SUGGEST_TEXT_MAX bytes and is returned. */
const char *suggest_remedy(char *text, const char *word, const char *const *names, int count);

/* Writes "a, b and c" (`last` is the word before the last one: "and", "or"). */
const char *suggest_list(char *text, const char *const *names, int count, const char *last);

#endif
