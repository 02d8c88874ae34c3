// SPDX-License-Identifier: Apache-2.0
// Between entry code and the rest.
#ifndef LIBOS_ENTRY_H
#define LIBOS_ENTRY_H

#include "trusted/libos/libos.h"

/* entry.S */
_Noreturn void los_resume(struct thread *t);
void los_trap_entry(void);
extern const char los_resume_start[], los_resume_end[];

/* entry/fast.S: where patched call sites come in. */
void los_fast(void);
void los_fast_cpuid(void);
_Noreturn void los_fast_call(struct thread *t) __attribute__((used));
_Noreturn void los_fast_cpuid_call(struct thread *t) __attribute__((used));
/* A program that steps itself (TF) arrived at one of the two, where the LibOS must not be stepped:
 * makes t->regs, as they were there, and t->trap those of the call, or of the step over `cpuid`.
 */
void los_fast_stepped(struct thread *t, bool cpuid);

/* entry/trap.c: handles signals, gives up the lock and goes back to the program. */
_Noreturn void los_return(struct thread *t);
_Noreturn void los_kicked(struct thread *t);

/* entry/cpuid.c: did the fault come of a `cpuid`? Then it is answered. With the lock held. */
bool cpuid_emulate(struct thread *t);
void cpuid_answer(struct regs *r); /* to EAX and ECX */

/* entry/trace.c */
void trace_call(struct thread *t, int64_t nr, const uint64_t a[6], long result);
void trace_enter(struct thread *t, int64_t nr, const uint64_t a[6]);

/* entry/control.c: requests of the host, by the policy. */
void control_init(const struct port_start *start);
bool control_allows(uint64_t bit); /* SH_POLICY_*; a debug enclave has no secrets from its host */
bool control_is_due(void);         /* would control_collect do anything? */
void control_collect(void);        /* with the lock: starts the service when the host wants it */
/* Judges a request: its answer's size, or -errno with a sentence in `out`. */
long control_judge(const struct sh_control_request *request, char *out, size_t size);

/* entry/dispatch.c */
struct call_entry {
    const char *name, *format; /* see calls.def */
    bool missing;              /* counted as unknown */
    bool shared;               /* runs with the big lock shared */
};
const struct call_entry *call_entry(int64_t nr); /* NULL: unknown */
/* Runs the handler, with the big lock as its format says; -ENOSYS: unknown. */
long call_handle(int64_t nr, const uint64_t a[6]);
void call_count(int64_t nr, const struct call_entry *e);
void call_tell_missing(void); /* one line, if there was one */

#endif
