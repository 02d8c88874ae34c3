// SPDX-License-Identifier: Apache-2.0
// What every part of the LibOS knows: threads, the process, memory, waiting.
//
// System calls and faults have the big lock (base/lock.h) from entry to exit, exclusively or
// shared; whoever waits gives it up meanwhile and looks again afterwards. What another thread may
// have changed across a wait is reached only through objects that are counted. What is said here to
// be guarded by the lock changes only while it is held exclusively, so that who shares it may read
// it.
//
// Of each function: what its caller holds (Locks), whose what it returns is (Owner), which -errno
// it gives (Errors; numbers and meaning of Linux). "Either side" is the big lock, shared or
// exclusive. Where nothing is said a function does not wait, and gives no lock up. Units: sizes are
// bytes, counts are elements, pages have 4 KiB, times and deadlines are ns; a deadline is a value
// of clock_now(), NO_DEADLINE none.
#ifndef LIBOS_H
#define LIBOS_H

#include <asm/errno.h>
#include <linux/capability.h>
#include <string.h>

#include "trusted/libos/base/list.h"
#include "trusted/libos/base/lock.h"
#include "trusted/libos/port.h"

#define ERESTARTSYS                                                                                \
    512 /* inside only: start the call again unless a handler without SA_RESTART ran */
#define ERESTARTNOHAND 514 /* likewise: unless a handler ran at all */
#define EAWAY 520 /* inside only: start it again when a volume may be changed (fs/volume.h) */
#define NO_DEADLINE UINT64_MAX
#define ARRAY_COUNT(a) (sizeof(a) / sizeof((a)[0]))
/* Each argument is looked at once: it may be a call, or memory that changes meanwhile. */
#define PICK_AS(a, op, b, n)                                                                       \
    ({                                                                                             \
        __typeof__(1 ? (a) : (b)) one_##n = (a), other_##n = (b);                                  \
        one_##n op other_##n ? one_##n : other_##n;                                                \
    })
#define PICK(a, op, b, n) PICK_AS(a, op, b, n)
#define MIN(a, b) PICK(a, <, b, __COUNTER__)
#define MAX(a, b) PICK(a, >, b, __COUNTER__)

static inline uint64_t page_down(uint64_t a)
{
    return a & ~(PAGE_SIZE - 1);
}
static inline uint64_t page_up(uint64_t a)
{
    return (a + PAGE_SIZE - 1) & ~(PAGE_SIZE - 1);
}

/* A program's general registers. entry.S and the ports know the order. */
struct regs {
    uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
    uint64_t rdi, rsi, rbp, rbx, rdx, rcx, rax;
    uint64_t rflags, rsp, rip;
};

struct trap {
    enum trap_kind kind;
    uint32_t vector; /* TRAP_FAULT: the processor's exception number */
    uint32_t error;  /* its error code (#PF: bit 0 protection, 1 write, 4 fetch) */
    uint64_t addr;   /* #PF: the address */
};

#define VECTOR_DE 0
#define VECTOR_DB 1
#define VECTOR_BP 3
#define VECTOR_UD 6
#define VECTOR_GP 13
#define VECTOR_PF 14
#define VECTOR_MF 16
#define VECTOR_AC 17
#define VECTOR_XM 19
#define PF_WRITE 2u
#define PF_FETCH 16u

#define SIG_COUNT 64

/* A signal that waits to be delivered; the kernel's siginfo_t is built from it. */
struct sig_item {
    struct list node;
    int signo, code, error;
    int32_t pid;
    uint32_t uid;
    uint64_t value; /* si_value, si_addr or si_status */
    int32_t timer_id, overrun;
};

struct sig_queue {
    uint64_t set; /* bit n-1: signal n pending */
    struct list items;
    uint32_t count;
};

struct alt_stack {
    uint64_t sp, size;
    int32_t flags;
};

#define KSTACK_SIZE 32768u

/* Processor time in ns, and how much of it is the system's (proc/usage.c). */
struct usage {
    uint64_t all, system;
};

struct stats;
struct turn;
struct key;
struct thread {
    /* Known to entry.S (entry/offsets.h); `fast` to patched call sites. */
    struct thread *self;
    uint64_t canary;    /* random: what every function of the LibOS checks before it returns */
    uint64_t stack_top; /* of this thread's stack inside the LibOS */
    uint64_t kicked;    /* set by anyone: look at signals before going back to the program */
    struct regs regs;
    void (*fast)(void); /* los_fast */
    uint8_t *notify;    /* set to 1 before program code runs, for the port; NULL: nothing */
    uint64_t touch_code, touch_stack; /* read, written on the next way back; first is 0: not */
    void (*fast_cpuid)(void);         /* los_fast_cpuid */

    struct trap trap;
    struct regs
        stuck_regs; /* at the last page fault; its address, and how many in a row had these */
    uint64_t stuck_addr, stuck_count;
    void *port;          /* the port's own */
    struct stats *stats; /* where it counts; NULL: in `stats` itself */
    struct process *process;
    uint8_t in_user; /* it runs program code, as far as was seen; IN_USER_WANTED: it is awaited */
    bool vforking;   /* until its child has its own memory */
    /* A child of vfork runs in its parent's place until it has its own memory or ends. */
    struct thread *lender, *borrower;
    uint64_t kept_stack; /* the port's, of a lender */
    void *xsave;         /* first extended state of a fork's child; NULL: a clean one */
    uint64_t set_tid;    /* where the child writes its number at its start, or 0 */
    struct list node;    /* of current()->threads */
    int32_t tid;
    uint32_t gone;               /* the port set it: stack and this struct may be freed */
    bool dead, started, resting; /* resting: a call waits for something */
    bool fixed;                  /* not allocated: the first thread */
    uint64_t fs_base;            /* start value of a new thread */

    /* signals */
    uint64_t sig_mask, sig_saved_mask;
    bool restore_mask;
    struct sig_queue pending;
    struct alt_stack alt;
    uint64_t wait_set;                 /* of sigtimedwait: these end the wait though blocked */
    int64_t call_nr;                   /* for restarts; -1: none */
    uint64_t restart_rip;              /* where the call's instruction stands */
    bool rip_virtual;                  /* regs.rip may be one of mm/sites.h */
    void (*service)(struct thread *t); /* a thread of the LibOS itself */
    struct session *session;           /* whose program it will load first (entry/session.h) */
    struct tracee *tracee;             /* what is known to its tracer; NULL: it has none */
    int32_t tracer_signal;             /* to be taken, as the tracer said at the last stop */
    bool stop_wanted;                  /* by its tracer */
    struct key *keyring;               /* proc/keys.c; or NULL */

    /* waiting */
    bool woken;            /* atomic */
    bool sleeping;         /* in port_wait for the sake of a wait queue; atomic */
    uint32_t pins;         /* somebody is about to wake it: not to be freed */
    struct turn *turns[2]; /* that it has */
    /* base/lock.c's */
    uint8_t lock_mode;
    bool call_shared; /* the running call began with the big lock shared */
    uint32_t share;   /* which counter of it */
    uint64_t began;   /* los_time() when it began to share; 0: it does not. Atomic */
    struct list sharing;
    struct {
        uint32_t *counter;
        int by;
    } counts[4]; /* los_count_later */
    uint32_t wake_claimed;
    struct thread *wakes, *wakes_last; /* to be woken when the lock is given up */
    struct thread *wake_next, *lock_next;
    bool listed; /* lock_next is in use; atomic */

    /* Memory of the program that the running call relies on, while it shares the big lock
     * (mm/beside.c); high 0: none. Atomic. */
    uint64_t uses_low, uses_high;

    uint64_t clear_tid;   /* user address, or 0 */
    uint64_t robust_list; /* user address, or 0 */
    char name[16];
    uint64_t syscalls;
    uint64_t moves[2], moved[2]; /* reads and writes, and their bytes */
    int32_t policy;              /* SCHED_*, and only remembered */
    uint64_t affinity;           /* bit n: processor n; 0: all */
    uint64_t timer_slack[2];     /* ns; and its default, what the creator had; 0: SLACK_DEFAULT */
    /* Counts of the processor: in calls and faults, asleep; what both were when it was asked. */
    uint64_t system_counts, asleep;
    struct usage usage;
    struct {
        uint64_t tsc, calls, asleep;
    } usage_seen;
    uint64_t last_clock[2]; /* what it saw last of each: time/clock.c */
};

struct fd_table;
struct process;
struct space;

struct limit {
    uint64_t soft, hard;
};

/* base/wait.c: a queue of those who wait for something: threads, and who wants to be called. */
struct wait_queue {
    struct list waiters;
    struct lock lock; /* RANK_QUEUE, of the list */
};
struct waiter {
    struct list node;
    struct wait_queue *queue; /* on which it is */
    struct thread *thread; /* NULL: woken is called, with the queue's lock held; it must not wait */
    bool (*woken)(struct waiter *w, uint32_t events); /* true: somebody sees to it */
    bool one; /* of all these threads on a queue one is enough, and one of these who sees to it */
};

/* What clone shares or copies as a whole. Counted. */
struct fs_context {
    uint32_t refs, umask;
    struct dentry *cwd, *root; /* NULL: the tree's root */
};
struct handlers;
struct timer_set;

/* Bit n: capability n. */
struct caps {
    uint64_t effective, permitted, inheritable, bounding, ambient;
    bool keep;       /* PR_SET_KEEPCAPS: the bit SECBIT_KEEP_CAPS */
    uint8_t secured; /* the other SECBIT_* */
};
#define CAP_LAST 40

struct sh_settings;
struct process {
    struct space *space;
    struct fd_table *files;
    struct fs_context *fs;
    struct handlers *handlers;
    struct timer_set *timers; /* NULL: none was ever set */
    struct sig_queue pending;
    int32_t pid, pgid, sid;
    uint32_t uid, euid, suid, gid, egid, sgid;
    uint32_t fsuid, fsgid; /* whose files it may have: euid and egid, or as setfsuid said */
    uint32_t groups[65];
    uint32_t group_count;
    struct caps caps;
    bool no_new_privs, dumpable;
    bool no_terminal; /* gave up that of its session */
    int32_t nice;
    uint32_t ioprio, personality; /* remembered and told */
    struct list node;             /* of processes */
    struct process *parent;
    struct list children, sibling;
    struct list tracees;          /* struct tracee (proc/ptrace.h) of threads that it traces */
    struct wait_queue child_wait; /* woken when a child changes */
    int32_t exit_signal;          /* to the parent; 0: none */
    bool zombie, stopped, continued, reported_stop; /* as wait4 tells */
    int stop_signal;
    struct wait_queue resume; /* of stopped threads */
    struct thread *vfork_waiter, *exec_thread;
    struct usage usage, children_usage; /* of threads that ended; of children waited for */
    uint64_t usage_most;                /* the most that usage_all said */
    uint64_t moves[2], moved[2];        /* of threads that ended */
    bool execed, subreaper;
    int32_t oom_score_adj; /* mm/oom.c */
    int death_signal;      /* PR_SET_PDEATHSIG */
    struct list threads;
    uint32_t thread_count;
    bool exiting;
    int wait_status; /* as wait4 gives it */
    struct limit limits[16];
    struct key *keyring, *session_keyring; /* proc/keys.c; or NULL */
    int32_t request_keyring;               /* remembered and told */
    char name[16];
    char exe[4096];
    uint64_t arg_start, arg_end, env_start, env_end, auxv_start, auxv_end;
    uint64_t start_time;
    struct session *session; /* of the program that the host asked for; else NULL */
};
/* The workload, PID 1; threads of the LibOS itself count as its. */
extern struct process first_process;

/* What all processes share (uname). */
#define KERNEL_RELEASE "6.12.0-shelter" /* of uname, which programs compare */
extern struct uts {
    char hostname[65], domainname[65];
} uts;
extern struct port_info port_info;
/* What manifest and launch config say together (lib/settings.h); worked out once, at the start. */
extern struct sh_settings settings;

/* What is counted from the first call on (docs/libos.md, Counters). Counted inside, so the host can
 * neither change it nor see it, unless the image's policy lets it ask. */
#define CALL_COUNT 480u
struct stats {
    uint64_t calls[CALL_COUNT]; /* system calls by number; atomic */
    uint64_t unknown_calls;     /* of these and of other numbers, those answered with ENOSYS */
    uint64_t faults,
        page_faults; /* exceptions of the program; those that mm_fault was asked about */
    uint64_t kicks, signals;
    uint64_t root_blocks, cache_hits;
    uint64_t committed, committed_peak; /* bytes, of programs and LibOS */
    uint64_t zone_pages;
    /* By the port; atomic. */
    uint64_t switches, switch_ns;          /* of residence; the time that they took */
    uint64_t moved_pages;                  /* by them: content that differed */
    uint64_t calls_out;                    /* times the host was asked for something and answered */
    uint64_t eaccept, eacceptcopy, emodpe; /* leaves that succeeded; 0 where there are none */
    uint64_t notifications;                /* interrupts heard of by AEX-Notify */
};
extern struct stats stats;

/* One more of `member`: in the calling thread's part (struct thread.stats), so that threads count
 * side by side. Memory is counted in `stats` alone. */
#define stats_count_of(t, member)                                                                  \
    __atomic_fetch_add(&((t)->stats ? (t)->stats : &stats)->member, 1, __ATOMIC_RELAXED)
#define stats_count(member) stats_count_of(self(), member)
/* base/count.c: a member of `stats`, added up over all parts. Any thread, with or without the lock:
 * what is counted meanwhile is in it or not. */
uint64_t stats_sum(const uint64_t *counter);
/* Where threads of this share count; `stats` itself where there is no memory for a part. Never NULL
 * and never freed: nobody owns it. The big lock held exclusively (a thread is made). */
struct stats *stats_part(uint32_t share);

#define STATS_JSON_MAX 16384u
/* entry/stats.c: the counters as one JSON object in out, which is the caller's, ended by NUL. Its
 * length, or -ENOSPC (never with STATS_JSON_MAX bytes): then it is cut. Any thread, with or without
 * the lock: each counter is read by itself. */
int los_stats_json(char *out, size_t size);
extern bool tracing; /* calls go to log_line; by the lock */

#ifdef LIBOS_UNIT
extern __thread struct thread *unit_self; /* unit tests run the LibOS on ordinary threads */
static inline struct thread *self(void)
{
    return unit_self;
}
#else
static inline struct thread *self(void)
{
    struct thread *t;
    __asm__("mov %%gs:0, %0" : "=r"(t));
    return t;
}
#endif

/* Does the calling thread share the big lock? */
static inline bool los_is_shared(void)
{
    return self()->lock_mode == MODE_SHARED;
}

static inline struct process *current(void)
{
    return self()->process;
}
/* proc/caps.c: is CAP_* effective in the calling process? (capabilities(7))
 * Locks: either side. */
bool capable(int capability);

/* base/lock.c: wakes t, which sleeps, once the caller has given the big lock up (it would only wait
 * for it). Either side; t is kept from being freed until then. */
void los_wake_later(struct thread *t);
/* One of those that los_unlock would wake, left to the caller, who ends: los_wake_at_end, without
 * the lock. NULL: there is none. */
struct thread *los_wake_left(void);
/* Wakes it, with the calling thread's end, which follows at once. */
void los_wake_at_end(struct thread *t);

/* base/wait.c
 * Locks: either side of the big lock, and locks of rank below RANK_QUEUE where waking or joining is
 * all that is done; a sleep gives the big lock up, so none but that may be held. Waking does not
 * give it up, and is never lost between wait_begin and the sleep.
 * Owner: a queue belongs to the object that it stands in, and outlives its waiters: who waits holds
 * a reference of that object. A waiter is the sleeper's own, on its stack, from wait_begin to
 * wait_end.
 * Errors: of a sleep -EINTR (a signal is to be taken, or the process ends), -ETIMEDOUT. A wake-up
 * may come for no reason: the caller looks again at what it waits for. */

/* An empty queue. Before anybody else can see it. */
void wait_queue_init(struct wait_queue *q);
/* From now on *w is woken, with all others of the queue; clears what woke the caller before. Then
 * the caller looks, then it sleeps. */
void wait_begin(struct waiter *w, struct wait_queue *q);
/* Likewise, but of those who joined so one is woken at a time. */
void wait_begin_one(struct waiter *w, struct wait_queue *q);
/* Takes w, which wait_begin put there, off the queue on which it is now (a futex may have been
 * moved). */
void wait_end(struct waiter *w);
/* Is there a thread that nobody has woken yet? */
bool wait_has_sleeper(struct wait_queue *q);
/* Wakes whoever waits there, for anything. The caller has changed what they look at, under the lock
 * under which they look. */
void wait_wake_all(struct wait_queue *q);
/* Likewise, when it is known what became ready: events are POLL* of poll(2). */
void wait_wake_events(struct wait_queue *q, uint32_t events);
/* Ends t's sleep, or its next one. t is alive: it was found under the lock. */
void wait_wake_thread(struct thread *t);
/* Sleeps until woken (0), also by what the host answers to *w. w is the caller's, or NULL; else the
 * host is asked at least once, also when there is no time; what it says is taken over
 * (outside_apply), and wakes as it should. The big lock comes back as the call began, or
 * exclusively (a signal was collected), with the caller's memory resident. -ETIMEDOUT, -EINTR, or
 * what the host has against *w (claim_status). */
int wait_sleep_outside(struct port_wait *w, uint64_t deadline);
/* Likewise, for wake-ups alone. 0, -ETIMEDOUT, -EINTR. */
int wait_sleep(uint64_t deadline);
/* Sleeps until woken or `deadline`, whatever signals there are. The big lock comes back
 * exclusively, and the caller's memory need not be resident (call_residence). */
void wait_nap(uint64_t deadline);
/* Likewise, or until the host has an answer to *w, which is the caller's. */
void wait_nap_outside(struct port_wait *w, uint64_t deadline);
/* One queue, once: begin, sleep, end. 0, -ETIMEDOUT, -EINTR. */
int wait_on(struct wait_queue *q, uint64_t deadline);
/* Likewise for a call that a signal begins anew: 0, -ERESTARTSYS; -EAGAIN if it may not wait. */
int wait_for(struct wait_queue *q, bool may_wait);
/* Likewise with the lock of the object (RANK_OBJECT) that is waited for held: from before the look
 * until the wait has begun, so that no wake-up gets lost; and again when it returns. */
int wait_for_locked(struct wait_queue *q, struct lock *lock, bool may_wait);
/* Forgets what woke the caller, before it looks at what it waits for once more. */
void wait_clear(void);

/* A lock that is kept while its holder sleeps or lets others have the big one: the turn of a file's
 * position, of who writes to a file, of who takes memory away. Zero is free. Nothing waits for a
 * turn but another turn, and a thread has two at most. */
struct turn {
    struct thread *holder;
    uint32_t wanted;
};
/* Sleeps, whatever signals there are, until the caller has it. false: it had it already, and does
 * not give it back. Either side of the big lock and no other lock; the big lock may have been given
 * up meanwhile. */
bool turn_take(struct turn *turn);
/* The caller has it; the next one who wants it wakes. Either side. */
void turn_give(struct turn *turn);
/* All that the caller has: it ends. Either side. */
void turn_give_all(void);

/* base/canary.c: a random one; ends everything where RDRAND fails. Any thread. The running thread's
 * is only changed by who never returns. */
uint64_t canary_new(void);

/* base/alloc.c: memory of the LibOS itself.
 * Locks: any of a rank below RANK_CACHE may be held, and none need be.
 * Owner: the caller's until it is freed by the function beside it; NULL: there is none (of the
 * zone, of the image's limit, of the host's). What was never allocated so ends everything, a second
 * free is not seen. Nothing of it is swapped out in the clear or shown to the host, and nothing is
 * wiped by freeing it: secrets are the caller's to wipe. */

/* The zone, [start, end). Once, before any other. */
void page_init(uint64_t start, uint64_t end);
/* One page of zeros. */
void *page_alloc(void);
/* One page with the content of a page. */
void *page_copy(const void *content);
/* One of page_alloc, page_copy or pages_alloc(1), which is not NULL. */
void page_free(void *page);
/* `count` pages of zeros in a row, freed with the same count. */
void *pages_alloc(uint64_t count);
/* Those of pages_alloc, which are not NULL. */
void pages_free(void *pages, uint64_t count);
/* For a stack: zeroed, and below them one page that is never there. Never given back. */
void *pages_guarded(uint64_t count);
/* `size` bytes of zeros, aligned to 16; 2 MiB at most. */
void *los_alloc(size_t size);
/* The same bytes with room for `size`, perhaps elsewhere: p is gone then. NULL: no memory, and p is
 * as it was. */
void *los_realloc(void *p, size_t size);
/* Of los_alloc, los_realloc and los_strdup; NULL: nothing happens. */
void los_free(void *p);
/* A copy with its NUL. */
char *los_strdup(const char *s);

/* So many free pages are not given back to the host, since they may soon be wanted again; 0: 2 MiB
 * less of them, which go. False: there were none. Takes what that takes. */
bool pages_keep(uint64_t pages);
/* Counts `pages` that are about to be committed against the image's limit. 0, or -ENOMEM: nothing
 * is counted. Any thread, with or without the lock. */
int memory_charge(uint64_t pages);
/* More than half of the image's limit is committed; never, where there is none. Likewise. */
bool memory_is_half_full(void);
/* So many pages more may be charged than there are, until 0 takes it all back; what that is
 * together. The big lock held exclusively. */
uint64_t memory_ahead(uint64_t pages);
/* `pages` that were charged before and are gone. Any thread, with or without the lock. */
void memory_uncharge(uint64_t pages);
/* Pages that files may still take: what programs might need soon is left alone. Takes RANK_ALLOC.
 */
uint64_t memory_for_files(void);

/* base/fmt.c
 * Locks: any thread, with or without locks; nothing waits but port_log. */
#include <stdarg.h>
/* As vsnprintf(3), of %s %c %d %u %x %X %o %p %% with -, 0, width, precision of %s, l, ll and z. At
 * most `size` bytes with the NUL; the length of the whole text. Never fails. */
int fmtv(char *out, size_t size, const char *format, va_list args);
/* Likewise, of arguments. Never fails. */
int fmt(char *out, size_t size, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* One line, cut at 510 bytes, to whoever runs this (port_log): nothing secret. */
void log_line(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The LibOS found itself or the port broken: says so in one line ("shelter: ...") and ends
 * everything. */
_Noreturn void stop(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* mm/user.c: copies between the LibOS and the calling process's memory.
 * Locks: either side of the big lock, and no other. Pages may have to come, and that may wait: who
 * shared the lock may be alone afterwards, and what was read before is to be looked at again,
 * unless it is counted.
 * Errors: -EFAULT: the range is not the program's, lacks the right, or its pages cannot be had (no
 * memory, a block that is not the image's, the process ends); none of it was copied then. */

/* `size` bytes from the program. 0 or -EFAULT. */
int user_read(void *to, uint64_t from, size_t size);
/* Likewise to the program. */
int user_write(uint64_t to, const void *from, size_t size);
/* Likewise, `size` zeros. */
int user_zero(uint64_t to, size_t size);
/* A string of less than `size` bytes, with its NUL; its length, -EFAULT, or -ENAMETOOLONG: it is
 * longer. On an error some of `to` is filled. */
long user_string(char *to, uint64_t from, size_t size);
/* Atomically one aligned word of the program. 0, -EFAULT, -EINVAL: not aligned. */
int user_read_u32(uint32_t *value, uint64_t addr);
/* Atomically: 0: it was *expected, and is `desired` now. -EAGAIN: another value stands there, now
 * in *expected. -EINVAL (not aligned), -EFAULT. */
int user_cas_u32(uint64_t addr, uint32_t *expected, uint32_t desired);

/* time/clock.c
 * Locks: any thread, with or without the lock. Both clocks are the host's claim; neither goes back
 * in a thread, nor between threads by more than 16 us. */

/* CLOCK_MONOTONIC in ns. */
uint64_t clock_now(void);
/* CLOCK_REALTIME: ns since 1970. */
uint64_t clock_real(void);
/* The same in seconds. Never fails. */
int64_t clock_seconds(void);

#endif
