// SPDX-License-Identifier: Apache-2.0
// The loader: builds the enclave, enters it with threads of its own and serves its calls. Nothing
// here is trusted by the enclave; nothing here trusts the enclave with more than its own handles.
//
// Files stand in an order, lowest first, and call only downwards; below, each has its contract in
// that order. The one way up is loader.hooks: an exit of the enclave is served by whoever was
// linked.
//
// Locks: a caller holds none and any thread may call at any time, where nothing else is said. The
// files' own are taken in this order: the pump's sessions, then control.c's or a handle's (ring.c),
// the table of handles, a process outside; wire.c's comes last.
// Ownership: what a pointer leads to is the caller's, and is not kept after the call, where nothing
// else is said. Threads, their slots and the table of hooks last as long as the process.
// Errors: -errno of the system call that failed, where no other is named; with a struct sh_error
// its text is the sentence for the user.
// Units: sizes are bytes, addresses and TCSs offsets into ELRANGE, times ns.
#ifndef HOST_SGX_LOADER_LOADER_H
#define HOST_SGX_LOADER_LOADER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "host/base/error.h"
#include "host/run/frames.h"
#include "host/sgx/driver.h"
#include "host/sgx/image.h"
#include "host/sgx/outside/outside.h"
#include <shelter/channel.h>
#include <shelter/control.h>
#include <shelter/enclave.h>

#define LOADER_VOLUMES_MAX 8u

/* What the command line said. Strings are argv's and live as long as the process; NULL: not given.
 */
struct loader_options {
    const char *enclave, *root, *manifest; /* files; always given */
    const char *signature;                 /* a SIGSTRUCT; always given */
    const char *launch, *sites;            /* files */
    const char *uses;               /* file of what runs of the image used; may not be there */
    struct outside_options outside; /* what is done by processes outside the walls */
    const struct sgx_driver *driver;
    bool strict, debug, trace, stats;
    bool require_confinement; /* a wall that cannot be raised is an error, not a warning */
    const char *trace_file, *stats_file; /* NULL: stderr */
    uint64_t epc_pages;                  /* 0: no limit of ours */
    int channel;                         /* -1: the enclave's streams are ours */
    bool tty;
    uint16_t rows, columns;        /* its size at the start */
    bool hold;                     /* waits before the first entry for whoever takes it (hold.c) */
    const char *data[SH_DATA_MAX]; /* data-NAME.img, in the manifest's order */
    unsigned data_count;
    int volumes[LOADER_VOLUMES_MAX]; /* descriptors of files or devices, by the volume's number */
    unsigned volume_count;
};

/* A thread of the host, bound to a TCS for good: it waits where that is free. */
struct loader_thread {
    uint64_t tcs;
    struct sh_slot *slot;
    _Atomic uint32_t token;   /* a wake-up that was not consumed; futex */
    _Atomic uint32_t polling; /* in ppoll: wake by `event` */
    int event;                /* eventfd, or -1 */
    int tid;                  /* of the thread that is inside; 0: it was never entered */
    bool made;                /* of loader_thread_spawn, which alone touches this */
    _Atomic uint32_t turn;    /* it is to enter again; futex */
    _Atomic bool running;     /* inside, or being served */
    _Atomic bool kicked;      /* a signal made it enter where it would have resumed */
    bool service;             /* of the enclave OS: it takes no signals */
    _Atomic bool inside;      /* not being served: it may queue bytes */
    struct loader_thread *next;
};

/* What the host sees of the enclave by itself. Only the host believes it: the enclave's own
 * counters (trusted/libos/libos.h, struct stats) come out only where the image's policy allows. */
struct loader_counts {
    _Atomic uint64_t
        calls[SH_CALL_COUNT];    /* calls out, by enum sh_call; [0]: those without a name */
    _Atomic uint64_t exceptions; /* AEXs that the kernel left to us: the vDSO's report */
    _Atomic uint64_t kicks;      /* interrupts that entered again instead of resuming */
};

/* Of the process: it has one enclave. */
struct loader {
    const struct loader_hooks *hooks; /* constant from the start */
    struct loader_options options;    /* constant once parsed */
    struct sgx_enclave enclave;       /* constant once built, as is the next */
    struct sgx_image image;
    struct loader_thread *_Atomic threads; /* none is ever removed */
    char last_words[1024];                 /* of the LibOS, when nothing ran yet or at the end */
    _Atomic bool started;                  /* the program runs */
    struct loader_counts counts;
    /* The enclave's counters at its exit, JSON; empty: not asked for, or not allowed. */
    char last_stats[SH_SLOT_A_SIZE + 1];
};

/* --- hooks ---
 * What stands between the enclave and the loader. The program that is linked gives loader_main its
 * table: main.c the loader's own, tests/adversary one whose functions lie before, after or instead
 * of them. */
struct loader_hooks {
    /* Memory for a thread's slot, zeroed, never freed; NULL: there is none. */
    struct sh_slot *(*make_slot)(void);
    /* Enters at run->tcs with the address of t's slot in RDI, and returns once the enclave's thread
     * ended. 0, or -errno if it could not be entered. */
    int (*enter)(struct loader_thread *t, struct sgx_enclave_run *run);
    /* At each exit: run->function is SGX_EEXIT, and `out` (RDI) an enum sh_out, or an exception is
     * told there. The next leaf, SGX_EENTER or SGX_ERESUME, or 0: the thread has ended. */
    int (*serve_exit)(struct loader_thread *t, uint64_t out, struct sgx_enclave_run *run);
    /* Serves the call out in t->slot. */
    void (*serve_call)(struct loader_thread *t);
};

/* --- options.c --- */
extern struct loader loader;
/* Fills loader.options, which keeps argv's strings. What it does not understand ends the process
 * with one line on stderr. First of all. */
void loader_parse(int argc, char **argv);
/* --tty and --publish anew, before the first entry: as loader_parse, no plain arguments. */
void loader_parse_more(int argc, char **argv);

/* --- handle.c: what the enclave may name of our descriptors. 0, 1, 2 are its streams. --- */
int loader_handle_fd(uint64_t handle);      /* or -EBADF */
int loader_handle_add(int fd);              /* owns fd, also where it fails; a handle, or -EMFILE */
void loader_handle_set(int handle, int fd); /* owns fd; 0 to 2, before the enclave runs */
/* From 3 on; others are ignored. What is queued for it is sent first. */
void loader_handle_close(uint64_t handle);
/* Closes it now; for ring.c alone, with the handle's lock. */
void loader_handle_drop(uint64_t handle);

/* --- ring.c: a stream's rings. A handle's are under its lock, which the functions on them take but
 * for those that want it held ("with the lock"). Nothing here waits for a socket. --- */
uint64_t loader_rings_open(void); /* their address, or 0; before the walls */
/* As loader_handle_add, with rings: for a stream socket. A handle that the enclave does not know
 * yet, or -EMFILE. */
int loader_ring_add(int fd);
void loader_ring_listens(uint64_t handle); /* connections come into its ring from now on */
void loader_ring_input(void);              /* handle 0 has one; before the walls */
void loader_ring_output(bool ours);        /* likewise handle 1, if it is a pipe of ours */
/* Writes to the standard output or the standard error, and waits as these do: bytes written,
 * -EAGAIN (something is queued before it), or -errno. */
int64_t loader_ring_write(uint64_t handle, const void *buf, size_t size);
void loader_ring_bring(uint64_t handle); /* what can be received, into the ring */
void loader_rings_flush(void);           /* sends what is queued, of all threads */
/* Likewise, and waits until it is gone, 10 s at most; for the standard output as long as it takes.
 * The process ends. */
void loader_rings_drain(void);
void loader_rings_inside(struct loader_thread *t); /* t enters: it may queue */
/* shutdown(2), its sending half behind what is queued. 0 or -errno. */
int loader_ring_shutdown(uint64_t handle, int fd, int how);
void loader_ring_lock(uint64_t handle);   /* some handles share one: never two at a time */
void loader_ring_unlock(uint64_t handle); /* with the lock, which is given up */
bool loader_ring_ended(uint64_t handle);  /* with the lock; once, where the end of input was read */
/* With the lock. Before a call receives by itself: 0, or what it answers instead: -EAGAIN (what
 * follows comes into the ring), or once what failed. */
int64_t loader_ring_receive(uint64_t handle);
/* With the lock. The same before a call sends by itself; -EAGAIN: what is queued is not sent yet.
 */
int64_t loader_ring_send(uint64_t handle);
int64_t loader_ring_error(uint64_t handle); /* 0, or once what failed: -errno */
/* With the lock. False: it is closed later, when all is sent. */
bool loader_ring_end(uint64_t handle, int fd);

/* --- clock.c --- */
/* Writes the three clocks of the slot, at one value of the counter, which was read so many counts
 * before and after them. */
uint64_t loader_clock_tell(struct sh_slot *s);
/* EREMOVE of at most so many of the pages that A names (struct sh_pages[]). */
void loader_remove_pages(const struct sh_slot *s, uint64_t count);
/* From here on the counter's frequency is measured. Early, and before the walls. */
void loader_clock_begin(void);
/* Tells likewise, and the frequency in Hz, measured for at least 1 ms, for which it waits; 0: it is
 * no clock here. */
uint64_t loader_clock_hz(struct sh_slot *s);

/* --- the calls out: in call.c, wait.c (WAIT, SET, POLL), control.c (CONTROL, ANSWER), pump.c
 * (SESSION) and volume.c (VOLUME_*) ---
 * Parameters, buffers and results are those of the list; the loader bounds each buffer itself. `s`
 * is t's slot, which no other thread of the loader touches. */
#define CALL_OUT(number, NAME, name, ...)                                                          \
    int64_t call_##name(struct loader_thread *t, struct sh_slot *s __VA_OPT__(, ) __VA_ARGS__);
#include <shelter/calls_out.def>
#undef CALL_OUT

/* --- confine.c: the walls of host/base/walls.h around the process that runs the enclave --- */
/* Forks as outside_helper_start does. 0, or its -errno. Before anything is open, and before there
 * are threads. */
int loader_confine_begin(struct sh_error *err);
/* Once everything is open and before there are threads; nothing can be opened afterwards but
 * sockets. A wall that cannot be raised is a warning, or with --require-confinement -EPERM. */
int loader_confine(struct sh_error *err);

/* --- load.c --- */
/* Everything up to EINIT. first->tcs is set, and the start block written into its slot. 0, or
 * -errno: of a file; -EINVAL (a file is none of ours), -ENOTSUP (AEX-Notify), -EPERM (the processor
 * refused the enclave), and those of the driver. Once, before there are threads. */
int loader_build(struct loader_thread *first, struct sh_error *err);
void loader_build_end(struct loader_thread *first); /* the clocks, last of all */
void loader_forget_root(void); /* gives back what is mapped of root.img; it comes again when read */

/* --- uses.c --- */
/* Address of the list that the enclave reads and writes, or 0. Before the walls. */
uint64_t loader_uses_open(void);
/* What earlier runs used is put into it: how many, 0 where nothing is known. Before the first
 * entry, once. */
uint64_t loader_uses_show(void);
void loader_uses_save(void); /* at the end */

/* --- stats.c --- */
/* The counters as one JSON object, the caller's to free; NULL: no memory. `inside` is the enclave's
 * object or NULL: its members come first, then the host's: "aex" (all of them where "aex_complete"
 * is true: the simulated processor counts those that the kernel resolves; on hardware only those it
 * reports), "by_call_out", and "processor", the simulated one's leaves. "calls_out" is the
 * enclave's if it said it, else the host's. */
char *loader_stats_json(const char *inside);

/* --- registry.c: the threads, by TCS. Kicks and wake-ups reach them wherever they are. --- */
/* One that is not running, for a TCS that has none; NULL: no memory. Not two at once for a TCS. */
struct loader_thread *loader_thread_new(uint64_t tcs);
struct loader_thread *loader_thread_find(uint64_t tcs); /* or NULL */
/* Whose exits and interrupts the calling host thread serves from now on. */
void loader_thread_bind(struct loader_thread *t);
void loader_thread_wake(struct loader_thread *t); /* ends its WAIT or POLL, or its next one */
/* It leaves the enclave and enters again, at the next CSSA; elsewhere its system call ends. */
void loader_thread_kick(struct loader_thread *t);
void loader_threads_flush(const struct loader_thread *but); /* an AEX for each that is inside */
/* The signals' handlers. 0, or -errno of the driver. Once, after loader_build. */
int loader_kicks_init(void);
/* A signal for the workload: the LibOS takes only those on its list. Safe in a signal handler. */
void loader_signal(int sig);
/* A request waits: a thread of the program enters and sees it. */
void loader_control_here(void);

/* --- wire.c: frames to the supervisor, in the order in which they were put. Only with --channel,
 * but for channel_trace. --- */
/* The queue, for the functions of host/run; the caller's until channel_unlock, and waits for
 * nothing meanwhile. */
struct sh_fifo *channel_lock(void);
void channel_unlock(void); /* the pump sends what was put */
/* Lines of a trace go to whoever asked from now on, or no longer. */
void channel_traces(bool on);
/* Sends such lines; waits while that one is slow, so not for the pump. False: nobody asked. */
bool channel_trace(const void *text, size_t size);
/* Once the streams are empty, EXIT or (with an error) ERROR; then waits to be ended. Both texts
 * must stay. What the first caller says counts. */
_Noreturn void channel_exit(int status, const char *error, const char *why);
/* The same for the pump, which must go on: EXIT by SIGKILL, at once. */
void channel_killed(void);
/* The pump's: an eventfd of wire.c's that is written whenever something was put; or -errno. Once,
 * before the others. */
int channel_open(struct sh_error *err);
/* For the pump: sends what the socket takes. The bytes that are left, or -errno: nobody reads any
 * more. */
int64_t channel_flush(int fd);
bool channel_is_ending(void); /* channel_exit was called, and what it asked for is not put */
void channel_put_last(void);  /* puts it; for the pump, when the streams are empty */

/* --- volume.c --- */
/* Looks how large those of --volume are, once. 0, or -errno: one is no file or device. */
int loader_volumes_open(struct sh_error *err);

/* --- end.c --- */
int loader_outputs_open(struct sh_error *err); /* files of --trace, --stats; 0, or -errno of open */
/* A line of the enclave OS: a trace, or words. To stderr, the trace, or kept for the end. `size`,
 * or -errno of write. May wait, as write and channel_trace do. */
int64_t loader_log(const void *text, size_t size);
/* The workload's end, or the enclave OS's own; with what was logged last, and the counters. */
_Noreturn void loader_exit(int status, bool own);
_Noreturn void loader_fail(const struct sh_error *err); /* ours: err's status, or SH_EXIT_FAILURE */
void loader_has_started(void); /* the program runs: something came of it. Any number of times */

/* --- control.c: requests of the host, one after the other --- */
/* Gets answers that are no frames: to what was asked about a session. 0, or an errno and a
 * sentence, which lasts for the call. By any thread, with no lock of control.c's. */
typedef void control_answered(uint32_t kind, uint32_t session, int error, const char *why);
void control_open(control_answered *answered); /* once, before control_ask */
/* For the pump. Asks the enclave, behind what was asked before; `data` is copied. Answered by a
 * frame of `type`, or (0) by a call of `answered`. 0, or -EBUSY: too many wait, or it is too long;
 * it is not asked, and with a `type` answered so. */
int control_ask(uint32_t kind, uint32_t id, const void *data, size_t size, uint8_t type);
/* For the pump, without its lock: makes the enclave look, and gives up what it does not answer.
 * Within how many ms it wants to be called again; -1: no need. */
int control_poll(void);

/* --- pump.c: plays the guest's side of <shelter/channel.h> for handles 0 to 2 --- */
/* Only with --channel: the streams. 0, or -errno of eventfd or pipe2. Before there are threads. */
int loader_pump_open(struct sh_error *err);
void loader_pump_start(void); /* its thread, which also sends errors; once there may be threads */
/* struct winsize of the user's terminal; false: there is none. */
bool loader_pump_window(uint16_t size[4]);

/* --- enter.c --- */
/* Enters t's TCS by the hooks; returns when the enclave's thread ended. Failure ends the process.
 */
void loader_thread_run(struct loader_thread *t);
/* That TCS's host thread enters, a new one or that of its last use. 0, or -EAGAIN (its last one
 * does not leave, or there are too many), -ENOMEM. */
int loader_thread_spawn(uint64_t tcs, bool service);
/* The loader's own hooks; struct loader_hooks says what each does, and its result. */
struct sh_slot *loader_make_slot(void);
/* 0, or -errno. */
int loader_enter(struct loader_thread *t, struct sgx_enclave_run *run);
/* Cannot fail: it ends the process instead. */
int loader_serve_exit(struct loader_thread *t, uint64_t out, struct sgx_enclave_run *run);

/* --- call.c --- */
/* The loader's own hook: serves the call in the thread's slot. */
void loader_serve_call(struct loader_thread *t);

/* --- hold.c --- */
/* With --hold: says on the channel that the enclave is made, and waits until somebody takes it. The
 * enclave was never entered: nothing is in it but what was measured. 0, or -errno of
 * loader_network_publish. Nobody takes it any more: it ends the process. */
int loader_hold(struct sh_error *err);

/* --- start.c --- */
/* The whole run; never returns. argv and the hooks must last. */
_Noreturn void loader_main(int argc, char **argv, const struct loader_hooks *hooks);

#endif
