// SPDX-License-Identifier: Apache-2.0
// Reads network settings and host names. Both may come from the host.
#include "trusted/guest/guest.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include <shelter/network.h>

static int parse_address(struct guest_address *a, const char *text)
{
    *a = (struct guest_address){.family = strchr(text, ':') ? AF_INET6 : AF_INET};
    return inet_pton(a->family, text, a->bytes) == 1 ? 0 : -EINVAL;
}

int guest_network_parse(struct guest_network *n, const char *text)
{
    char part[64];
    *n = (struct guest_network){0};
    n->none = !strcmp(text, "none");
    if (n->none)
        return 0;
    if (!strcmp(text, "dhcp"))
        text = SH_NET_ADDRESSES;
    for (size_t i = 0;; i++) {
        size_t size = strcspn(text, ",");
        if (!size || size >= sizeof(part))
            return -EINVAL;
        memcpy(part, text, size);
        part[size] = 0;
        struct guest_address *a;
        if (i == 0) {
            char *slash = strchr(part, '/');
            if (!slash || !slash[1] || strlen(slash + 1) > 3)
                return -EINVAL;
            for (const char *p = slash + 1; *p; p++) {
                if (*p < '0' || *p > '9')
                    return -EINVAL;
                n->prefix = n->prefix * 10 + (unsigned)(*p - '0');
            }
            *slash = 0;
            a = &n->address;
        } else if (i == 1) {
            a = &n->gateway;
        } else if (n->dns_count < GUEST_DNS_MAX) {
            a = &n->dns[n->dns_count++];
        } else {
            return -EINVAL;
        }
        if (parse_address(a, part))
            return -EINVAL;
        if (i == 0 && n->prefix > (a->family == AF_INET ? 32u : 128u))
            return -EINVAL;
        if (i == 1 && a->family != n->address.family)
            return -EINVAL;
        if (!text[size])
            return 0;
        text += size + 1;
    }
}
