// SPDX-License-Identifier: Apache-2.0
// The process: threads, futexes, programs, limits.
#ifndef LIBOS_PROC_H
#define LIBOS_PROC_H

#include "lib/users.h"
#include "trusted/libos/libos.h"

/* proc/table.c */
extern struct list processes; /* struct process.node, zombies too */
int process_init_first(void); /* PID 1, without threads. 0 or -ENOMEM */
/* One without a parent and without threads, in a session of its own; NULL: no memory. */
struct process *process_new_orphan(void);
void process_drop_orphan(struct process *p); /* that never had a thread */
struct process *process_find(int pid);
struct thread *thread_find_any(int tid);     /* of whatever process */
int process_parent(const struct process *p); /* its number, or 0 */
/* Has none of the group a parent in the same session, but in another group? */
bool group_is_orphaned(int32_t pgid);
int32_t id_next(void); /* a number that nothing has */
/* May the caller look into p, as a debugger of the same user? (ptrace(2), access) */
bool process_may_inspect(const struct process *p);

/* proc/thread.c */
#define SLACK_DEFAULT 50000u                            /* ns: of timers (PR_SET_TIMERSLACK) */
void thread_init(struct thread *t, uint64_t stack_top); /* zeroed before */
struct thread *thread_new(void);                        /* on a stack of its own; NULL */
struct thread *thread_find(const struct process *p, int tid); /* one of p, or NULL */
/* t is the calling thread. */
void thread_set_fs(struct thread *t, uint64_t base);
void thread_read_fs(struct thread *t); /* the program may have set it itself; of the caller */
/* A thread of the LibOS itself, which runs `service` and never program code. */
struct thread *thread_service(void (*service)(struct thread *t));
void thread_free(struct thread *t); /* one that never ran */
_Noreturn void
thread_bury(struct thread *t); /* the last step of the calling thread; gives up the lock */
/* Where the port lends: n, which vfork made, runs in the caller's place until it has its own memory
 * or ends, the caller's extended state being in its xsave. Then it runs in one of its own. */
void thread_lend(struct thread *n);
void thread_leave_lender(struct thread *t); /* if it is time; does not return then */

/* proc/exit.c. wait_status: as wait4 gives it. */
_Noreturn void thread_exit(struct thread *t, int wait_status); /* the process ends with its last */
_Noreturn void process_exit(int wait_status);
void process_kick(struct process *p);     /* its threads, but the caller, look at what happened */
void process_stop(int signo);             /* the calling one */
void process_continue(struct process *p); /* if it is stopped */
void process_wait_stopped(struct process *p);
void handlers_put(struct handlers *h);
void fs_context_put(struct fs_context *fs);
void vfork_release(struct process *p); /* who waits for p to have its own memory */

/* proc/sem.c: what the process would undo */
void sem_exit(struct process *p);

/* proc/pidfd.c */
int pidfd_new(struct process *p, uint32_t flags); /* a descriptor, or -errno */
struct process *pidfd_process(int fd);            /* NULL: it is none, or the process is gone */
void pidfd_ended(struct process *p);              /* tells who polls */

/* proc/caps.c */
void caps_start(struct process *p);
void caps_exec(struct process *p);
/* After ids changed: was any of them root, was the effective one? */
void caps_new_ids(struct process *p, bool was_root, bool was_effective);
void caps_new_fsuid(struct process *p, uint32_t old);
#define PRCTL_BOUNDING_READ 23
#define PRCTL_BOUNDING_DROP 24
#define PRCTL_AMBIENT 47
long caps_prctl(int option, uint64_t arg, uint64_t arg2);
/* PR_GET_SECUREBITS and PR_SET_SECUREBITS: 0, -EPERM. */
long caps_secure_bits(void);
long caps_secure(uint64_t bits);

/* proc/futex.c */
bool futex_has_duty(struct thread *t); /* would futex_exit do anything? */
void futex_exit(struct thread *t);     /* robust list and clear_tid */

/* proc/user.c: makes the process run as "user[:group]", who is put into *u. 0, or -ENOENT if there
 * is none. */
int user_set(const char *text, struct sh_user *u);

/* proc/exec.c: loads a program into empty memory and sets t's registers. */
struct exec_args {
    const char *const *args; /* NULL-terminated */
    const char *const *env;
    struct file *file; /* the program, if it is open already; else NULL, and its path counts */
};
int exec_load(struct thread *t, const char *path, const struct exec_args *x);

/* proc/elf.c */
struct elf_image {
    uint64_t base;  /* what was added to addresses */
    uint64_t entry; /* absolute */
    uint64_t phdr, phnum;
    uint64_t end; /* of the highest segment */
    char interpreter[256];
};
struct file;
/* Checks head and program headers; maps the segments. 0 or -errno. */
int elf_map(struct file *f, struct elf_image *out, bool interpreter);

/* The part that looks only at bytes, for fuzzing: fills segments from a head and its headers. */
#define ELF_SEGMENTS_MAX 32u
struct elf_plan {
    bool fixed;                         /* ET_EXEC */
    uint64_t entry, phoff, phnum, phdr; /* phdr: address in memory, or 0 */
    uint64_t low, high;                 /* page aligned extent */
    struct elf_segment {
        uint64_t addr, file_size, mem_size, offset;
        int prot;
    } segments[ELF_SEGMENTS_MAX];
    unsigned count;
    uint64_t interp_at, interp_size; /* in the file; size 0: none */
    bool exec_stack;
};
int elf_parse(const uint8_t *head, size_t head_size, uint64_t file_size, struct elf_plan *plan);

#endif
