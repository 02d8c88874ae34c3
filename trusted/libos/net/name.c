// SPDX-License-Identifier: Apache-2.0
// Which socket is bound to which address, inside.
#include <linux/in.h>
#include <linux/in6.h>
#include <linux/net.h>
#include <linux/un.h>

#include "lib/bytes.h"
#include "trusted/libos/net/sock.h"

#define PORT_FIRST 32768u
#define PORT_COUNT 28232u

static struct list bound = {&bound, &bound};

static const struct sockaddr_in *in4(const struct addr *a)
{
    return (const void *)a->bytes;
}

static const struct sockaddr_in6 *in6(const struct addr *a)
{
    return (const void *)a->bytes;
}

static bool mapped(const uint8_t *p)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return !memcmp(p, prefix, 12);
}

bool addr_is_loopback(const struct addr *a)
{
    static const uint8_t one[16] = {[15] = 1};
    if (a->family == AF_INET)
        return (a->bytes[4]) == 127;
    if (a->family != AF_INET6)
        return a->family == AF_UNIX;
    const uint8_t *p = (const uint8_t *)&in6(a)->sin6_addr;
    return !memcmp(p, one, 16) || (mapped(p) && p[12] == 127);
}

bool addr_is_any(const struct addr *a)
{
    static const uint8_t zero[16];
    if (a->family == AF_INET)
        return !memcmp(&in4(a)->sin_addr, zero, 4);
    const uint8_t *p = (const uint8_t *)&in6(a)->sin6_addr;
    return a->family == AF_INET6 &&
           (!memcmp(p, zero, 16) || (mapped(p) && !memcmp(p + 12, zero, 4)));
}

uint16_t addr_port(const struct addr *a)
{
    return (uint16_t)(a->bytes[2] << 8 | a->bytes[3]);
}

void addr_set_port(struct addr *a, uint16_t port)
{
    a->bytes[2] = (uint8_t)(port >> 8);
    a->bytes[3] = (uint8_t)port;
}

int addr_check(const struct sock *s, const struct addr *a)
{
    if (a->size < 2)
        return -EINVAL;
    if (a->family != s->family)
        return -EAFNOSUPPORT;
    if (s->family == AF_INET)
        return a->size >= sizeof(struct sockaddr_in) ? 0 : -EINVAL;
    if (s->family == AF_INET6)
        return a->size >= 24 ? 0 : -EINVAL;
    return a->size > 2 && a->size <= sizeof(struct sockaddr_un) ? 0 : -EINVAL;
}

static struct sock *find_port(uint16_t family, int type, uint16_t port)
{
    list_for(it, &bound)
    {
        struct sock *s = container_of(it, struct sock, names);
        if (s->family == family && s->type == type && addr_port(&s->own) == port)
            return s;
    }
    return NULL;
}

/* Who takes what is sent to this port: IPv4 may end at an IPv6 socket that takes both. */
static struct sock *find_receiver(uint16_t family, int type, uint16_t port)
{
    struct sock *s = find_port(family, type, port);
    if (s || family == AF_INET6)
        return s;
    s = find_port(AF_INET6, type, port);
    return s && !s->v6_only ? s : NULL;
}

bool name_is_outside(const struct sock *s)
{
    struct sock *other =
        find_port(s->family == AF_INET ? AF_INET6 : AF_INET, s->type, addr_port(&s->own));
    return other && other->host.handle >= 0;
}

static struct sock *find_abstract(const struct addr *a)
{
    list_for(it, &bound)
    {
        struct sock *s = container_of(it, struct sock, names);
        if (s->family == AF_UNIX && s->own.size == a->size &&
            !memcmp(s->own.bytes, a->bytes, a->size))
            return s;
    }
    return NULL;
}

int name_ephemeral(struct sock *s)
{
    uint16_t start;
    if (port_random(&start, sizeof(start)))
        return -EIO;
    for (uint32_t i = 0; i < PORT_COUNT; i++) {
        uint16_t port = (uint16_t)(PORT_FIRST + (start + i) % PORT_COUNT);
        if (find_port(AF_INET, s->type, port) || find_port(AF_INET6, s->type, port))
            continue;
        addr_set_port(&s->own, port);
        list_append(&bound, &s->names);
        return 0;
    }
    return -EADDRINUSE;
}

static int bind_path(struct sock *s, const struct addr *a)
{
    char path[110] = {0};
    memcpy(path, a->bytes + 2, MIN(a->size - 2, sizeof(path) - 1));
    struct walk w;
    int r = walk_path(AT_FDCWD, path, WALK_PARENT, &w);
    if (r)
        return r;
    struct dentry *d;
    size_t size = strlen(w.last);
    r = size ? dentry_lookup(w.dentry, w.last, size, &d) : -EEXIST;
    if (!r)
        dentry_put(d);
    if (r == -ENOENT) {
        struct inode *i = inode_new(w.dentry->inode->fs, S_IFSOCK | (0777 & ~current()->fs->umask));
        r = i ? dentry_link(w.dentry, w.last, size, i) : -ENOMEM;
        if (!r) {
            i->data = s;
            s->path = i;
        } else if (i) {
            inode_put(i);
        }
    } else {
        r = r && r != -EEXIST ? r : -EADDRINUSE;
    }
    walk_end(&w);
    return r;
}

int name_bind(struct sock *s, const struct addr *a)
{
    if (s->own.size)
        return -EINVAL;
    if (s->family == AF_UNIX) {
        int r = 0;
        if (a->bytes[2])
            r = bind_path(s, a);
        else if (find_abstract(a))
            r = -EADDRINUSE;
        if (!r) {
            s->own = *a;
            list_append(&bound, &s->names);
        }
        return r;
    }
    if (addr_port(a) && find_port(s->family, s->type, addr_port(a)))
        return -EADDRINUSE;
    s->own = *a;
    if (!addr_port(a))
        return name_ephemeral(s);
    list_append(&bound, &s->names);
    return 0;
}

struct sock *name_find(const struct sock *from, const struct addr *a, int *error)
{
    *error = -ECONNREFUSED;
    if (a->family != AF_UNIX)
        return find_receiver(a->family, from->type, addr_port(a));
    if (!a->bytes[2])
        return find_abstract(a);
    char path[110] = {0};
    memcpy(path, a->bytes + 2, MIN(a->size - 2, sizeof(path) - 1));
    struct walk w;
    int r = walk_path(AT_FDCWD, path, WALK_FOLLOW, &w);
    if (r) {
        *error = r;
        return NULL;
    }
    struct sock *s = NULL;
    if (w.dentry && !w.file && (w.dentry->inode->mode & S_IFMT) == S_IFSOCK) {
        s = w.dentry->inode->data;
        if (!inode_allowed(w.dentry->inode, 2)) {
            *error = -EACCES;
            s = NULL;
        }
    }
    walk_end(&w);
    if (s && s->type != from->type) {
        *error = -EPROTOTYPE;
        s = NULL;
    }
    return s;
}
