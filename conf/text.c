#include "conf/text.h"

#include <stdio.h>
#include <string.h>

static size_t sequence_length(unsigned char lead)
{
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef)
        return 3;
    if (lead >= 0xf0 && lead <= 0xf4)
        return 4;
    return 0;
}

size_t text_character(const char *text)
{
    const unsigned char *byte = (const unsigned char *)text;

    if (byte[0] < 0x80)
        return byte[0] >= 0x20 && byte[0] != 0x7f ? 1 : 0;

    size_t length = sequence_length(byte[0]);
    for (size_t i = 1; i < length; i++)
        if ((byte[i] & 0xc0) != 0x80)
            return 0;

    /* overlong forms, surrogates, what lies beyond U+10FFFF, and the C1 controls of terminals */
    if ((byte[0] == 0xe0 && byte[1] < 0xa0) || (byte[0] == 0xed && byte[1] > 0x9f) ||
        (byte[0] == 0xf0 && byte[1] < 0x90) || (byte[0] == 0xf4 && byte[1] > 0x8f) ||
        (byte[0] == 0xc2 && byte[1] < 0xa0))
        return 0;
    return length;
}

size_t text_escape(char *out, size_t bytes, const char *text)
{
    size_t used = 0;

    while (*text) {
        size_t length = text_character(text);
        size_t need = length ? length : 4;
        if (used + need >= bytes)
            break;
        if (length)
            memcpy(out + used, text, length);
        else
            snprintf(out + used, bytes - used, "\\x%02x", (unsigned)(unsigned char)*text);
        used += need;
        text += length ? length : 1;
    }
    out[used] = '\0';
    return used;
}
