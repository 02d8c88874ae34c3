// SPDX-License-Identifier: Apache-2.0
// The keeper: in a process that shares an EPC, a thread that gives pages when others ask for them,
// and whose end tells them of ours. Both go through words of the file alone, since a process may
// have any user, filter and PID namespace: a futex, and a robust list, which the kernel walks when
// a thread ends, however it does (set_robust_list(2)).
#include "host/sgx/sim/sim.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KEEPER_STACK 0x40000u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct robust_list_head robust;
static struct robust_list robust_entry;
static _Atomic bool leaving;

static void *keep_place(void *arg)
{
    struct sgxsim_epc *epc = arg;
    struct sim_epc_user *u = sim_epc_place(epc);
    robust_entry.next = &robust.list;
    robust.list.next = &robust_entry;
    robust.futex_offset = (long)((intptr_t)&u->keeper - (intptr_t)&robust_entry);
    u->keeper = (uint32_t)syscall(SYS_gettid);
    if (syscall(SYS_set_robust_list, &robust, sizeof(robust)) != 0)
        u->keeper = 0; /* our end goes unnoticed */
    while (!leaving) {
        if (u->wanted == 0)
            syscall(SYS_futex, &u->wanted, FUTEX_WAIT, 0, NULL, NULL, 0);
        if (!sim_reclaim_asked(epc))
            usleep(250);
    }
    robust.list.next = &robust.list;
    sim_epc_exit(epc);
    return NULL;
}

static int start_keeper(struct sgxsim_epc *epc)
{
    pthread_attr_t attr;
    pthread_t thread;
    sigset_t all, mask;
    if (pthread_attr_init(&attr) != 0)
        return -ENOMEM;
    pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attr, KEEPER_STACK);
    sigfillset(&all);
    leaving = false;
    pthread_sigmask(SIG_BLOCK, &all, &mask); /* no signal of the program's is for it */
    int ret = pthread_create(&thread, &attr, keep_place, epc);
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    pthread_attr_destroy(&attr);
    return -ret;
}

/* Where there is no place or no thread, what is taken is counted, and nobody asks for it. */
void sim_epc_enrol(struct sgxsim_epc *epc)
{
    if (!epc->shared)
        return;
    pthread_mutex_lock(&lock);
    if (sim_epc_place(epc) == NULL && sim_epc_enter(epc) && start_keeper(epc) != 0)
        sim_epc_exit(epc);
    pthread_mutex_unlock(&lock);
}

void sgxsim_epc_keep(void)
{
    struct sgxsim_epc *epc = sim_epc_shared();
    while (epc != NULL && leaving && sim_epc_place(epc) != NULL)
        usleep(100);
    if (epc != NULL && sim_epc_place(epc) == NULL)
        sim_epc_enrol(epc);
}

void sgxsim_epc_leave(void)
{
    struct sgxsim_epc *epc = sim_epc_shared();
    struct sim_epc_user *u = epc != NULL ? sim_epc_place(epc) : NULL;
    if (u == NULL)
        return;
    leaving = true;
    u->wanted = 1;
    sim_epc_wake(u);
}
