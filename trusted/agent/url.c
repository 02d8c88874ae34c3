// SPDX-License-Identifier: Apache-2.0
// The broker's address. The host chose it: only plain forms are taken.
#include <asm/errno.h>
#include <string.h>

#include "trusted/agent/client.h"

static bool host_byte(char c, bool literal6)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == '.')
        return true;
    if (literal6)
        return c == ':';
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
}

/* ":8080"; empty keeps the default. */
static int take_port(struct agent_url *u, const char *text, size_t size)
{
    uint32_t port = 0;
    if (!size)
        return 0;
    if (text[0] != ':' || size < 2 || size > 6)
        return -EINVAL;
    for (size_t i = 1; i < size; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -EINVAL;
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    if (!port || port > 65535)
        return -EINVAL;
    u->port = (uint16_t)port;
    return 0;
}

static int take_path(struct agent_url *u, const char *text, size_t size)
{
    while (size && text[size - 1] == '/')
        size--;
    if (size >= sizeof(u->path))
        return -EINVAL;
    for (size_t i = 0; i < size; i++)
        if (text[i] <= ' ' || text[i] > '~' || text[i] == '?' || text[i] == '#')
            return -EINVAL;
    memcpy(u->path, text, size);
    u->path[size] = 0;
    return 0;
}

int agent_url_parse(struct agent_url *u, const char *text, size_t size)
{
    size_t at = 0, n = 0;
    *u = (struct agent_url){0};
    if (size > 8 && !memcmp(text, "https://", 8)) {
        u->tls = true;
        at = 8;
    } else if (size > 7 && !memcmp(text, "http://", 7)) {
        at = 7;
    } else {
        return -EINVAL;
    }
    u->port = u->tls ? 443 : 80;
    u->literal6 = text[at] == '[';
    at += u->literal6;
    while (at + n < size && host_byte(text[at + n], u->literal6))
        n++;
    if (!n || n >= sizeof(u->host))
        return -EINVAL;
    memcpy(u->host, text + at, n);
    u->host[n] = 0;
    at += n;
    if (u->literal6 && (at >= size || text[at++] != ']'))
        return -EINVAL;
    for (n = 0; at + n < size && text[at + n] != '/';)
        n++;
    int rc = take_port(u, text + at, n);
    return rc ? rc : take_path(u, text + at + n, size - at - n);
}

void agent_client_name(const struct agent_client *c, char out[300])
{
    char port[21];
    const char *parts[] = {c->url.tls ? "https://" : "http://",
                           c->url.literal6 ? "[" : "",
                           c->url.host,
                           c->url.literal6 ? "]" : "",
                           ":",
                           agent_number(port, c->url.port)};
    size_t at = 0;
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        size_t n = strlen(parts[i]);
        memcpy(out + at, parts[i], n);
        at += n;
    }
    out[at] = 0;
}
