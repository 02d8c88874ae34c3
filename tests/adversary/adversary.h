// SPDX-License-Identifier: Apache-2.0
// The hooks of a loader that attacks its enclave: the loader's own parts with hostile.c and
// attack.c around them.
#ifndef TESTS_ADVERSARY_ADVERSARY_H
#define TESTS_ADVERSARY_ADVERSARY_H

#include "host/sgx/loader/loader.h"

/* attack.c: interrupts and entries where they hurt most. */
/* lesser.c: the enclave without "exinfo" or "kss", or as it should be ("nothing"). false: none of
 * these. */
bool lesser_init(const char *what);
void lesser_key(const char *path); /* to sign with */
void lesser_begin(void);           /* before it is built */

/* bare.c: fills what is not measured; before it is built. `spoil`: which of the hashed pages is
 * changed as well, from 1; -1: all of them; 0: none. */
void bare_begin(int64_t spoil);
int64_t bare_hashed(void); /* how many there were */

int attack_init(unsigned every, struct sh_error *err); /* after the enclave was built */
void attack_arm(struct loader_thread *t);              /* before the calling thread enters */
/* At an exit: the next leaf, or 0 if the exit is none of the attack's. */
int attack_exit(struct loader_thread *t, uint64_t out, const struct sgx_enclave_run *run);
void attack_report(void);

#endif
