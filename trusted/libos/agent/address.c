// SPDX-License-Identifier: Apache-2.0
// Addresses of the broker: literals to bytes, bytes to what the port takes.
#include "trusted/libos/agent/address.h"

#include <string.h>

#include "lib/hex.h"

#define IPV4 2
#define IPV6 10

static bool parse_ipv4(const char *s, uint8_t out[4])
{
    for (int i = 0; i < 4; i++) {
        unsigned v = 0, digits = 0;
        for (; *s >= '0' && *s <= '9' && digits < 3; s++, digits++)
            v = v * 10 + (unsigned)(*s - '0');
        if (!digits || v > 255 || (digits > 1 && s[-(int)digits] == '0') || *s != (i < 3 ? '.' : 0))
            return false;
        out[i] = (uint8_t)v;
        s++;
    }
    return true;
}

/* Groups of hex digits, one run of which may be left out ("::"), the last two may be an IPv4. */
static bool parse_ipv6(const char *s, uint8_t out[16])
{
    int at = 0, gap = -1;
    if (s[0] == ':' && s[1] != ':')
        return false;
    while (*s) {
        if (s[0] == ':' && s[1] == ':') {
            if (gap >= 0)
                return false;
            gap = at;
            s += 2;
            continue;
        }
        if (*s == ':' && (!at || gap == at || !*++s))
            return false;
        if (at <= 12 && strchr(s, '.') && !strchr(s, ':')) {
            if (!parse_ipv4(s, out + at))
                return false;
            at += 4;
            break;
        }
        unsigned v = 0, digits = 0;
        for (int d; digits < 5 && (d = sh_hex_digit(*s)) >= 0; s++, digits++)
            v = v << 4 | (unsigned)d;
        if (!digits || digits > 4 || at > 14 || (*s && *s != ':'))
            return false;
        out[at++] = (uint8_t)(v >> 8);
        out[at++] = (uint8_t)v;
    }
    if (gap < 0)
        return at == 16;
    if (at > 14)
        return false;
    memmove(out + 16 - (at - gap), out + gap, (size_t)(at - gap));
    memset(out + gap, 0, (size_t)(16 - at));
    return true;
}

bool agent_literal(const char *text, struct port_address *out)
{
    *out = (struct port_address){.family = IPV4};
    if (parse_ipv4(text, out->bytes))
        return true;
    *out = (struct port_address){.family = IPV6};
    return strlen(text) < 46 && parse_ipv6(text, out->bytes);
}

uint32_t agent_sockaddr(const struct port_address *a, uint16_t port, uint8_t out[PORT_ADDR_MAX])
{
    memset(out, 0, PORT_ADDR_MAX);
    memcpy(out, &a->family, 2);
    out[2] = (uint8_t)(port >> 8);
    out[3] = (uint8_t)port;
    if (a->family == IPV4)
        memcpy(out + 4, a->bytes, 4);
    else if (a->family == IPV6)
        memcpy(out + 8, a->bytes, 16);
    else
        return 0;
    return a->family == IPV4 ? 16 : 28;
}
