// SPDX-License-Identifier: Apache-2.0
// ptrace: one process watches threads of others. In debug enclaves alone: elsewhere no thread ever
// has a tracee. All of it changes while the big lock is held exclusively.
#ifndef LIBOS_PTRACE_H
#define LIBOS_PTRACE_H

#include "trusted/libos/signal/signal.h"

/* What there is to know of a thread that is traced; or, when it has ended, of its end, until the
 * tracer has heard of it. */
struct tracee {
    struct list node; /* of tracer->tracees */
    struct process *tracer;
    struct thread *thread; /* NULL: it ended, with `status` */
    int32_t tid;
    uint32_t uid, options; /* PTRACE_O_* */
    bool seized, reported; /* `status` was waited for */
    int status;            /* why it stands still: signal | event << 8; 0: it runs */
    bool calls, ending;    /* stops at system calls; stands at its end */
    bool listening;        /* PTRACE_LISTEN: it stands still, and may be told of again */
    uint64_t call;         /* its number (orig_rax); ~0: none */
    uint64_t message;      /* PTRACE_GETEVENTMSG */
    struct sig_item info;  /* the signal that it stands before */
    void *xsave;           /* extended state, while it stands still */
};

/* The calling thread is t. A signal is to be taken: what the tracer leaves of it. False: nothing.
 */
bool ptrace_signal(struct thread *t, struct sig_item *item);
void ptrace_interrupt(struct thread *t); /* if it is to stop, it does */
/* A signal that stops processes was let through: the thread stands still for its tracer. */
void ptrace_group_stop(struct thread *t, int signo);
/* SIGCONT came to p: tracers that listen hear that its stop is over. */
void ptrace_continued(struct process *p);
/* Before a call and after it. The first gives the call's number, which the tracer may change. */
int64_t ptrace_call_begins(struct thread *t, int64_t nr);
void ptrace_call_ends(struct thread *t);
/* n is new, of a clone with these flags, and did not run yet. */
void ptrace_cloned(struct thread *n, uint64_t flags, int exit_signal);
void ptrace_vfork_done(struct thread *t, int pid); /* the child has its own memory */
void ptrace_execed(struct thread *t);              /* another program stands in t's process */
/* It is about to end so; and has nothing left to do but this. */
void ptrace_thread_ending(struct thread *t, int wait_status);
/* It ends, with this status; `last`: and its process, which tells its parent itself. */
void ptrace_thread_ends(struct thread *t, int wait_status, bool last);
void ptrace_tracer_ends(struct process *p); /* those whom it traced are left alone */

/* For wait4: one of the caller's tracees with news, or NULL; *any: it has some that are meant. */
struct tracee *ptrace_find_news(int type, int id, bool *any);
void ptrace_take_news(struct tracee *e); /* they were told; e may be gone */

/* proc/ptrace_state.c: registers of a tracee that stands still, as user_regs_struct has them. */
#define PTRACE_REGS 27u
void ptrace_registers(const struct tracee *e, uint64_t out[PTRACE_REGS]);
/* Those that a program may have. -EIO: an address that is none. */
int ptrace_set_registers(struct tracee *e, const uint64_t in[PTRACE_REGS]);
/* NT_PRSTATUS and its like: through a struct iovec of the program. */
long ptrace_register_set(struct tracee *e, uint64_t type, uint64_t iov, bool write);
/* The first 512 bytes of XSAVE's area. */
long ptrace_float_registers(struct tracee *e, uint64_t addr, bool write);

#endif
