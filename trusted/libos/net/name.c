// SPDX-License-Identifier: Apache-2.0
// Which socket is bound to which address, inside.
#include <linux/in.h>
#include <linux/un.h>

#include "trusted/libos/net/sock.h"

#define PORT_FIRST 32768u
#define PORT_COUNT 28232u
#define BUCKETS 256u

struct lock names_lock;
static struct list by_port[BUCKETS], abstract;

static struct list *port_bucket(uint16_t port)
{
    if (!abstract.next) {
        list_init(&abstract);
        for (unsigned i = 0; i < BUCKETS; i++)
            list_init(&by_port[i]);
    }
    return &by_port[port % BUCKETS];
}

int addr_check(const struct sock *s, const struct addr *a)
{
    if (a->size < 2)
        return -EINVAL;
    if (s->family == AF_NETLINK)
        return a->family != AF_NETLINK || a->size < 12 ? -EINVAL : 0;
    if (s->family == AF_INET && a->size < sizeof(struct sockaddr_in))
        return -EINVAL;
    if (a->family != s->family) {
        /* Old programs bind so; see inet_bind. */
        bool old = s->family == AF_INET && a->family == AF_UNSPEC && addr_is_any(a);
        return old ? 0 : s->family == AF_UNIX ? -EINVAL : -EAFNOSUPPORT;
    }
    if (s->family == AF_INET6)
        return a->size >= 24 ? 0 : -EINVAL;
    if (s->family == AF_INET)
        return 0;
    return a->size > 2 && a->size <= sizeof(struct sockaddr_un) ? 0 : -EINVAL;
}

int addr_reach(const struct sock *s, const struct addr *a)
{
    uint8_t v4[4];
    int r = addr_check(s, a);
    bool closed = s->family == AF_INET6 && s->options[OPT_V6ONLY];
    return !r && closed && addr_v4(a, v4) ? -ENETUNREACH : r;
}

/* Does a socket bound so take what goes to b? */
static bool name_covers(const struct sock *s, const struct addr *to)
{
    uint8_t v4[4];
    bool is4 = addr_v4(to, v4);
    if (s->family == AF_INET6 && is4 && s->options[OPT_V6ONLY])
        return false;
    if (s->family == AF_INET && !is4)
        return false;
    if (!addr_is_any(&s->own))
        return addr_same_host(&s->own, to);
    return is4 || !addr_v4(&s->own, v4); /* any of IPv4, mapped, takes IPv4 alone */
}

/* Is there an address that reaches both? */
static bool names_overlap(const struct sock *a, const struct sock *b)
{
    if (!addr_is_any(&a->own))
        return name_covers(b, &a->own);
    if (!addr_is_any(&b->own))
        return name_covers(a, &b->own);
    uint8_t v4[4];
    bool a4 = addr_v4(&a->own, v4), b4 = addr_v4(&b->own, v4);
    return a4 == b4 || !(a4 ? b : a)->options[OPT_V6ONLY];
}

static bool names_conflict(const struct sock *a, const struct sock *b)
{
    if (a == b || a->type != b->type || addr_port(&a->own) != addr_port(&b->own))
        return false;
    if (a->options[OPT_REUSEPORT] && b->options[OPT_REUSEPORT] && a->cred.uid == b->cred.uid)
        return false;
    bool listens = a->state == SOCK_LISTENING || b->state == SOCK_LISTENING;
    if (a->options[OPT_REUSEADDR] && b->options[OPT_REUSEADDR] &&
        (!listens || a->type != SOCK_STREAM))
        return false;
    return names_overlap(a, b);
}

bool name_in_conflict(const struct sock *s)
{
    list_each(struct sock, o, port_bucket(addr_port(&s->own)), names) {
        if (names_conflict(s, o))
            return true;
    }
    return false;
}

/* How well s fits for what goes from `from` to `to`; 0: not at all. */
static int rate_fit(const struct sock *s, int type, const struct addr *to, const struct addr *from)
{
    if (s->type != type || addr_port(&s->own) != addr_port(to) || !name_covers(s, to))
        return 0;
    if (type == SOCK_STREAM && s->state != SOCK_LISTENING)
        return 0;
    int score = 1 + (s->family == AF_INET) + 2 * !addr_is_any(&s->own);
    if (type == SOCK_DGRAM && s->other.size) {
        if (!from || !addr_same_end(&s->other, from))
            return 0;
        score += 4;
    }
    return score;
}

struct sock *name_receiver(int type, const struct addr *to, const struct addr *from)
{
    static uint32_t turn;
    struct sock *best = NULL;
    int score = 0;
    uint32_t equal = 0, pick = turn++;
    /* Of those of one port (SO_REUSEPORT) each in its turn. */
    for (int pass = 0; pass < 2 && (!pass || equal); pass++) {
        uint32_t n = 0;
        list_each(struct sock, s, port_bucket(addr_port(to)), names) {
            int f = rate_fit(s, type, to, from);
            if (!pass && f > score) {
                score = f;
                equal = 0;
            }
            if (!f || f != score)
                continue;
            equal += !pass;
            if (pass && n++ == pick % equal)
                best = s;
        }
    }
    return best;
}

static struct sock *find_abstract(const struct addr *a)
{
    port_bucket(0);
    list_each(struct sock, s, &abstract, names) {
        if (s->own.size == a->size && !memcmp(s->own.bytes, a->bytes, a->size))
            return s;
    }
    return NULL;
}

static bool port_is_used(const struct sock *s, uint16_t port)
{
    list_each(struct sock, o, port_bucket(port), names) {
        if (o->type == s->type && addr_port(&o->own) == port)
            return true;
    }
    return false;
}

/* A port into s->own. 0, -EADDRINUSE, -EIO. */
static int take_port(struct sock *s)
{
    uint16_t start;
    if (port_random(&start, sizeof(start)))
        return -EIO;
    for (uint32_t i = 0; i < PORT_COUNT; i++) {
        uint16_t port = (uint16_t)(PORT_FIRST + (start + i) % PORT_COUNT);
        if (port_is_used(s, port))
            continue;
        addr_set_port(&s->own, port);
        list_append(port_bucket(port), &s->names);
        return 0;
    }
    return -EADDRINUSE;
}

int name_auto(struct sock *s)
{
    if (s->own.size)
        return 0;
    s->own = addr_make(s->family, 0);
    int r = take_port(s);
    if (r)
        s->own = (struct addr){0};
    return r;
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

static int bind_unix(struct sock *s, const struct addr *a)
{
    bool is_path = a->bytes[2];
    int r = is_path ? bind_path(s, a) : find_abstract(a) ? -EADDRINUSE : 0;
    if (r)
        return r;
    s->own = *a;
    if (!is_path)
        list_append(&abstract, &s->names);
    return 0;
}

int name_bind(struct sock *s, const struct addr *a)
{
    uint16_t port = addr_port(a);
    if (s->own.size)
        return -EINVAL;
    if (s->family == AF_UNIX)
        return bind_unix(s, a);
    uint8_t v4[4];
    enum addr_kind kind = addr_kind(a);
    if (s->family == AF_INET6 && s->options[OPT_V6ONLY] && addr_v4(a, v4))
        return -EINVAL;
    bool group = kind == ADDR_GROUP && s->type == SOCK_DGRAM;
    if (!group && !addr_is_inside(a))
        return s->options[OPT_FREEBIND] ? 0 : -EADDRNOTAVAIL;
    s->own = *a;
    s->own.family = s->family;
    s->own.size = addr_make(s->family, 0).size;
    if (!port) {
        int r = take_port(s);
        if (r)
            s->own = (struct addr){0};
        return r;
    }
    if (name_in_conflict(s)) {
        s->own = (struct addr){0};
        return -EADDRINUSE;
    }
    list_append(port_bucket(port), &s->names);
    return 0;
}

void name_forget(struct sock *s)
{
    list_remove(&s->names);
    s->own = (struct addr){0};
}

struct sock *name_find(const struct sock *from, const struct addr *a, int *error)
{
    *error = -ECONNREFUSED;
    if (a->family != AF_UNIX)
        return name_receiver(from->type, a, NULL);
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
