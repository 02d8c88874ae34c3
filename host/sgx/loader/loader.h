// SPDX-License-Identifier: Apache-2.0
// The loader: builds the enclave, enters it with threads of its own and serves its calls. Nothing
// here is trusted by the enclave; nothing here trusts the enclave with more than its own handles.
#ifndef HOST_SGX_LOADER_LOADER_H
#define HOST_SGX_LOADER_LOADER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "host/base/error.h"
#include "host/sgx/driver.h"
#include "host/sgx/image.h"
#include <shelter/channel.h>
#include <shelter/control.h>

/* HOST: ours as it is, for who runs the loader by hand. USER: published ports, connections out. */
enum loader_network { LOADER_NETWORK_HOST, LOADER_NETWORK_USER, LOADER_NETWORK_NONE };

struct loader_options {
    const char *enclave, *root, *manifest, *launch, *sites; /* files; the last two may be NULL */
    const char *signature; /* a SIGSTRUCT; NULL: signed here, with `key` */
    const char *key, *fuse_key;                     /* may be NULL */
    const char *sim_tee; /* folder of host/attest/sim_tee.h; NULL: the simulated TEE gives no quotes */
    const char *aesm;    /* socket of the quoting service */
    const char *resolver; /* "IP[:PORT]"; NULL: the host's */
    const struct sgx_driver *driver;
    unsigned attack; /* test: force an entry after each so many instructions of the door; 0: none */
    const char *hostile; /* test: rules of hostile.h, or NULL */
    bool strict, debug, trace, stats, verbose;
    bool notify; /* AEX-Notify where processor and kernel have it; tests go without */
    const char *trace_file, *stats_file; /* NULL: stderr */
    uint64_t memory_size, epc_pages;
    int channel; /* -1: the enclave's streams are ours */
    bool tty;
    uint16_t rows, columns; /* its size at the start */
    enum loader_network network;
};

/* A thread of the host, bound to a TCS for good. */
struct loader_thread {
    uint64_t tcs;
    struct sh_slot *slot;
    _Atomic uint32_t token;   /* a wake-up that was not consumed; futex */
    _Atomic uint32_t polling; /* in ppoll: wake by `event` */
    int event;                /* eventfd, or -1 */
    int tid;
    _Atomic bool running; /* inside, or being served */
    _Atomic bool kicked;  /* a signal made it enter where it would have resumed */
    bool service;         /* of the enclave OS: it takes no signals */
    struct loader_thread *next;
};

/* What the host sees of the enclave by itself. Only the host believes it: the enclave's own counters
 * (trusted/libos/libos.h, struct stats) come out only where the image's policy allows. */
struct loader_counts {
    _Atomic uint64_t calls[SH_CALL_COUNT]; /* calls out, by enum sh_call */
    _Atomic uint64_t exceptions;           /* AEXs that the kernel left to us: the vDSO's report */
    _Atomic uint64_t kicks;                /* interrupts that entered again instead of resuming */
};

struct loader {
    struct loader_options options;
    struct sgx_enclave enclave;
    struct sgx_image image;
    struct loader_thread *_Atomic threads;
    char last_words[1024];    /* of the LibOS, before the program ran */
    _Atomic bool started;     /* the program runs */
    struct loader_counts counts;
    /* The enclave's counters at its exit, JSON; empty: not asked for, or not allowed. */
    char last_stats[SH_SLOT_A_SIZE + 1];
};
extern struct loader loader;

/* load.c: everything up to EINIT; the first thread's slot holds the start block. */
int loader_build(struct loader_thread *first, struct sh_error *err);

/* thread.c */
struct loader_thread *loader_thread_new(uint64_t tcs);
struct loader_thread *loader_thread_find(uint64_t tcs);
int loader_thread_spawn(uint64_t tcs, bool service);
/* Returns when the enclave's thread ended; false: it was never let in (only in a hostile run). */
bool loader_thread_run(struct loader_thread *t);
void loader_thread_wake(struct loader_thread *t);
void loader_thread_kick(struct loader_thread *t);
void loader_threads_flush(const struct loader_thread *but); /* an AEX for each that is inside */
int loader_kicks_init(void);
/* A signal for the workload: the LibOS takes only those on its list. */
void loader_signal(int sig);
/* A request waits: a thread of the program enters and sees it. */
void loader_control_here(void);

/* attack.c: interrupts and entries where they hurt most */
int attack_init(unsigned every, struct sh_error *err); /* after the enclave was built */
void attack_arm(struct loader_thread *t);              /* before the calling thread enters */
/* At an exit: the next leaf, or 0 if the exit is none of the attack's. */
int attack_exit(struct loader_thread *t, uint64_t out, const struct sgx_enclave_run *run);
void attack_report(bool places);

/* call.c: serves the call in the thread's slot; each by its call_NAME, in call.c, control.c (CONTROL,
 * ANSWER) or quote.c (QE_TARGET, QUOTE). */
void loader_call(struct loader_thread *t);
#define CALL_OUT(number, NAME, name, ...)                                                          \
    int64_t call_##name(struct loader_thread *t, struct sh_slot *s __VA_OPT__(, ) __VA_ARGS__);
#include <shelter/calls_out.def>
#undef CALL_OUT

/* clock.c: fills the slot's clocks. */
void loader_clock_tell(struct sh_slot *s);
/* The counter's frequency, measured since `first` was told; 0: it is no clock here. */
uint64_t loader_clock_hz(const struct sh_slot *first);

/* stats.c: the counters as one JSON object in out, NUL-terminated; its length, or -ENOSPC (never with
 * LOADER_STATS_MAX bytes). `inside` is the enclave's object or NULL: its members come first, then the
 * host's: "aex" (all of them where "aex_complete" is true: the simulated processor counts those that
 * the kernel resolves; on hardware only those it reports), "by_call_out", and "processor", the
 * simulated one's leaves. "calls_out" is the enclave's if it said it, else the host's. */
#define LOADER_STATS_MAX (SH_SLOT_A_SIZE + 4096u)
int loader_stats_json(char *out, size_t size, const char *inside);
/* At the end, where --stats or --verbose asked for it: a line on stderr. */
void loader_stats_print(void);
/* control.c: requests of the host. control_ask answers by a frame of `type`, now or later; while
 * one is under way control_poll wants to be called again within that many ms (-1: no need). */
void control_ask(uint32_t kind, uint32_t id, const void *data, size_t size, uint8_t type);
int control_poll(void);

/* publish.c: "tcp|udp:PORT:ADDRESS:PORT", inside and outside, and another name server than the
 * host's, "ADDRESS[:PORT]"; then what a bind of the enclave's becomes, an address that it sends or
 * connects to, and one that a datagram came from. */
int loader_resolver(const char *text, struct sh_error *err);
void loader_seen_address(void *address, socklen_t size);
int loader_publish(const char *text, struct sh_error *err);
int loader_bind(int fd, const void *address, socklen_t size);
void loader_map_address(void *address, socklen_t size);

/* log.c: lines of the enclave OS: a trace, or words before the program runs. */
int64_t loader_log(const void *text, size_t size);
int loader_open_files(struct sh_error *err);
/* Where --stats goes: its FILE, else stderr. */
int loader_stats_fd(void);

/* handle.c: what the enclave may name. 0, 1, 2 are its streams. */
int loader_handle_fd(uint64_t handle); /* or -EBADF */
int loader_handle_add(int fd);         /* takes fd; a handle, or -EMFILE */
int loader_handle_set(int handle, int fd);
void loader_handle_close(uint64_t handle);

/* end.c: */
_Noreturn void loader_exit(int status, bool never_ran); /* the workload's end */
_Noreturn void loader_fail(const struct sh_error *err); /* ours */
void loader_has_started(void);

/* channel.c: plays the guest's side of <shelter/channel.h>. */
int channel_init(struct sh_error *err);
void channel_started(void);
void channel_send(uint8_t type, const void *data, size_t size);
void channel_traces(bool on);
/* Sends lines of a trace to whoever asked; waits while that one is slow. False: nobody did. */
bool channel_trace(const void *text, size_t size);
_Noreturn void channel_exit(int status, const char *error);

#endif
