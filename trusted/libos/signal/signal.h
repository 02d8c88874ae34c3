// SPDX-License-Identifier: Apache-2.0
// Signals are the LibOS's own: what is pending, who gets it, and the frames the program sees.
#ifndef LIBOS_SIGNAL_H
#define LIBOS_SIGNAL_H

#include "trusted/libos/libos.h"

#define SIG_BIT(n) (1ull << ((n)-1))
#define SIG_DEFAULT 0ull
#define SIG_IGNORE 1ull

struct sig_action { /* as the kernel's rt_sigaction takes it */
    uint64_t handler, flags, restorer, mask;
};

/* What a process does on each signal; shared by CLONE_SIGHAND. */
struct handlers {
    uint32_t refs;
    struct lock lock; /* RANK_OBJECT: rt_sigaction; others look alone */
    struct sig_action actions[SIG_COUNT];
};

void sig_queue_init(struct sig_queue *q);
void sig_queue_clear(struct sig_queue *q);

/* signal/send.c. code: SI_* */
void sig_send_thread(struct thread *t, int signo, int code);
/* To a thread of p, or with t NULL to whoever of p takes it. 1; 0: ignored, or one waits already;
 * -EAGAIN: too many wait. */
/* The first process is spared what has no handler, as PID 1 is by Linux, but for faults of its own.
 */
bool sig_spares_first(const struct process *p, const struct sig_item *item);
int sig_send_item(struct process *p, struct thread *t, const struct sig_item *item);
void sig_send_group(int32_t pgid, int signo); /* the LibOS's own, to all of a process group */
bool sig_interrupts(struct thread *t);        /* must a wait end because of a signal? */
bool sig_is_due(const struct thread *t);      /* has sig_deliver something to do? */
bool sig_take(struct thread *t, uint64_t set, struct sig_item *out); /* dequeues one of set */
/* Takes the signals that came by los_host_signal meanwhile: those that the settings let in. */
void sig_collect(void);
void sig_wake_for_mask(struct thread *t);

/* signal/calls.c: to a process, as the caller may. 0 or -errno */
long signal_kill(struct process *p, int signo);
long signal_queue_to(struct process *p, int signo, uint64_t info); /* siginfo_t of the program */

/* Who is woken when a signal of `set` becomes pending, until it is taken out of its list. */
struct sig_watch {
    struct list node;
    uint64_t set;
    struct wait_queue wait;
};
void sig_watch(struct sig_watch *w);

/* signal/deliver.c: on the way back to the program. */
void sig_deliver(struct thread *t);
/* A fault of the program: delivered at once, or the end of the process. */
void sig_fault(struct thread *t, int signo, int code, uint64_t addr);
void sig_set_mask(struct thread *t, uint64_t mask);
void sig_temporary_mask(struct thread *t, uint64_t mask); /* until the call has returned */

/* signal/frame.c */
int frame_push(struct thread *t, const struct sig_action *action, const struct sig_item *item,
               uint64_t mask);
int frame_pop(struct thread *t); /* rt_sigreturn */

/* siginfo_t, 128 bytes. */
void siginfo_build(uint8_t out[128], const struct sig_item *item);
void siginfo_parse(const uint8_t in[128], struct sig_item *item);

#endif
