#include "overlay/tls_session.h"

#include <stdlib.h>
#include <string.h>

struct kept {
    char *name; /* NULL: free */
    SSL_SESSION *session;
    uint64_t number; /* the higher, the newer */
};

struct tls_sessions {
    const struct identity *identity;
    struct kept kept[TLS_SESSIONS_MAX];
    uint64_t next_number;
};

struct tls_sessions *tls_sessions_new(const struct identity *identity)
{
    struct tls_sessions *made = calloc(1, sizeof *made);

    if (made)
        made->identity = identity;
    return made;
}

bool tls_sessions_are_of(const struct tls_sessions *sessions, const struct identity *identity)
{
    return sessions->identity == identity;
}

static void forget(struct kept *kept)
{
    free(kept->name);
    SSL_SESSION_free(kept->session);
    memset(kept, 0, sizeof *kept);
}

void tls_sessions_free(struct tls_sessions *sessions)
{
    if (!sessions)
        return;
    for (int i = 0; i < TLS_SESSIONS_MAX; i++)
        forget(&sessions->kept[i]);
    free(sessions);
}

static struct kept *find(struct tls_sessions *sessions, const char *name)
{
    for (int i = 0; i < TLS_SESSIONS_MAX; i++)
        if (sessions->kept[i].name && strcmp(sessions->kept[i].name, name) == 0)
            return &sessions->kept[i];
    return NULL;
}

/* A free place has the number 0, so it is the oldest. */
static struct kept *oldest(struct tls_sessions *sessions)
{
    struct kept *found = &sessions->kept[0];

    for (int i = 1; i < TLS_SESSIONS_MAX; i++)
        if (sessions->kept[i].number < found->number)
            found = &sessions->kept[i];
    return found;
}

void tls_sessions_put(struct tls_sessions *sessions, const char *name, SSL_SESSION *session)
{
    struct kept *to = find(sessions, name);
    char *copy = strdup(name);

    if (!to)
        to = oldest(sessions);
    forget(to);
    if (!copy) {
        SSL_SESSION_free(session);
        return;
    }
    *to = (struct kept){copy, session, ++sessions->next_number};
}

SSL_SESSION *tls_sessions_take(struct tls_sessions *sessions, const char *name)
{
    struct kept *kept = find(sessions, name);

    if (!kept)
        return NULL;
    SSL_SESSION *session = kept->session;
    kept->session = NULL;
    forget(kept);
    return session;
}
