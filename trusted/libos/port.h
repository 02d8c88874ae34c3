// SPDX-License-Identifier: Apache-2.0
// The port interface: all that the LibOS asks of the outside, all that the outside may ask of it.
//
// Nothing above this interface knows where it runs. Port `test` is an ordinary Linux process (also
// under sanitizers and fuzzers); port `sgx` is the enclave; port `vm` comes later.
//
// A port has two halves. What is marked [inside] belongs to the TEE and is believed: pages,
// entropy, traps, evidence. What is marked [outside] is a call out: its answer comes from the host
// and is a claim. The port bounds what it copies (never more than asked for, never to an address
// the host chose); the LibOS judges what it means (lengths, enums, times, descriptors), see
// base/claim.h.
//
// Locks: a port takes none of the LibOS's. Any thread may call, with or without them, unless more
// is said; what "may block" is called without the big lock where others could run meanwhile.
// Ownership: what a pointer points to is the caller's, read or filled before the call returns, and
// kept by nobody. Handles are the caller's until port_close.
// Units: `size` is bytes, pages have 4 KiB, times are ns. Numbers of errors are Linux's.
#ifndef LIBOS_PORT_H
#define LIBOS_PORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <shelter/control.h>
#include <shelter/enclave.h>

#define PAGE_SIZE 4096ul
#define PAGE_SHIFT 12

/* Rights of a page; the values of PROT_READ, PROT_WRITE and PROT_EXEC. */
#define PORT_R 1
#define PORT_W 2
#define PORT_X 4

/* What the port found; filled before los_start. [inside], except where a comment says claim. */
struct port_info {
    uint64_t user_start, user_end; /* addresses for programs, nothing committed yet */
    uint64_t zone_start, zone_end; /* the LibOS's own pages, nothing committed yet */
    uint64_t vdso;                 /* AT_SYSINFO_EHDR; 0: none */
    uint64_t hwcap, hwcap2;        /* AT_HWCAP (CPUID 1 EDX), AT_HWCAP2 (bit 1: FSGSBASE) */
    uint64_t xfrm;                 /* XSAVE components a program may use */
    uint32_t xsave_size;           /* bytes of XSAVE's area for them */
    uint32_t cpu_count;            /* a claim; bounded by the LibOS */
    uint64_t root_size;            /* bytes of root.img that can be read; a claim */
    uint64_t sites_size;           /* of sites.bin; 0: there is none; a claim */
    const struct sh_cpuid *cpuid;  /* answers of cpuid; claims */
    uint32_t cpuid_count;
    bool sha_instructions; /* the processor has SHA-NI; a claim whose lie only ends the run */
    bool lends;            /* port_thread_lend: a thread may lend its place to another */
    bool simulated;        /* no hardware protects this */
    bool debug; /* the host may read this memory: traces and counts tell it nothing new */
};

/* ---- pages [inside] -----------------------------------------------------------------------------
 * Ranges are page aligned and lie in user_start..user_end or zone_start..zone_end.
 * Errors: -ENOMEM (port `test`: no more memory). In the enclave a host that does not give, change
 * or take what it was asked for ends everything: an error that a program would see is one that the
 * host could choose.
 * Source: Intel SDM vol. 3D, leaves EACCEPT, EACCEPTCOPY, EMODPE, EMODPR, EMODT. */

/* Zeroed pages where there were none; best expected first. 0 or -ENOMEM. */
int port_pages_add(uint64_t addr, uint64_t count, int prot);

/* New pages with these contents, count source pages given one by one; readable or executable from
 * the first moment without ever being writable (EACCEPTCOPY). 0 or -ENOMEM. */
int port_pages_fill(uint64_t addr, const void *const *sources, uint64_t count, int prot);

/* Changes rights of pages that are there; from `old` (of all of them). What goes is taken before
 * what comes is given: no page is writable and executable on its way. 0 or -ENOMEM. */
int port_pages_protect(uint64_t addr, uint64_t count, int old, int prot);

#define PORT_RUNS_MAX 64u

/* These will be filled next: a hint, which may get them all at once. 1 to PORT_RUNS_MAX runs. */
void port_pages_expect(const struct sh_pages *runs, unsigned count);

/* How many pages of the image's files the host says that earlier runs used; at most SH_USES_MAX.
 * Any thread, as the next two. A claim [outside]. */
uint32_t port_known_count(void);
/* The n-th of them, as struct sh_uses names pages, in ascending order; behind the last UINT64_MAX.
 * Claims [outside]: another one each time, in any order. */
uint64_t port_known_use(uint32_t n);
/* This run uses it; the host may remember. [outside] */
void port_use(uint64_t page);

/* Gives pages back, whatever their rights; their contents are gone. 1 to PORT_RUNS_MAX runs, in any
 * order. */
void port_pages_remove(const struct sh_pages *runs, unsigned count);

/* Brings the part of the LibOS that not every program needs (the agent and its crypto library, see
 * agent/call.c). Once, by one thread. 0; -EIO: the host gave none; -EBADMSG: not those that were
 * measured; -ENOMEM. */
int port_lazy_load(void);

/* ---- threads ------------------------------------------------------------------------------------
 * Units: times and deadlines are ns of PORT_CLOCK_MONOTONIC. */

struct thread; /* the LibOS's; its first words are known to entry code, see libos.h */

/* Starts a thread at los_thread_main(t) on the stack that t names; both stay until it set *gone
 * (port_thread_exit). 0, -ENOMEM, -EAGAIN: then it never runs. [outside]: may never run after a 0
 * either. */
int port_thread_start(struct thread *t);

/* With port_info.lends: the calling thread, `t`, gives its place (processor, stack for exceptions,
 * wake-ups) to `next`, which was not started, has t's `port` and `notify`, and begins at
 * los_thread_main. Returns when next gives it back; the extended state and FS are then next's.
 * Without the big lock. */
void port_thread_lend(struct thread *t, struct thread *next);
/* `to`, which lent it, goes on in place of the caller, who either ends, and then the port sets
 * *gone to 1 as in port_thread_exit, or may be started again (gone NULL). */
_Noreturn void port_thread_return(struct thread *to, uint32_t *gone);

/* Ends the calling thread. The port sets *gone to 1 when it no longer uses the thread's stack. */
_Noreturn void port_thread_exit(uint32_t *gone);

/* Makes t, if it runs program code, come to los_trap with TRAP_KICK soon; it must not be freed
 * meanwhile. Never blocks; any thread, with or without the lock. [outside]: may not. */
void port_thread_kick(struct thread *t);

/* Lets other threads of the host's run. A hint: it may do nothing. [outside] */
void port_thread_yield(void);

/* What a thread can wait for besides a wake-up: handles of the host, one by one or in an interest
 * set, as one epoll instance of Linux is one. A set tells of a handle when it becomes ready
 * (again), not as long as it is. Handles that are closed leave their sets. */
struct port_event {
    int32_t handle;
    uint16_t events; /* POLLIN, POLLOUT, ...; of a change: 0 takes the handle out of the set */
    uint16_t ready;  /* out: a claim */
    uint32_t tag;    /* of a change: comes back with each event; of a question: stays */
};
#define PORT_WAIT_MAX 5120u
/* With the events of what has a ring: when it can be read, its bytes come into the ring. */
#define PORT_BRING SH_WAIT_BRING

/* `items` are, one after the other: `changes` of the set, made first; each one tells of the handle
 * once if it is ready. `asks`: questions, answered in `ready`. `room` for what the set has. */
struct port_wait {
    int32_t set;                  /* -1: none; then changes and room are 0 */
    uint32_t changes, asks, room; /* together at most PORT_WAIT_MAX */
    uint32_t count;               /* out: how many of `room` are filled; at most so many */
    struct port_event *items;
};

/* A new interest set: its handle, the caller's, for port_close; or what the host has against it
 * (-EMFILE, -ENFILE, -ENOMEM). */
long port_set(void);

/* Sleeps until port_wake(t), a handle is ready, `deadline` (PORT_CLOCK_MONOTONIC; UINT64_MAX: none;
 * 0: it only looks) or for no reason at all; w NULL: nothing but a wake-up. A wake-up that came
 * before is not lost. 0 or -errno: then nothing was found. [outside]: the caller checks again what
 * it waited for. */
int port_wait(struct thread *t, struct port_wait *w, uint64_t deadline);
/* Ends the running port_wait of t, or the next one. Never blocks; any thread, with or without the
 * lock. [outside]: may not. */
void port_wake(struct thread *t);
/* The same, at the latest when the calling thread ends, which follows at once. */
void port_wake_at_end(struct thread *t);

/* ---- calls out [outside] ------------------------------------------------------------------------
 * Errors: -errno as the host says it, to be judged by claim_count, claim_status or claim_handle
 * (base/claim.h); -EIO where its answer contradicts itself. -EBADF: it does not know the handle.
 * Handles 0, 1 and 2 are the standard streams, of which the port lets pass what the settings say
 * (port_stream_allowed), whoever asks; so it is with those of a program that the host asked for.
 * Others come from port_socket and port_accept. */

/* fs/stdio.c: may this stream of the host's be read, or written to? Also asked by every port. */
bool port_stream_allowed(int32_t handle, bool write);

/* Copies bytes of root.img (0) or of the image's data into trusted memory. All `size` bytes or
 * -EIO. */
int port_image_read(uint32_t number, uint64_t offset, void *buf, uint32_t size);
/* Likewise of sites.bin: all `size` bytes or -EIO. */
int port_sites_read(uint64_t offset, void *buf, uint32_t size);

/* The file or device of a volume, by the volume's number. size: bytes it has, or -ENOENT. Others:
 * all `size` bytes (<= PORT_VOLUME_MAX) or -EIO, -ENOSPC. What write said may be lost until flush.
 */
#define PORT_VOLUME_MAX 65536u
/* Bytes that it has, a claim; -ENOENT: the host brought none. */
int64_t port_volume_size(uint32_t number);
/* Ciphertext, to be judged by trusted/volume; `buf` is filled when this returns 0. -EIO. */
int port_volume_read(uint32_t number, uint64_t offset, void *buf, uint32_t size);
/* All `size` bytes: 0, -ENOSPC or -EIO. */
int port_volume_write(uint32_t number, uint64_t offset, const void *buf, uint32_t size);
/* What was written before is durable, as the host says. 0 or -EIO. May block for long. */
int port_volume_flush(uint32_t number);
/* These bytes are not needed any more: a hint. */
void port_volume_discard(uint32_t number, uint64_t offset, uint64_t size);

struct sh_share_request;
/* A folder of the host (<shelter/share.h>): `size` bytes go along with the question, at most
 * *out_size come back, which becomes how many. A count, 0, -EIO or another errno: all a claim. May
 * block. */
long port_share(const struct sh_share_request *q, const void *data, uint32_t size, void *out,
                uint32_t *out_size);

#define PORT_IO_MAX 65536u
/* At most `size` bytes (<= PORT_IO_MAX), as many as the host says; may block. 0 is the end.
 * -EAGAIN, -EINTR. */
long port_read(int32_t handle, void *buf, uint32_t size);
/* Bytes that the host took, at most `size`; may block. -EPIPE, -EAGAIN, -EINTR. */
long port_write(int32_t handle, const void *buf, uint32_t size);

/* The window of the user's terminal as struct winsize (8 bytes), a claim. 0, or -ENOTTY: there is
 * none. Its modes are ours: the host passes on what is typed and shown as it is. */
int port_window(void *window);

/* Sockets: TCP and UDP over IPv4 and IPv6 only. Addresses are struct sockaddr_in or sockaddr_in6.
 * None of these blocks: -EAGAIN, and port_wait says when to ask again. Handles are the caller's,
 * for port_close; buffers are read or filled before the call returns. *size: in the room, out what
 * the host filled, at most the room. What comes back (handles, lengths, addresses, errors) is a
 * claim. */
#define PORT_ADDR_MAX 28u
/* A new handle, the caller's, for port_close. -EAFNOSUPPORT, -EMFILE; -ENETUNREACH: no network. */
long port_socket(int family, int type);
/* 0, -EADDRINUSE, -EADDRNOTAVAIL; -EACCES: the port is not published. */
long port_bind(int32_t handle, const void *addr, uint32_t size);
/* 0; the host cuts `backlog` (connections) to what it allows. -EACCES: it is not bound. */
long port_listen(int32_t handle, uint32_t backlog);
/* A new handle, the caller's; the peer's address into `addr`, a claim. -EAGAIN: nobody waits. */
long port_accept(int32_t handle, void *addr, uint32_t *size);
/* 0, -ECONNREFUSED and the like; -EACCES: the host may not be reached so. -EINPROGRESS: port_wait
 * says when it is done (POLLOUT), SO_ERROR how. */
long port_connect(int32_t handle, const void *addr, uint32_t size);
/* Bytes that went, at most `size`; addr NULL: to where it is connected. more: what follows may go
 * out with it (MSG_MORE). -EAGAIN, -EPIPE, -ECONNRESET, -EMSGSIZE. */
long port_send(int32_t handle, const void *buf, uint32_t size, const void *addr, uint32_t addr_size,
               bool more);
/* Bytes that could be received now (FIONREAD), a claim, or -EBADF. */
long port_available(int32_t handle);
/* Bytes received; peek: they stay. A datagram is cut to `size`; the sender's address to *addr_size
 * (both NULL: not wanted). 0 is a stream's end. -EAGAIN, -ECONNRESET. */
long port_recv(int32_t handle, void *buf, uint32_t size, void *addr, uint32_t *addr_size,
               bool peek);
/* The rings of stream sockets, of the standard input and of the standard output: what is sent and
 * received without a call; of a listening socket struct sh_accepted is received. The caller's
 * struct is zero for a new handle; one thread at a time. put: how many bytes the host will send by
 * itself, before the next call that concerns the socket, in order; so little as a pipe takes whole
 * (PIPE_BUF) goes whole or not at all; 0: none, ask by port_send or port_write. take: how many
 * bytes are there; buf NULL: only that; left: how it is then, a claim. While bytes are there
 * port_recv gives none of what follows them, but -EAGAIN. */
struct port_ring {
    uint64_t in_taken, out_put, out_base;
};
enum port_left { PORT_LEFT_UNKNOWN, PORT_LEFT_NONE, PORT_LEFT_SOME };
/* Whether the handle has rings at all; a question to the port's own table, not to the host. Ask
 * once, when the handle is new. */
bool port_ring_exists(int32_t handle);
/* Copies `buf` before it returns. */
uint32_t port_ring_put(struct port_ring *p, int32_t handle, const void *buf, uint32_t size,
                       bool more);
/* Bytes taken into `buf`, which is the caller's; peek: they stay. */
uint32_t port_ring_take(struct port_ring *p, int32_t handle, void *buf, uint32_t size, bool peek,
                        enum port_left *left);
/* As port_close, behind what was put; false: it does not. */
bool port_ring_close(int32_t handle);
/* how: SHUT_RD, SHUT_WR, SHUT_RDWR. 0 or -ENOTCONN. */
long port_shutdown(int32_t handle, int how);
/* what: 0 own address, 1 the peer's. 0 or -ENOTCONN. */
long port_name(int32_t handle, int what, void *addr, uint32_t *size);
/* 0, and at most *size bytes, which becomes how many were filled. -ENOPROTOOPT; -EPERM: not one of
 * <shelter/socket_options.def>. */
long port_sockopt_get(int32_t handle, int level, int name, void *value, uint32_t *size);
/* 0; -ENOPROTOOPT, -EINVAL, -EPERM likewise. */
long port_sockopt_set(int32_t handle, int level, int name, const void *value, uint32_t size);
/* The handle is nobody's any more, whatever the host thinks of it; its interest ends too. */
void port_close(int32_t handle);

/* An address of a host name, as the host sees it. Who is really there, a protocol with keys must
 * find out. */
struct port_address {
    uint16_t family, zero; /* AF_INET or AF_INET6 */
    uint8_t bytes[16];
};
/* How many of at most `count` (16 are looked at), or -ENOENT. May block for long. */
long port_resolve(const char *name, struct port_address *out, uint32_t count);
/* Blocks until the host's next request. 0: it is in *request, its fields unjudged; -EIO. One thread
 * at a time. */
int port_control(struct sh_control_request *request);
/* Answers request `id`: error 0 and the answer, or an errno and a sentence. At most
 * SH_CONTROL_ANSWER_MAX bytes. */
void port_answer(uint32_t id, int error, const char *text, uint32_t size);

/* The program of a session ended, after all that it wrote: its code, or 128 + signal and that. */
void port_session_end(uint32_t session, uint32_t code, uint32_t signal);

/* `size` bytes of text for whoever runs this: traces, the last words before a stop. Nothing secret.
 */
void port_log(const char *text, uint32_t size);

/* Ends everything. status: exit code, or 128+n. */
_Noreturn void port_exit(int status);
/* Likewise, but it is the LibOS that ends, status 125: what it logged last is the reason. */
_Noreturn void port_stop(void);

/* ---- time -------------------------------------------------------------------------------------
 */
enum port_clock { PORT_CLOCK_REALTIME, PORT_CLOCK_MONOTONIC, PORT_CLOCK_CPU };
/* Nanoseconds. [outside] without a trusted clock, whether it asks or counts by what it was told
 * (time/tsc.h): time/clock.c keeps it from going back. */
uint64_t port_clock(enum port_clock which);
/* Processor time of a thread that was started, which need not be the caller; 0: not known.
 * [outside]: the host alone sees when threads run. */
uint64_t port_thread_clock(struct thread *t);

/* ---- entropy [inside] ---------------------------------------------------------------------------
 */
/* From RDRAND. -EIO after it failed repeatedly: the caller must not go on. */
int port_random(void *buf, size_t size);

/* ---- evidence -----------------------------------------------------------------------------------
 */
/* A report about this TEE over 64 bytes, for a verifier on the same machine (SGX: target is a
 * TARGETINFO of 512 bytes; NULL: for nobody). Its size, or -ENODEV without a TEE. [inside] */
long port_report(const uint8_t data[64], const void *target, void *report, uint32_t size);
/* A key that this enclave gets on this processor, and with `config` only under this launch config
 * too; another security version of either gets another one. 0 or -ENODEV. */
int port_seal_key(bool config, uint8_t key[16]);
/* A quote over 64 bytes, at most `size` (<= PORT_QUOTE_MAX). Its size; -ENODEV where the host has
 * no quoting service; -EPROTO when what it gave does not hold our report. [outside]: only its
 * signature, which we cannot judge, says that it is genuine. May take long: not with the lock. */
#define PORT_QUOTE_MAX 32768u
/* As said above; what lies behind the size that came back is undefined. -ENODEV, -EPROTO. */
long port_quote(const uint8_t data[64], void *quote, uint32_t size);

/* ---- what the port calls
 * -------------------------------------------------------------------------- */

/* How the LibOS was entered from program code. */
enum trap_kind {
    TRAP_SYSCALL = 1, /* registers as after `syscall`: rip behind it, rcx and r11 clobbered */
    TRAP_KICK,        /* nothing happened; look at what is pending */
    TRAP_FAULT,       /* vector, error, addr say what */
};

struct port_start {
    struct port_info info;
    const void *manifest; /* trusted memory; its digest was compared by the port */
    size_t manifest_size;
    const void *launch; /* launch config, digest compared; NULL: none, and nothing starts */
    size_t launch_size;
    bool trace; /* the host wants it; the policy decides */
};

/* The first thread, on a stack of KSTACK_SIZE bytes that ends at stack_top: the port makes gs point
 * to it before los_start, whose caller may run on that stack until the program's first instruction.
 */
struct thread *los_first_thread(uint64_t stack_top); /* the LibOS's, never freed */

/* Brings the LibOS up and runs the program named by manifest and launch config. The first thread;
 * returns only with an error before the program's first instruction: a status for port_exit, above
 * 0. *start lasts until then. Without the big lock. Never -errno. */
int los_start(const struct port_start *start);

/* A new thread's first call, on its own stack, t in place. */
_Noreturn void los_thread_main(struct thread *t);

/* Program code was interrupted; t->regs and t->trap are filled and we are on t's stack. */
_Noreturn void los_trap(struct thread *t);

/* A signal arrived from the host, at any moment, also inside the LibOS (no locks are taken).
 * Ignored unless on the list of those a host may send. */
void los_host_signal(int sig);

/* The host has a request (port_control); at any moment, no locks are taken. */
void los_host_control(void);

#endif
