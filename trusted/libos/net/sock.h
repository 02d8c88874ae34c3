// SPDX-License-Identifier: Apache-2.0
// Sockets. Unix sockets and loopback live inside and never meet the host; only what names an
// outside address gets a handle of the host. A socket bound to "any" address listens on both sides.
#ifndef LIBOS_SOCK_H
#define LIBOS_SOCK_H

#include "trusted/libos/fs/file.h"

#ifndef AF_UNIX /* the kernel's headers leave them to a libc */
#define AF_UNSPEC 0
#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3
#define SOCK_SEQPACKET 5
#endif

#define ADDR_SIZE_MAX 112u /* of struct sockaddr_un with room for a NUL */
#define RIGHTS_MAX 32u     /* files in one message */

struct addr {
    uint32_t size; /* 0: none */
    union {
        uint16_t family;
        uint8_t bytes[ADDR_SIZE_MAX];
    };
};

enum sock_state { SOCK_NEW, SOCK_LISTENING, SOCK_CONNECTING, SOCK_CONNECTED };

/* What was sent and not yet received: a message, or a piece of a stream. */
struct chunk {
    struct list node;
    uint32_t size, at;
    struct addr from;
    struct file *files[RIGHTS_MAX];
    uint32_t file_count;
    uint8_t data[];
};

struct sock {
    uint16_t family;
    int type; /* SOCK_STREAM, SOCK_DGRAM, SOCK_SEQPACKET */
    enum sock_state state;
    uint32_t refs;
    struct wait_queue wait;
    struct addr own, other;
    struct list names;  /* in the table of bound sockets */
    struct inode *path; /* bound unix path */

    /* inside */
    struct wait_queue room; /* senders of datagrams who wait for room */
    struct sock *peer; /* counted; connected stream or default destination of datagrams */
    bool peer_gone, read_shut, write_shut;
    struct list chunks;
    uint64_t queued;     /* bytes in chunks */
    struct list pending; /* listening: connections not yet accepted */
    struct list pend_node;
    uint32_t pending_count, backlog;

    struct outside host;                    /* what the host holds of it */
    struct file *file;                      /* not counted; while it is open */
    int error;                              /* SO_ERROR */
    uint64_t receive_timeout, send_timeout; /* ns; 0: none */
    int32_t options[8];
    int32_t tcp_options[8]; /* by name, TCP_NODELAY to TCP_KEEPCNT */
    bool v6_only; /* IPV6_V6ONLY: does not also take IPv4 */
};

#define QUEUE_SIZE (256u << 10)

/* net/publish.c */
/* Whether a bound socket is to be reached from outside. */
bool net_published(const struct sock *s);
/* files.c: /etc/hostname, hosts and resolv.conf. 0 or -errno. */
int net_files(void);
/* Makes "any" the address that we have. */
void net_own_address(struct addr *a);
/* An address that the host claims for somebody outside: never loopback, which programs trust. */
void net_foreign(struct addr *a);

/* net/sock.c */
struct sock *sock_new(int family, int type);
void sock_get(struct sock *s);
void sock_put(struct sock *s);
struct file *sock_file(struct sock *s, uint32_t flags); /* takes the reference */
struct sock *sock_of(int fd, int *error, struct file **f);
int sock_sleep(struct file *f, struct sock *s, uint32_t events, uint64_t deadline);
uint64_t sock_deadline(uint64_t timeout);

/* net/inside.c */
int inside_pair(struct sock *a, struct sock *b);
int inside_connect(struct sock *s, struct sock *listener);
long inside_send(struct file *f, struct sock *s, struct sock *to, struct io *io, int flags,
                 struct file **files, uint32_t file_count);
long inside_receive(struct file *f, struct sock *s, struct io *io, int flags, struct addr *from,
                    struct file **files, uint32_t *file_count, bool *truncated);
uint32_t inside_poll(struct sock *s);
void inside_close(struct sock *s);

/* net/name.c: bound addresses */
bool addr_is_loopback(const struct addr *a);
bool addr_is_any(const struct addr *a);
uint16_t addr_port(const struct addr *a);
void addr_set_port(struct addr *a, uint16_t port);
int addr_check(const struct sock *s, const struct addr *a); /* family and size; 0 or -errno */
int name_bind(struct sock *s, const struct addr *a);
struct sock *name_find(const struct sock *from, const struct addr *a, int *error); /* not counted */
bool name_is_outside(const struct sock *s); /* its port is reached from outside by the other family */
int name_ephemeral(struct sock *s); /* a port of our own for a socket that has none */

/* net/outside.c */
int outside_open(struct sock *s);
int outside_connect(struct file *f, struct sock *s, const struct addr *a);
long outside_accept(struct sock *s, struct sock **out);
long outside_send(struct file *f, struct sock *s, struct io *io, int flags, const struct addr *to);
long outside_receive(struct file *f, struct sock *s, struct io *io, int flags, struct addr *from,
                     bool *truncated);
int outside_listen(struct file *f, struct sock *s, uint32_t backlog);
int claim_addr(struct addr *a, uint16_t family); /* an address the host gave: made sane or -EIO */

#endif
