// SPDX-License-Identifier: Apache-2.0
// A loader that lies, for tests: what the enclave must bear from a host.
//
//   --hostile 'WHERE:FIELD=VALUE,...[;WHERE:...]'
//
// WHERE is `start` (the start block, once), `any`, or the number of a call (enum sh_call), with
// `#N` for its N-th time, `#N+` from then on; without, each time. Values are C numbers, `min` and
// `max` (of int64_t), `umax`; VALUE of a and b is hex bytes, repeated over the whole buffer.
//
//   result, size_a, size_b, signals, control, tsc, monotonic, realtime   these words of the slot
//   a, b          what the buffers hold
//   skip=1        the call is not carried out (result 0 unless given)
//   delay=US      before it is answered
//   race=1        from then on another thread writes the slot while the enclave reads it
//   twice=1       another thread enters the same TCS, again and again
//   kicks=1       from then on every thread is kicked all the time
//   shuffle=US    up to that long before it is answered: threads run in any order
//   starve=US     the thread that comes first is kept waiting so long, each time
//   dirty=1       from then on each entry comes with DF, AC, all exceptions of x87 and SSE
//   unmasked,
//                 other rounding and full registers
//   in_base, in_put, in_dry, out_taken, error   these words of the ring of handle 5
//   in            what its `in` starts with, hex bytes
//   storm=1       from then on another thread changes them all the time
//   stdout_taken, stdout_error, stdout_storm=1   the same of the ring of the standard output
//   start only: rings, root, root_size, manifest, manifest_size, launch, launch_size, hwcap,
//                 cpu_count, flags, tsc_hz, version, sites, sites_size; slot (RDI at each thread's
//                 first entry); swap=A.B (two blocks of root.img), flicker=A.B (they change places
//                 all the time)
//   random=SEED   with WHERE `any`: one answer in eight is spoilt, by this seed
//
// With any of them each exit is checked: no register but those that speak holds anything of the
// enclave's, and nothing was written beside what the call says. What fails ends the loader with
// SH_HOSTILE_LEAK.
#ifndef TESTS_ADVERSARY_HOSTILE_H
#define TESTS_ADVERSARY_HOSTILE_H

#include "host/sgx/loader/loader.h"

#define SH_HOSTILE_LEAK 99

int hostile_init(const char *spec, struct sh_error *err);

/* A slot with pages around it that nobody may touch. NULL: no memory. */
struct sh_slot *hostile_slot(void);
/* The start block in it, before the first entry; root.img is mapped privately. */
void hostile_start(struct sh_slot *slot);

/* Around a call that `serve` answers. */
void hostile_call(struct loader_thread *t, void (*serve)(struct loader_thread *t));

/* As loader_enter, but each exit is checked and each entry spoilt on the way. */
int hostile_enter(struct loader_thread *t, struct sgx_enclave_run *run);

/* At an exit, where several threads enter one TCS: true if it is none to be served, and *next what
 * follows. */
bool hostile_contested(struct loader_thread *t, uint64_t out, const struct sgx_enclave_run *run,
                       int *next);

#endif
