// SPDX-License-Identifier: Apache-2.0
// /proc/net: sockets, interfaces and routes, as Linux writes them.

#include "lib/bytes.h"
#include "trusted/libos/fs/proc.h"
#include "trusted/libos/net/interface.h"
#include "trusted/libos/net/sock.h"
#include "trusted/libos/proc/proc.h"

/* A line filled up with blanks, as readers of fixed columns want it. */
static void put_wide(struct text *t, const char *line, size_t width)
{
    text_put(t, "%s", line);
    for (size_t n = strlen(line); n < width; n++)
        text_put_bytes(t, " ", 1);
    text_put_bytes(t, "\n", 1);
}

/* The next socket of any process, each once: its place goes on from one call to the next. */
struct place {
    struct list *process;
    int fd;
    uint64_t round;
};

static struct sock *next_socket(struct place *at)
{
    static uint64_t rounds;
    if (!at->process) {
        *at = (struct place){.process = processes.next, .fd = -1, .round = ++rounds};
    }
    for (; at->process != &processes; at->process = at->process->next, at->fd = -1) {
        const struct process *p = container_of(at->process, struct process, node);
        while (p->files && (at->fd = fd_next_of(p->files, at->fd + 1)) >= 0) {
            struct sock *s = sock_of_file(fd_file_of(p->files, at->fd));
            if (!s || s->round == at->round)
                continue;
            s->round = at->round;
            return s;
        }
    }
    return NULL;
}

static void put_address(char *out, size_t size, const struct addr *a, uint16_t family)
{
    static const struct addr none;
    const uint8_t *b = (a->size ? a : &none)->bytes;
    if (family == AF_INET)
        fmt(out, size, "%08X:%04X", sh_le32(b + 4), a->size ? addr_port(a) : 0);
    else
        fmt(out, size, "%08X%08X%08X%08X:%04X", sh_le32(b + 8), sh_le32(b + 12), sh_le32(b + 16),
            sh_le32(b + 20), a->size ? addr_port(a) : 0);
}

static unsigned state_of(const struct sock *s)
{
    static const uint8_t stream[] = {
        [SOCK_NEW] = 7, [SOCK_LISTENING] = 10, [SOCK_CONNECTING] = 2, [SOCK_CONNECTED] = 1};
    return s->type != SOCK_STREAM                       ? s->other.size ? 1 : 7
           : s->state == SOCK_CONNECTED && s->peer_gone ? 8
                                                        : stream[s->state];
}

static void put_inet(struct text *t, uint16_t family, int type)
{
    bool stream = type == SOCK_STREAM;
    struct place at = {0};
    const struct sock *s;
    char own[48], other[48], line[256];
    if (family == AF_INET)
        put_wide(
            t,
            stream
                ? "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   "
                  "uid  timeout inode"
                : "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   "
                  "uid  timeout inode ref pointer drops",
            stream ? 149 : 127);
    else
        text_put(
            t,
            "  sl  local_address                         remote_address                        st "
            "tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode%s\n",
            stream ? "" : " ref pointer drops");
    for (int i = 0; (s = next_socket(&at));) {
        if (s->family != family || s->type != type || !s->own.size || !addr_port(&s->own) ||
            (stream && s->state == SOCK_NEW))
            continue;
        put_address(own, sizeof(own), &s->own, family);
        put_address(other, sizeof(other), &s->other, family);
        uint64_t received = s->state == SOCK_LISTENING ? s->pending_count : s->queued;
        fmt(line, sizeof(line),
            "%s%4d: %s %s %02X %08X:%08X 00:00000000 00000000 %5u        0 %lu %d 0000000000000000 "
            "%s",
            stream ? "" : " ", i++, own, other, state_of(s), 0, (uint32_t)received, s->cred.uid,
            s->file && s->file->inode ? s->file->inode->ino : 0, 2, stream ? "100 0 0 10 0" : "0");
        put_wide(t, line, family == AF_INET ? stream ? 149 : 127 : 0);
    }
}

#define INET(name, family, type)                                                                   \
    void proc_show_net_##name(struct text *t)                                                      \
    {                                                                                              \
        put_inet(t, family, type);                                                                 \
    }
INET(tcp, AF_INET, SOCK_STREAM)
INET(tcp6, AF_INET6, SOCK_STREAM)
INET(udp, AF_INET, SOCK_DGRAM)
INET(udp6, AF_INET6, SOCK_DGRAM)

void proc_show_net_unix(struct text *t)
{
    struct place at = {0};
    const struct sock *s;
    text_put(t, "Num       RefCount Protocol Flags    Type St Inode Path\n");
    while ((s = next_socket(&at))) {
        if (s->family != AF_UNIX)
            continue;
        bool listens = s->state == SOCK_LISTENING;
        text_put(t, "0000000000000000: %08X 00000000 %08X %04X %02X %5lu", 2, listens ? 0x10000 : 0,
                 (unsigned)s->type, s->state == SOCK_CONNECTED ? 3 : 1,
                 s->file && s->file->inode ? s->file->inode->ino : 0);
        if (s->own.size > 2) {
            char path[ADDR_SIZE_MAX];
            size_t n = s->own.size - 2;
            memcpy(path, s->own.bytes + 2, n);
            for (size_t i = 0; i < n; i++)
                path[i] = path[i] ? path[i] : '@';
            n -= s->own.bytes[2] && n && !s->own.bytes[s->own.size - 1];
            text_put(t, " ");
            text_put_bytes(t, path, n);
        }
        text_put(t, "\n");
    }
}

void proc_show_net_dev(struct text *t)
{
    const struct interface *n;
    text_put(t,
             "Inter-|   Receive                                                |  Transmit\n"
             " face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets "
             "errs drop fifo colls carrier compressed\n");
    for (uint32_t i = 0; (n = interface_get(i)); i++)
        text_put(
            t,
            "%6s:       0       0    0    0    0     0          0         0        0       0    0 "
            "   0    0     0       0          0\n",
            n->name);
}

static void put_route(struct text *t, const struct interface *n, uint32_t to, uint32_t gateway,
                      uint32_t mask)
{
    char line[128];
    fmt(line, sizeof(line), "%s\t%08X\t%08X\t%04X\t0\t0\t0\t%08X\t0\t0\t0", n->name, to, gateway,
        gateway ? 3 : 1, mask);
    put_wide(t, line, 127);
}

void proc_show_net_route(struct text *t)
{
    static const uint8_t gateway[4] = {SH_NET_HOST_BYTES};
    const struct interface *n = interface_get(1);
    put_wide(t,
             "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT",
             127);
    if (!n)
        return;
    uint32_t mask = n->prefix ? __builtin_bswap32(~0u << (32 - n->prefix)) : 0;
    put_route(t, n, 0, sh_le32(gateway), 0);
    put_route(t, n, sh_le32(n->ip) & mask, 0, mask);
}

PRINT(net_if_inet6, "00000000000000000000000000000001 01 80 10 80       lo\n")
