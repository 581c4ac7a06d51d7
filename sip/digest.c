#include "sip/digest.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define SALT_BYTES 8
#define SEAL_BYTES 16

static const char *const names[DIGEST_ALGORITHMS] = {"SHA-256", "MD5"};

const char *digest_algorithm_name(enum digest_algorithm algorithm)
{
    return names[algorithm];
}

static void hex_write(const uint8_t *bytes, size_t count, char *hex)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < count; i++) {
        hex[2 * i] = digits[bytes[i] >> 4];
        hex[2 * i + 1] = digits[bytes[i] & 15];
    }
    hex[2 * count] = '\0';
}

/* Copies a token or a quoted string with its escapes undone. */
static int unquote(const char *value, char *to, size_t size)
{
    bool quoted = *value == '"';
    size_t used = 0;

    for (value += quoted; *value && !(quoted && *value == '"'); value++) {
        if (quoted && *value == '\\' && value[1])
            value++;
        if (used + 1 >= size)
            return -EINVAL;
        to[used++] = *value;
    }
    to[used] = '\0';
    return quoted && *value != '"' ? -EINVAL : 0;
}

static int set_algorithm(const char *value, struct digest_credentials *c)
{
    for (int i = 0; i < DIGEST_ALGORITHMS; i++) {
        if (!strcasecmp(value, names[i])) {
            c->algorithm = (enum digest_algorithm)i;
            return 0;
        }
    }
    return -EINVAL;
}

int digest_credentials_add(struct digest_credentials *c, const char *param)
{
    const struct {
        const char *name;
        char *to;
        size_t size;
    } fields[] = {
        {"username", c->username, sizeof c->username},
        {"realm", c->realm, sizeof c->realm},
        {"nonce", c->nonce, sizeof c->nonce},
        {"uri", c->uri, sizeof c->uri},
        {"response", c->response, sizeof c->response},
        {"cnonce", c->cnonce, sizeof c->cnonce},
        {"nc", c->nc, sizeof c->nc},
    };
    const char *equals = strchr(param, '=');
    size_t length = equals ? (size_t)(equals - param) : 0;
    char word[16];

    while (length && (param[length - 1] == ' ' || param[length - 1] == '\t'))
        length--;
    if (!length)
        return -EINVAL;
    equals++;
    equals += strspn(equals, " \t");
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strlen(fields[i].name) == length && !strncasecmp(param, fields[i].name, length))
            return unquote(equals, fields[i].to, fields[i].size);
    if (length == 9 && !strncasecmp(param, "algorithm", length))
        return unquote(equals, word, sizeof word) ? -EINVAL : set_algorithm(word, c);
    if (length == 3 && !strncasecmp(param, "qop", length)) {
        c->has_qop = true;
        return unquote(equals, word, sizeof word) || strcasecmp(word, "auth") ? -EINVAL : 0;
    }
    return 0;
}

static void hash(enum digest_algorithm algorithm, const char *const parts[],
                 char hex[DIGEST_HEX_MAX])
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned bytes = 0;

    if (!ctx || !EVP_DigestInit_ex(ctx, algorithm == DIGEST_MD5 ? EVP_md5() : EVP_sha256(), NULL))
        abort(); /* no memory, or a broken OpenSSL: nothing can be authenticated */
    for (int i = 0; parts[i]; i++) {
        if (i)
            EVP_DigestUpdate(ctx, ":", 1);
        EVP_DigestUpdate(ctx, parts[i], strlen(parts[i]));
    }
    EVP_DigestFinal_ex(ctx, sum, &bytes);
    EVP_MD_CTX_free(ctx);
    hex_write(sum, bytes, hex);
}

void digest_response(const struct digest_credentials *c, const char *secret, const char *method,
                     char hex[DIGEST_HEX_MAX])
{
    char a1[DIGEST_HEX_MAX], a2[DIGEST_HEX_MAX];

    hash(c->algorithm, (const char *const[]){c->username, c->realm, secret, NULL}, a1);
    hash(c->algorithm, (const char *const[]){method, c->uri, NULL}, a2);
    if (c->has_qop)
        hash(c->algorithm, (const char *const[]){a1, c->nonce, c->nc, c->cnonce, "auth", a2, NULL},
             hex);
    else
        hash(c->algorithm, (const char *const[]){a1, c->nonce, a2, NULL}, hex);
}

bool digest_equal(const char *a, const char *b)
{
    size_t length = strlen(a);

    if (length != strlen(b))
        return false;
    return CRYPTO_memcmp(a, b, length) == 0;
}

int digest_nonces_init(struct digest_nonces *nonces, unsigned lifetime_s)
{
    nonces->lifetime_s = lifetime_s;
    return RAND_bytes(nonces->key, sizeof nonces->key) == 1 ? 0 : -EIO;
}

/* The text is TTTTTTTTTT-SSSSSSSSSSSSSSSS-HHHH...: time in hex, salt, seal over both. */
static void seal(const struct digest_nonces *nonces, const char *text, size_t length, char *hex)
{
    uint8_t sum[EVP_MAX_MD_SIZE];
    unsigned bytes = sizeof sum;

    if (!HMAC(EVP_sha256(), nonces->key, DIGEST_KEY_BYTES, (const uint8_t *)text, length, sum,
              &bytes))
        abort();
    hex_write(sum, SEAL_BYTES, hex);
}

#define TIME_DIGITS 10
#define BODY_LENGTH (TIME_DIGITS + 1 + 2 * SALT_BYTES)

void digest_nonce_make(const struct digest_nonces *nonces, uint64_t now_s,
                       char text[DIGEST_NONCE_MAX])
{
    char salt[2 * SALT_BYTES + 1];

    digest_random_hex(SALT_BYTES, salt);
    snprintf(text, DIGEST_NONCE_MAX, "%010llx-%s-", (unsigned long long)(now_s & 0xffffffffff),
             salt);
    seal(nonces, text, BODY_LENGTH, text + BODY_LENGTH + 1);
}

enum digest_nonce digest_nonce_check(const struct digest_nonces *nonces, const char *text,
                                     uint64_t now_s)
{
    char right[2 * SEAL_BYTES + 1];
    uint64_t made_s;

    if (strlen(text) != BODY_LENGTH + 1 + 2 * SEAL_BYTES || text[BODY_LENGTH] != '-')
        return DIGEST_NONCE_FOREIGN;
    seal(nonces, text, BODY_LENGTH, right);
    if (!digest_equal(text + BODY_LENGTH + 1, right))
        return DIGEST_NONCE_FOREIGN;
    made_s = strtoull(text, NULL, 16);
    /* A nonce from the future was made before a clock was set back. */
    return made_s <= now_s && now_s - made_s < nonces->lifetime_s ? DIGEST_NONCE_FRESH
                                                                  : DIGEST_NONCE_STALE;
}

void digest_random_hex(size_t bytes, char *hex)
{
    uint8_t random[64];

    if (bytes > sizeof random || RAND_bytes(random, (int)bytes) != 1)
        abort();
    hex_write(random, bytes, hex);
}
