// SPDX-License-Identifier: Apache-2.0
// What a program finds in /etc about names: its own, localhost, and whom to ask for others.
#include <shelter/network.h>

#include "lib/settings.h"
#include "trusted/libos/net/sock.h"

static int put_file(const char *name, const char *text)
{
    return tree_put_file("/etc", name, 0644, text, strlen(text));
}

int net_files(void)
{
    char text[512];
    static const uint8_t inside[4] = {127, 0, 1, 1};
    const uint8_t *ip = settings.outside ? settings.own4 : inside;
    char own[16];
    fmt(own, sizeof(own), "%u.%u.%u.%u", ip[0], ip[1], ip[2], ip[3]);
    fmt(text, sizeof(text), "%s\n", uts.hostname);
    int r = put_file("hostname", text);
    fmt(text, sizeof(text), SH_NET_HOSTS "%s\t%s\n", own, uts.hostname);
    if (!r)
        r = put_file("hosts", text);
    /* Answers are the network's word, as everywhere: keys say who somebody is. */
    if (!r && settings.outside)
        r = put_file("resolv.conf", "nameserver " SH_NET_RESOLVER_TEXT "\n");
    return r;
}
