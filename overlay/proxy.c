#include "overlay/proxy.h"

#include "overlay/tls_address.h"

#include <ctype.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#define USER_MAX 256

int proxy_parse(const char *text, struct proxy *proxy)
{
    struct tls_address address;
    const char *at = strrchr(text, '@'), *host = at ? at + 1 : text;
    struct proxy parsed = {.authorization = ""};

    if (tls_address_parse(host, &address) < 0 || strlen(host) >= sizeof parsed.address)
        return -EINVAL;
    strcpy(parsed.address, host);
    if (at) {
        size_t bytes = (size_t)(at - text);
        if (bytes >= USER_MAX || !memchr(text, ':', bytes))
            return -EINVAL;
        sodium_bin2base64(parsed.authorization, sizeof parsed.authorization, (const uint8_t *)text,
                          bytes, sodium_base64_VARIANT_ORIGINAL);
    }
    *proxy = parsed;
    return 0;
}

size_t proxy_request(const struct proxy *proxy, const char *target, char request[PROXY_REQUEST_MAX])
{
    bool is_named = proxy->authorization[0] != '\0';

    return (size_t)snprintf(request, PROXY_REQUEST_MAX,
                            "CONNECT %.261s HTTP/1.1\r\nHost: %.261s\r\n%s%s%s\r\n", target, target,
                            is_named ? "Proxy-Authorization: Basic " : "", proxy->authorization,
                            is_named ? "\r\n" : "");
}

/* "HTTP/1.1 200 Connection established"; -1 on anything else. */
static int status_of(const char *head)
{
    if (strncmp(head, "HTTP/1.", 7) != 0 || !isdigit((unsigned char)head[7]) || head[8] != ' ')
        return -1;
    const char *digits = head + 9;
    for (int i = 0; i < 3; i++)
        if (!isdigit((unsigned char)digits[i]))
            return -1;
    if (digits[3] != ' ' && digits[3] != '\r' && digits[3] != '\n')
        return -1;
    return (digits[0] - '0') * 100 + (digits[1] - '0') * 10 + (digits[2] - '0');
}

static int judge(const char *head, char *why, size_t why_bytes)
{
    int status = status_of(head);

    if (status < 0) {
        snprintf(why, why_bytes, "the proxy does not answer with HTTP: is it an HTTP proxy?");
        return -EPROTO;
    }
    if (status >= 200 && status < 300)
        return 0;
    switch (status) {
    case 407:
        snprintf(why, why_bytes, "the proxy wants a user and a password, or other ones (407)");
        break;
    case 401:
    case 403:
    case 405:
        snprintf(why, why_bytes, "the proxy does not allow this connection (%d)", status);
        break;
    case 502:
    case 503:
    case 504:
        snprintf(why, why_bytes, "the proxy cannot reach it (%d)", status);
        break;
    default:
        snprintf(why, why_bytes, "the proxy refuses the connection (%d)", status);
        break;
    }
    return -EACCES;
}

/* An empty line ends the head; a bare LF is taken for a line's end too (RFC 9112, section 2.2). */
static bool is_whole(const struct proxy_answer *answer)
{
    const char *end = answer->head + answer->used;

    return (answer->used >= 4 && memcmp(end - 4, "\r\n\r\n", 4) == 0) ||
           (answer->used >= 2 && memcmp(end - 2, "\n\n", 2) == 0);
}

int proxy_answer_take(struct proxy_answer *answer, const uint8_t *data, size_t bytes, size_t *taken,
                      char *why, size_t why_bytes)
{
    for (*taken = 0; *taken < bytes;) {
        if (answer->used == sizeof answer->head - 1) {
            snprintf(why, why_bytes, "the proxy's answer is longer than %zu bytes",
                     sizeof answer->head - 1);
            return -EPROTO;
        }
        answer->head[answer->used++] = (char)data[(*taken)++];
        answer->head[answer->used] = '\0';
        if (is_whole(answer))
            return judge(answer->head, why, why_bytes);
    }
    /* What is no HTTP may never send an empty line. */
    if (answer->used >= 5 && strncmp(answer->head, "HTTP/", 5) != 0)
        return judge(answer->head, why, why_bytes);
    return -EAGAIN;
}
