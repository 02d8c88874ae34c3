// SPDX-License-Identifier: Apache-2.0
// The attestation agent inside the enclave's LibOS: how its core (trusted/agent) and the crypto
// library are run, and what the rest of the LibOS calls.
//
// Crypto runs on a stack, an FS and a vector state of its own (enter.S), without the LibOS's lock,
// one thread at a time, and one more that waits for the broker; never inside a program's system
// call: on the boot thread before the program's first instruction, or on a thread of the LibOS.
#ifndef LIBOS_AGENT_H
#define LIBOS_AGENT_H

#include "lib/bytes.h"
#include <shelter/agent.h>
#include <shelter/control.h>

#include "trusted/libos/libos.h"

/* Does it ask the broker, or nobody? A broker that is silent then keeps those waiting who ask it.
 */
enum agent_asks { AGENT_ASKS_NOBODY, AGENT_ASKS_BROKER, AGENT_ASKS };
/* call.c: runs run(arg) so. With the lock held, which is given up meanwhile. Waits while another
 * thread is inside. The result of run; or -errno when it could not be run, having said why.
 * What is linked into the lazy part (module.mk) may be called by `run` alone. */
long agent_call(enum agent_asks asks, long (*run)(void *arg), void *arg);
/* Without the lock, around what waits for the network: others may be inside agent_call meanwhile,
 * who ask nobody. True: the caller was inside, which agent_return is told. */
bool agent_leave(void);
void agent_return(bool inside);

/* call.c: the lazy part is there from now on, or -errno, having said why. With the lock held. */
int lazy_bring(void);
/* In it: the program that `shelter cp` runs (trusted/copy), as an ELF file. */
extern const char copy_program[], copy_program_end[];

/* secrets.c: remembers the launch config, whose bytes stay, for brokers. */
void agent_init(struct sh_view manifest, struct sh_view launch);
/* Does the image bring its own server of the local API? */
bool agent_replaced(void);
/* Before the program is loaded, as its user: with a broker or secrets, attests and puts the secrets
 * in place, environment by set_env(env, "NAME=value"). 0, or the status to exit with, having said
 * why. Without either: 0, and nothing is done. */
int agent_before_program(int (*set_env)(void *env, const char *text), void *env);
/* Signals of the host that are waiting and would end the program, as a set. */
uint64_t agent_stop_signals(void);
/* The core's state, made when first asked for; NULL: no memory. Inside agent_call only. */
struct agent;
struct agent *agent_state(void);

/* identity.c: a file of the image's identity or a secret, of the program's user; with the lock. */
struct agent_secret;
int agent_put_file(const struct agent_secret *s);
/* Starts the thread that renews them, where something is to be renewed. 0 or -errno. */
int agent_keep_files(void);

/* serve.c: a stream connects to this port of loopback and nobody listens: CoCo's local API does,
 * from now on, unless the image brings its own server. */
void agent_wanted(uint16_t family, uint16_t port);
/* The program wants the port itself: it is free afterwards. */
void agent_give_way(uint16_t port);

/* secrets.c: SH_CONTROL_ATTEST. The size of the evidence in `out`, or -errno with its text. */
long agent_judge_attest(const struct sh_control_request *r, char *out, size_t size);

#endif
