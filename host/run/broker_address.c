// SPDX-License-Identifier: Apache-2.0
// Parses the address of the key broker.
#include "host/run/broker_address.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include <shelter/network.h>

static char *report_wrong(const char *text, const char *why, struct sh_error *err)
{
    sh_fail(err, -EINVAL,
            "'%s' is not an attestation address (%s); give host, host:port, [IPv6]:port or a URL%s",
            text, why, !strcmp(text, "t") ? " (there is no -it)" : "");
    return NULL;
}

static bool is_ipv6(const char *host)
{
    struct in6_addr a;
    return inet_pton(AF_INET6, host, &a) == 1;
}

static bool is_loopback(const char *host)
{
    struct in_addr a4;
    struct in6_addr a6;
    if (!strcasecmp(host, "localhost"))
        return true;
    if (inet_pton(AF_INET, host, &a4) == 1)
        return ntohl(a4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, host, &a6) == 1 && IN6_IS_ADDR_LOOPBACK(&a6);
}

static bool host_ok(const char *host)
{
    size_t n = strlen(host);
    if (!n || n > 253 || host[0] == '-' || host[0] == '.')
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)host[i]) && !strchr(".-_", host[i]))
            return false;
    return true;
}

char *sh_broker_url(const char *text, bool from_vm, struct sh_error *err)
{
    const char *scheme = "https", *rest = strstr(text, "://"), *path;
    bool is_url = rest;
    if (is_url) {
        if (!strncasecmp(text, "https://", 8))
            scheme = "https";
        else if (!strncasecmp(text, "http://", 7))
            scheme = "http";
        else
            return report_wrong(text, "its scheme is neither http nor https", err);
        rest += 3;
        path = rest + strcspn(rest, "/");
        for (const char *p = path; *p; p++)
            if (*p <= 0x20 || *p >= 0x7f || strchr("?#\"'<>\\", *p))
                return report_wrong(
                    text, "its path has a character that a broker's URL may not have", err);
    } else {
        rest = text;
        path = rest + strlen(rest);
    }
    cleanup_free char *authority = strndup(rest, (size_t)(path - rest));
    char *host = authority, *port = NULL;
    bool v6 = false;
    if (!is_url && is_ipv6(host)) {
        v6 = true;
    } else if (host[0] == '[') {
        char *close = strchr(++host, ']');
        if (!close || (close[1] && close[1] != ':'))
            return report_wrong(text, "the bracket is not closed", err);
        *close = 0;
        port = close[1] ? close + 2 : NULL;
        v6 = true;
        if (!is_ipv6(host))
            return report_wrong(text, "there is no IPv6 address between the brackets", err);
    } else if ((port = strchr(host, ':'))) {
        *port++ = 0;
    }
    if (!v6 && !host_ok(host))
        return report_wrong(text, "it has no valid host name", err);
    uint16_t number = SH_BROKER_PORT;
    if (port && sh_parse_port(port, 1, &number))
        return report_wrong(text, "its port is not a number from 1 to 65535", err);
    if (from_vm && is_loopback(host)) {
        host = (char *)(uintptr_t)SH_NET_HOST_TEXT;
        v6 = false;
    }
    char behind[8] = "";
    if (port || !is_url)
        snprintf(behind, sizeof(behind), ":%u", number);
    return sh_format("%s://%s%s%s%s%s", scheme, v6 ? "[" : "", host, v6 ? "]" : "", behind, path);
}

struct sh_egress_end sh_broker_end(const char *url)
{
    struct sh_egress_end end = {0};
    const char *authority = strstr(url, "://"), *bracket;
    if (!authority)
        return end;
    authority += 3;
    size_t size = strcspn(authority, "/");
    cleanup_free char *text = strndup(authority, size);
    bracket = strrchr(text, ']');
    bool has_port = strchr(bracket ? bracket : text, ':');
    cleanup_free char *full =
        has_port ? sh_strdup(text)
                 : sh_format("%s:%s", text, strncmp(url, "https", 5) ? "80" : "443");
    (void)sh_egress_parse(full, &end); /* a name is none */
    return end;
}
