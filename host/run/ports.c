// SPDX-License-Identifier: Apache-2.0
// Published ports and shared folders.
#include "host/run/ports.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <shelter/agent.h>

static int set_address(struct sh_port *port, int family, const char *text)
{
    struct in6_addr ignored;
    if (inet_pton(family, text, &ignored) != 1 || strlen(text) >= sizeof(port->host_address))
        return -EINVAL;
    strcpy(port->host_address, text);
    return 0;
}

int sh_port_parse(const char *text, struct sh_port *port, struct sh_error *err)
{
    *port = (struct sh_port){0};
    cleanup_free char *copy = sh_strdup(text);
    char *protocol = strchr(copy, '/');
    if (protocol) {
        *protocol++ = 0;
        port->udp = !strcmp(protocol, "udp");
        if (!port->udp && strcmp(protocol, "tcp"))
            return sh_fail(err, -EINVAL, "-p %s: the protocol is tcp or udp", text);
    }
    char *bracket = copy[0] == '[' ? strchr(copy, ']') : NULL;
    if (bracket) /* so that the colons in it are not taken for others */
        memset(copy, '.', (size_t)(bracket - copy) + 1);
    char *guest = strrchr(copy, ':'), *host = NULL, *address = NULL;
    if (guest) {
        *guest++ = 0;
        host = strrchr(copy, ':');
        if (host) {
            *host++ = 0;
            address = copy;
        } else {
            host = copy;
        }
    } else {
        guest = copy;
    }
    if (bracket) {
        *bracket = 0;
        memmove(copy, text, (size_t)(bracket - copy));
        if (!address || bracket[1] || set_address(port, AF_INET6, copy + 1))
            return sh_fail(err, -EINVAL, "-p %s: write [IPv6]:[HOSTPORT]:GUESTPORT", text);
    } else if (address && *address && set_address(port, AF_INET, address)) {
        return sh_fail(err, -EINVAL, "-p %s: '%s' is not an IPv4 address", text, address);
    }
    if ((host && *host && sh_parse_port(host, 0, &port->host_port)) ||
        sh_parse_port(guest, 1, &port->guest_port))
        return sh_fail(err, -EINVAL,
                       "-p %s: write [IP:]HOSTPORT:GUESTPORT[/udp], ports from 1 to 65535", text);
    if (port->guest_port == SH_AGENT_PORT && !port->udp)
        return sh_fail(err, -EINVAL,
                       "-p %s: port %u inside is the attestation agent's and cannot be published",
                       text, SH_AGENT_PORT);
    return 0;
}

/* Binds as the back end (or host/run/relay.c) will; the socket stays open until all are checked. */
static int check_one(struct sh_port *p, struct sh_error *err)
{
    const char *shown = p->host_address[0] ? p->host_address : "0.0.0.0";
    bool six = strchr(shown, ':');
    struct sockaddr_in6 a = {.sin6_family = six ? AF_INET6 : AF_INET,
                             .sin6_port = htons(p->host_port)};
    inet_pton(a.sin6_family, shown,
              six ? (void *)&a.sin6_addr : &((struct sockaddr_in *)(void *)&a)->sin_addr);
    cleanup_close int fd =
        socket(a.sin6_family, (p->udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return sh_fail_errno(err, -errno, "cannot create a socket");
    int one = 1;
    if (!p->udp)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    socklen_t size = six ? sizeof(a) : sizeof(struct sockaddr_in);
    if (bind(fd, (struct sockaddr *)&a, size) || (!p->udp && listen(fd, 1))) {
        const char *what = p->udp ? "UDP" : "TCP";
        if (errno == EADDRINUSE)
            return sh_fail(
                err, -errno,
                "%s port %u of %s is in use; stop what uses it or publish another with -p", what,
                p->host_port, shown);
        if (errno == EACCES)
            return sh_fail(err, -errno,
                           "you may not publish %s port %u of %s; choose one from 1024 on", what,
                           p->host_port, shown);
        return sh_fail_errno(err, -errno, "cannot publish %s port %u of %s", what, p->host_port,
                             shown);
    }
    if (!p->host_port && !getsockname(fd, (struct sockaddr *)&a, &size))
        p->host_port = ntohs(a.sin6_port); /* at the same place in sockaddr_in */
    return sh_take_fd(&fd);
}

int sh_ports_check(struct sh_port *ports, size_t count, struct sh_error *err)
{
    int *fds = sh_alloc((count + 1) * sizeof(*fds)), r = 0;
    size_t open_count = 0;
    while (open_count < count && r >= 0) {
        r = check_one(&ports[open_count], err);
        if (r >= 0)
            fds[open_count++] = r;
    }
    while (open_count)
        close(fds[--open_count]);
    free(fds);
    return r < 0 ? r : 0;
}

int sh_mount_parse(const char *text, struct sh_mount *mount, struct sh_error *err)
{
    *mount = (struct sh_mount){0};
    cleanup_free char *copy = sh_strdup(text);
    char *target = strchr(copy, ':'), *mode = target ? strchr(target + 1, ':') : NULL;
    if (!target || target == copy || target[1] != '/')
        return sh_fail(err, -EINVAL,
                       "-v %s: write SOURCE:/TARGET[:ro]; the target is an absolute path", text);
    *target++ = 0;
    if (mode) {
        *mode++ = 0;
        mount->read_only = !strcmp(mode, "ro");
        if (!mount->read_only && strcmp(mode, "rw"))
            return sh_fail(err, -EINVAL, "-v %s: only ro or rw may follow the target", text);
    }
    if (!strcmp(target, "/"))
        return sh_fail(err, -EINVAL, "-v %s: a folder cannot replace the root", text);
    struct stat st;
    char *source = realpath(copy, NULL);
    if (!source || stat(source, &st) || !S_ISDIR(st.st_mode)) {
        int code = source ? -ENOTDIR : -errno;
        free(source);
        return sh_fail_errno(err, code, "-v %s: cannot share '%s'", text, copy);
    }
    mount->source = source;
    mount->target = sh_strdup(target);
    return 0;
}
