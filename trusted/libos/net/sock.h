// SPDX-License-Identifier: Apache-2.0
// Sockets. Unix sockets and loopback live inside and never meet the host; only what names an
// outside address gets a handle of the host. A socket bound to "any" address listens on both sides.
//
// Locks: every function has the big lock on either side, and no other lock unless it says so.
// Connected streams send and receive beside others; connections inside are made and accepted so:
// what was received, or waits to be accepted, has a lock, and so have the names of sockets with all
// that changes when one connects. Everything else of a socket changes while the big lock is held
// exclusively.
//
// Ownership: a socket is counted (sock_get, sock_put); its file holds one reference and ends both
// sides. Results that are "not counted" last until the caller waits. A letter's files are counted
// once it stands in a chunk; before that they are the sender's, afterwards whoever receives owns
// them.
//
// Units: sizes are bytes, times and deadlines ns (clock_now), ports in the machine's byte order.
//
// Errors are -errno of Linux for the call that they serve. A function that takes a `struct file`
// may wait, as its flags and `flags` (MSG_DONTWAIT) let it: -EAGAIN, -ERESTARTSYS, -EINTR; the
// others never wait, but for a program's pages in io_put and io_get.
//
// Attacks expected here: the host answers for outside sockets, so addresses, lengths and errors
// that it gives are claims (base/claim.h, claim_addr); none may look like somebody inside, or like
// a port that is not published.
#ifndef LIBOS_SOCK_H
#define LIBOS_SOCK_H

#include <shelter/network.h>

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
#define AF_NETLINK 16

/* Of <sys/socket.h>: the kernel's own headers have none of them. */
#define MSG_OOB_ 1
#define MSG_PEEK_ 2
#define MSG_CTRUNC_ 8
#define MSG_TRUNC_ 0x20
#define MSG_DONTWAIT_ 0x40
#define MSG_WAITALL_ 0x100
#define MSG_ERRQUEUE_ 0x2000
#define MSG_NOSIGNAL_ 0x4000
#define MSG_MORE_ 0x8000
#define MSG_WAITFORONE_ 0x10000
#define MSG_CLOEXEC_ 0x40000000
#define SCM_RIGHTS_ 1
#define SCM_CREDENTIALS_ 2
#define SOL_IP_ 0
#define SOL_TCP_ 6
#define SOL_UDP_ 17
#define SOL_IPV6_ 41

#define ADDR_SIZE_MAX 112u /* of struct sockaddr_un with room for a NUL */
#define RIGHTS_MAX 32u     /* files in one message */

struct addr {
    uint32_t size; /* 0: none */
    union {
        uint16_t family;
        uint8_t bytes[ADDR_SIZE_MAX];
    };
};

/* Whose an address is. What is below ADDR_GROUP is ours, and never reaches the host. */
enum addr_kind { ADDR_ANY, ADDR_LOOPBACK, ADDR_OWN, ADDR_GROUP, ADDR_FOREIGN };

enum sock_state { SOCK_NEW, SOCK_LISTENING, SOCK_CONNECTING, SOCK_CONNECTED };

/* Options that are numbers; net/option_table.c has them. */
enum sock_option {
    OPT_REUSEADDR,
    OPT_KEEPALIVE,
    OPT_BROADCAST,
    OPT_SNDBUF,
    OPT_RCVBUF,
    OPT_SNDBUFFORCE,
    OPT_RCVBUFFORCE,
    OPT_REUSEPORT,
    OPT_PASSCRED,
    OPT_OOBINLINE,
    OPT_PRIORITY,
    OPT_RCVLOWAT,
    OPT_DONTROUTE,
    OPT_TIMESTAMP,
    OPT_TIMESTAMPNS,
    OPT_NO_CHECK,
    OPT_RXQ_OVFL,
    OPT_MARK,
    OPT_BUSY_POLL,
    OPT_INCOMING_CPU,
    OPT_NODELAY,
    OPT_MAXSEG,
    OPT_CORK,
    OPT_KEEPIDLE,
    OPT_KEEPINTVL,
    OPT_KEEPCNT,
    OPT_SYNCNT,
    OPT_LINGER2,
    OPT_DEFER_ACCEPT,
    OPT_WINDOW_CLAMP,
    OPT_QUICKACK,
    OPT_USER_TIMEOUT,
    OPT_FASTOPEN,
    OPT_NOTSENT_LOWAT,
    OPT_TOS,
    OPT_TTL,
    OPT_PKTINFO,
    OPT_MTU_DISCOVER,
    OPT_RECVERR,
    OPT_RECVTTL,
    OPT_RECVTOS,
    OPT_FREEBIND,
    OPT_MINTTL,
    OPT_BIND_NO_PORT,
    OPT_MULTICAST_TTL,
    OPT_MULTICAST_LOOP,
    OPT_MULTICAST_ALL,
    OPT_UNICAST_HOPS,
    OPT_MULTICAST_HOPS6,
    OPT_MULTICAST_LOOP6,
    OPT_MTU_DISCOVER6,
    OPT_RECVERR6,
    OPT_V6ONLY,
    OPT_MULTICAST_ALL6,
    OPT_RECVPKTINFO6,
    OPT_RECVHOPLIMIT6,
    OPT_DONTFRAG6,
    OPT_RECVTCLASS6,
    OPT_TCLASS6,
    OPT_AUTOFLOWLABEL6,
    OPT_FREEBIND6,
    OPT_UDP_CORK,
    OPT_COUNT,
};

struct sock_linger {
    int32_t on, seconds;
};

struct cred { /* struct ucred */
    int32_t pid;
    uint32_t uid, gid;
};

/* What comes with a message. */
struct letter {
    struct addr from, to; /* to: where it was sent; datagrams of the internet. To be sent: from is
                           * empty, or what the program chose */
    struct cred cred;     /* the sender's */
    struct file *files[RIGHTS_MAX];
    uint32_t file_count;
    bool truncated;
    bool refused;    /* none came: it was sent, and nobody was there (MSG_ERRQUEUE) */
    bool barrier;    /* it came with files: a read ends here */
    bool none;       /* none came, and none will */
    bool tells_cred; /* the sender wants `cred` to be told (SO_PASSCRED) */
};

/* What was sent and not yet received: a message, or a piece of a stream. */
struct chunk {
    struct list node;
    uint32_t size, at;
    bool files;           /* it came with some */
    struct letter letter; /* files counted */
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
    struct cred cred, peer_cred;

    /* inside */
    struct wait_queue room; /* senders of datagrams, and who connects, wait for room */
    struct sock *peer;      /* counted; connected stream, or a unix datagram's destination */
    bool peer_gone, read_shut, write_shut; /* atomic: inside_leave */
    bool ended;                            /* inside_leave was there */
    bool fresh;       /* connect answered EINPROGRESS though it was done, or had failed */
    bool was_reset;   /* by what was sent to an end that was gone */
    struct lock lock; /* RANK_OBJECT, of the six below and the options */
    struct list chunks;
    uint64_t queued;       /* bytes in chunks */
    uint32_t file_letters; /* chunks that came with files */
    struct list pending;   /* listening: connections not yet accepted */
    struct list pend_node;
    uint32_t pending_count;
    uint32_t backlog;

    struct list errors; /* IP_RECVERR: chunks that came back, for MSG_ERRQUEUE */
    uint32_t error_count;
    uint8_t *parts; /* of a datagram that is not whole yet (MSG_MORE); NULL: none */
    uint32_t parts_size;
    struct addr parts_to; /* size 0: where the socket is connected to */

    struct outside host; /* what the host holds of it */
    struct addr pod; /* whose port its datagrams went to last, if in its pod; its answers' source */
    struct file *file;                      /* not counted; while it is open */
    uint64_t round;                         /* net/proc_net.c: in which it was listed */
    int error;                              /* SO_ERROR, negative */
    uint64_t receive_timeout, send_timeout; /* ns; 0: none */
    struct sock_linger linger;
    int32_t options[OPT_COUNT];
    uint64_t changed[(OPT_COUNT + 63) / 64]; /* options that the program set */
};

#define QUEUE_SIZE (256u << 10)

/* net/publish.c */
/* Whether a bound socket is to be reached from outside. */
bool net_published(const struct sock *s);
/* Whether an address of ours where nobody listens may be its pod's: then the host is asked. Whoever
 * came from there looks as if the host had (net_foreign). */
bool net_of_pod(const struct addr *to);
/* files.c: /etc/hostname, hosts and resolv.conf. 0 or -errno. */
int net_files(void);

/* net/address.c */
enum addr_kind addr_kind(const struct addr *a);
/* Loopback, any (which means ourselves) or our own address, in whatever form. */
bool addr_is_inside(const struct addr *a);
/* Is it 0.0.0.0 or ::, mapped or not? */
bool addr_is_any(const struct addr *a);
bool addr_v4(const struct addr *a, uint8_t out[4]); /* IPv4, mapped or not; false: it is none */
/* In the machine's byte order; 0 where the family has none. */
uint16_t addr_port(const struct addr *a);
/* Likewise. The family must have ports. */
void addr_set_port(struct addr *a, uint16_t port);
struct addr addr_make(uint16_t family, uint16_t port); /* any */
struct addr addr_as(const struct addr *a,
                    uint16_t family);  /* the same in the other family's form */
void addr_resolve_any(struct addr *a); /* any as a destination is loopback */
/* Where what goes from a socket bound to `own` (or to nothing) to `to` comes from. */
struct addr addr_source(const struct addr *own, const struct addr *to);
/* Do they name the same host, whatever their ports and forms? */
bool addr_same_host(const struct addr *a, const struct addr *b);
bool addr_same_end(const struct addr *a, const struct addr *b); /* and the same port of it? */
/* An address that the host claims for somebody outside: never one of ours, which programs trust. */
void net_foreign(struct addr *a);

/* net/sock.c. sock_new: one reference, no handle of the host, unbound; NULL: no memory. sock_sleep:
 * until one of `events` (POLL*) may be there, or deadline; 0: look again. sock_deadline: from a
 * timeout in ns, 0 is none. */
struct sock *sock_new(int family, int type);
/* One reference more. */
void sock_get(struct sock *s);
/* The last one frees it, its chunks and the files in them. Exclusively. */
void sock_put(struct sock *s);
/* A time of clock_now, or NO_DEADLINE. */
uint64_t sock_deadline(uint64_t timeout);
/* The calling process's number, user and group, as SCM_CREDENTIALS has them (unix(7)). */
struct cred cred_own(void);

/* net/calls.c: addresses as programs give and get them. 0, -EFAULT; -EINVAL: too long. */
int addr_read(uint64_t from, uint32_t size, struct addr *a);
/* Cut to the room that *size_at tells, which becomes its size; `to` 0: not wanted. 0, -EFAULT. */
int addr_write(const struct addr *a, uint64_t to, uint64_t size_at);

/* net/socket.c */
struct file *sock_file(struct sock *s, uint32_t flags); /* takes the reference; NULL: no memory */
/* The socket and its file, not counted; NULL: *error says why. */
struct sock *sock_of(int fd, int *error, struct file **f);
struct sock *sock_of_file(const struct file *f); /* not counted; NULL: it is none */

/* net/option_table.c */
#define OPTION_BOOL 1   /* any value but 0 is 1 */
#define OPTION_PASS 2   /* the host's socket has it too */
#define OPTION_ROOT 4   /* for user 0 */
#define OPTION_BYTE 8   /* a value of one byte will do */
#define OPTION_EMPTY 16 /* no value is 0 */
struct option {
    int16_t level, name;
    uint16_t flags;
    int32_t initial;
};
/* The row of OPT_i; never NULL. It is constant. */
const struct option *option_get(int i);
int option_pass(struct sock *s, int i); /* to the host's socket. 0 or -errno */
/* SO_LINGER, likewise. 0 or -errno. */
int option_pass_linger(struct sock *s);
/* Their first values, in a new socket. */
void options_init(struct sock *s);
/* Of a listening socket, for one that it accepted. */
void options_inherit(struct sock *s, const struct sock *from);
void options_pass(struct sock *s); /* to the host's socket, which is new */

/* net/inside.c: both ends are ours. -EPIPE (with SIGPIPE unless MSG_NOSIGNAL), -ECONNREFUSED,
 * -ENOTCONN, -EMSGSIZE, -ENOBUFS, -EFAULT. Pieces of a stream may be sent in part: then the count.
 */
/* Joins two sockets that nobody else uses yet (socketpair, connect): each gets a reference of the
 * other, and may be written to by other threads when this returns. Does not wait. */
void inside_pair(struct sock *a, struct sock *b);
/* Joins s to a new end that waits to be accepted; may wait for room there. -ECONNREFUSED, -EAGAIN,
 * -ERESTARTSYS. */
int inside_connect(struct file *f, struct sock *s, struct sock *listener);
/* Sends to `to` (NULL: nobody); `l` is what goes with it, its files not yet counted: they are when
 * this returns a count. Takes the other end's lock for one piece at a time, and may wait for room
 * there without it. */
long inside_send(struct file *f, struct sock *s, struct sock *to, struct io *io, int flags,
                 const struct letter *l);
/* What is there, under the socket's lock, without waiting: -EAGAIN. Files in *l are then the
 * caller's, if `files`; else they are given back. 0 at a stream's end. */
long inside_receive(struct sock *s, struct io *io, int flags, struct letter *l, bool files);
/* A message made here (netlink, errors that come back): `data` is copied, files in *l are counted.
 * 0, -ENOBUFS. */
int inside_deliver(struct sock *to, const void *data, uint32_t size, const struct letter *l);
/* A connected stream, that nobody refers to any more but who is about to find that out, ends for
 * its peer and for who waits, beside others; inside_close does the rest later. False: all of it is
 * to be done alone. Once. */
bool inside_leave(struct sock *s);
/* POLL* of its inside part now; a look, which may be old when it returns. Takes its lock. */
uint32_t inside_poll(struct sock *s);
/* Until one of these events, of either side; 0, -EAGAIN after the deadline or if f may not wait. */
int sock_sleep(struct file *f, struct sock *s, uint32_t events, uint64_t deadline);
/* Ends both directions: the other end hears of it; what was not received is freed. Does not wait.
 */
void inside_close(struct sock *s);
void inside_unlisten(struct sock *s); /* who waits to be accepted is turned away */

/* net/message.c: what was kept of a datagram by UDP_CORK or MSG_MORE goes. */
void sock_send_kept(struct file *f, struct sock *s);
/* One message or piece, waiting as the socket does. Bytes; errors of inside_send or outside_send,
 * -EDESTADDRREQ, -EISCONN. Files in *l stay the caller's with an error. */
long sock_send(struct file *f, struct sock *s, struct io *io, int flags, const struct addr *to,
               struct letter *l);
/* Bytes, 0 at the end; *l says from whom. Its files are then the caller's, if `files`. -ENOTCONN,
 * -EAGAIN, -EINTR, -ERESTARTSYS, and what the host says. */
long sock_receive(struct file *f, struct sock *s, struct io *io, int flags, struct letter *l,
                  bool files, uint64_t deadline);

/* net/name.c: of bound addresses of the internet, and of who connects inside; RANK_NAMES. */
extern struct lock names_lock;
/* Bound addresses. -EINVAL (bound already), -EADDRINUSE, -EADDRNOTAVAIL, -EACCES; of unix paths
 * those of a walk. A bound socket stands in its port's bucket until name_forget; the table does not
 * count it. */
int addr_check(const struct sock *s, const struct addr *a); /* family and size; 0 or -errno */
/* Likewise, of where it is to go: also -ENETUNREACH, IPv4 for who wants none of it. */
int addr_reach(const struct sock *s, const struct addr *a);
/* Makes s known by this address; of a unix path makes its inode. 0, or the errors above
 * (-EADDRINUSE ...). */
int name_bind(struct sock *s, const struct addr *a);
/* A port of our own for a socket that has none. 0; -EADDRINUSE: all are taken; -EIO: no random
 * numbers. */
int name_auto(struct sock *s);
/* Nobody finds it any more; harmless for one that is not bound. */
void name_forget(struct sock *s);
/* Would s, with the options it has now, take another one's datagrams or connections? */
bool name_in_conflict(const struct sock *s);
struct sock *name_find(const struct sock *from, const struct addr *a, int *error); /* not counted */
/* Who takes what goes from `from` (NULL: from anybody) to `to`; not counted. */
struct sock *name_receiver(int type, const struct addr *to, const struct addr *from);

/* net/outside.c: the host holds the other end. -ENETUNREACH where the settings give no network or
 * the address is ours, else what the host says, judged by claim_status. outside_open: once; later
 * calls are 0. outside_accept: a new socket, counted, in *out; -ECONNABORTED for a peer whose
 * address cannot be. */
int outside_open(struct sock *s);
/* May wait. -EINPROGRESS, -EALREADY, -EISCONN, and what the host says. */
int outside_connect(struct file *f, struct sock *s, const struct addr *a);
void outside_disconnect(struct sock *s); /* datagrams: no default destination any more */
void outside_settle(struct sock *s);     /* a connect that was under way: has it ended, and how? */
/* 0, or -EAGAIN and what the host says. Does not wait. */
long outside_accept(struct sock *s, struct sock **out);
/* Bytes, of a stream perhaps fewer. -EAGAIN instead of waiting. */
long outside_send(struct file *f, struct sock *s, struct io *io, int flags, const struct addr *to);
/* A datagram to an address of net_of_pod, likewise. */
long outside_send_pod(struct file *f, struct sock *s, struct io *io, int flags,
                      const struct addr *to);
/* Bytes; l->from is judged by claim_addr. 0 at the end; -EAGAIN instead of waiting. */
long outside_receive(struct sock *s, struct io *io, int flags, struct letter *l);
/* Opens, binds to the port of s->own and listens (streams), for `backlog` connections. Whether that
 * port is published is the caller's to ask. 0, -EADDRINUSE, -EACCES, and what the host says. */
int outside_listen(struct sock *s, uint32_t backlog);

/* net/interface.c: SIOCGIF* of `lo` and `eth0`; `arg` is the program's address of a struct ifreq or
 * ifconf, read once. 0; -EFAULT, -ENODEV, -EPERM for what
 * would change an interface, -ENOTTY for what is no request of this kind. See netdevice(7). */
long interface_ioctl(uint32_t request, uint64_t arg);

/* net/netlink.c: NETLINK_ROUTE, for who lists interfaces and addresses (rtnetlink(7)). Exclusively.
 */
/* Gives it the port that it asks for, or one of its own. Never fails: 0. */
int netlink_bind(struct sock *s, const struct addr *a);
/* One or more requests; what they are answered is then there to be received. The bytes taken, or
 * -EMSGSIZE, -ENOBUFS (nobody reads the answers, or no memory), -EFAULT. */
long netlink_send(struct sock *s, struct io *io);

#endif
