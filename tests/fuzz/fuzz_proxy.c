/* What an HTTP proxy may answer, and what settings and peers may write as an address. */
#include "overlay/proxy.h"
#include "overlay/tls_address.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

static void answer(const uint8_t *data, size_t bytes)
{
    static struct proxy_answer whole, by_byte;
    char why[200] = "";
    size_t taken, one;
    int error, other = -EAGAIN;

    whole.used = by_byte.used = 0;
    error = proxy_answer_take(&whole, data, bytes, &taken, why, sizeof why);
    if (taken > bytes || (error < 0 && error != -EAGAIN && why[0] == '\0'))
        abort();
    for (size_t i = 0; i < bytes && other == -EAGAIN; i++)
        other = proxy_answer_take(&by_byte, data + i, 1, &one, why, sizeof why);
    if (error == 0 && other != 0 && other != -EPROTO)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct tls_address address;
    struct proxy proxy;
    char request[PROXY_REQUEST_MAX], *text = malloc(bytes + 1);

    if (!text)
        abort();
    memcpy(text, data, bytes);
    text[bytes] = '\0';
    answer(data, bytes);
    if (tls_address_parse(text, &address) == 0 && strpbrk(text, "\r\n \t"))
        abort();
    if (proxy_parse(text, &proxy) == 0) {
        size_t length = proxy_request(&proxy, "sn.example:443", request);
        if (length >= sizeof request || memcmp(request + length - 4, "\r\n\r\n", 4) != 0)
            abort();
    }
    free(text);
    return 0;
}
