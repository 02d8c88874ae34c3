// SPDX-License-Identifier: Apache-2.0
// The machine: the devices that are open in this process, and the EPC that their enclaves share: of
// one device, of a process, or, in a file, of all processes beneath one `shelter sgx-sim`. What it
// holds lies with each enclave (epc.c); here is how much of it is taken, and who is asked when it
// is full.
#include "host/sgx/sim/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

/* --- its devices --- */

static _Atomic(struct sgxsim *) devices[SIM_DEVICES];
static pthread_mutex_t devices_lock = PTHREAD_MUTEX_INITIALIZER;

/* Also from leaves and signal handlers. */
struct sgxsim *sim_device_at(uint64_t addr)
{
    for (unsigned i = 0; i < SIM_DEVICES; i++) {
        struct sgxsim *dev = atomic_load_explicit(&devices[i], memory_order_acquire);
        if (dev != NULL && dev->created && addr >= dev->base && addr - dev->base < dev->size)
            return dev;
    }
    return NULL;
}

struct sgxsim *sim_device_number(unsigned i)
{
    return atomic_load_explicit(&devices[i], memory_order_acquire);
}

bool sim_devices_hold(void)
{
    return pthread_mutex_trylock(&devices_lock) == 0;
}

void sim_devices_let(void)
{
    pthread_mutex_unlock(&devices_lock);
}

int sim_device_add(struct sgxsim *dev)
{
    int ret = -EMFILE;
    pthread_mutex_lock(&devices_lock);
    for (unsigned i = 0; ret != 0 && i < SIM_DEVICES; i++) {
        if (devices[i] == NULL) {
            devices[i] = dev;
            ret = 0;
        }
    }
    pthread_mutex_unlock(&devices_lock);
    return ret;
}

void sim_device_drop(struct sgxsim *dev)
{
    pthread_mutex_lock(&devices_lock);
    for (unsigned i = 0; i < SIM_DEVICES; i++) {
        if (devices[i] == dev)
            devices[i] = NULL;
    }
    pthread_mutex_unlock(&devices_lock);
}

/* --- its EPC --- */

#define ASK_PAGES 64u                            /* the kernel's watermark, SGX_NR_HIGH_PAGES */
enum { PLACE_FREE, PLACE_TAKEN, PLACE_SETTLED }; /* settled: somebody takes or frees it */

static _Atomic(struct sgxsim_epc *) shared; /* that this process has a place in, or had */
static _Atomic unsigned self;               /* the place, + 1 */

static bool is_dead(const struct sim_epc_user *u)
{
    return u->state == PLACE_TAKEN && (u->keeper & FUTEX_OWNER_DIED) != 0;
}

/* What a process has, or had that did not live to give it back. */
static void drop_place(struct sgxsim_epc *epc, struct sim_epc_user *u)
{
    int taken = PLACE_TAKEN;
    if (!atomic_compare_exchange_strong(&u->state, &taken, PLACE_SETTLED))
        return; /* somebody else does */
    epc->used -= atomic_exchange(&u->used, 0);
    u->wanted = 0;
    u->keeper = 0;
    u->state = PLACE_FREE;
}

struct sim_epc_user *sim_epc_place(struct sgxsim_epc *epc)
{
    unsigned place = self;
    return epc->shared && place != 0 ? &epc->users[place - 1] : NULL;
}

struct sgxsim_epc *sim_epc_shared(void)
{
    return shared;
}

bool sim_epc_enter(struct sgxsim_epc *epc)
{
    shared = epc;
    for (unsigned i = 0; i < SIM_EPC_USERS; i++) {
        struct sim_epc_user *u = &epc->users[i];
        int none = PLACE_FREE;
        if (is_dead(u))
            drop_place(epc, u);
        if (!atomic_compare_exchange_strong(&u->state, &none, PLACE_SETTLED))
            continue;
        for (unsigned k = 0; k < SIM_DEVICES; k++) { /* where there was a keeper before */
            const struct sgxsim *dev = sim_device_number(k);
            u->used += dev != NULL && dev->epc == epc ? dev->stats.epc_pages : 0;
        }
        epc->used += u->used;
        u->state = PLACE_TAKEN;
        self = i + 1;
        return true;
    }
    return false;
}

void sim_epc_exit(struct sgxsim_epc *epc)
{
    struct sim_epc_user *u = sim_epc_place(epc);
    self = 0;
    drop_place(epc, u);
}

void sim_epc_wake(struct sim_epc_user *u)
{
    syscall(SYS_futex, &u->wanted, FUTEX_WAKE, 1, NULL, NULL, 0);
}

int sgxsim_epc_open(const char *file, uint64_t pages, struct sgxsim_epc **out)
{
    int fd = -1, flags = MAP_SHARED | (file == NULL ? MAP_ANONYMOUS : 0);
    if (file != NULL && ((fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0 ||
                         ftruncate(fd, sizeof(struct sgxsim_epc)) != 0)) {
        int ret = -errno;
        close(fd);
        return ret;
    }
    struct sgxsim_epc *epc =
        mmap(NULL, sizeof(*epc), PROT_READ | PROT_WRITE, flags, fd, 0); /* zeros, or as it was */
    if (fd >= 0)
        close(fd);
    if (epc == MAP_FAILED)
        return -ENOMEM;
    epc->limit = pages;
    epc->shared = file != NULL;
    *out = epc;
    return 0;
}

/* What it inherited is its parent's, and counted there. */
void sim_epc_after_fork(void)
{
    self = 0;
    shared = NULL;
    pthread_mutex_init(&devices_lock, NULL); /* the keeper may have had it */
    for (unsigned i = 0; i < SIM_DEVICES; i++) {
        struct sgxsim *dev = sim_device_number(i);
        if (dev != NULL && dev->epc->shared) {
            dev->own_epc = (struct sgxsim_epc){.used = dev->stats.epc_pages};
            dev->epc = &dev->own_epc;
            dev->lock = 0;
        }
    }
}

uint64_t sgxsim_epc_used(const struct sgxsim_epc *epc)
{
    return epc->used;
}

bool sim_epc_charge(struct sgxsim_epc *epc)
{
    uint64_t before = epc->used++;
    if (epc->limit != 0 && before >= epc->limit) {
        epc->used--;
        return false;
    }
    struct sim_epc_user *u = sim_epc_place(epc);
    if (u != NULL)
        u->used++;
    return true;
}

void sim_epc_discharge(struct sgxsim_epc *epc, uint64_t count)
{
    struct sim_epc_user *u = sim_epc_place(epc);
    epc->used -= count;
    if (u != NULL)
        u->used -= count;
}

uint32_t sim_epc_asked(struct sgxsim_epc *epc)
{
    struct sim_epc_user *u = sim_epc_place(epc);
    return u != NULL ? atomic_exchange(&u->wanted, 0) : 0;
}

void sim_epc_ask_self(struct sgxsim_epc *epc, uint32_t count)
{
    struct sim_epc_user *u = sim_epc_place(epc);
    if (u != NULL)
        u->wanted = count;
}

bool sim_epc_ask(struct sgxsim_epc *epc, bool anybody)
{
    struct sim_epc_user *own = sim_epc_place(epc), *most = NULL;
    if (!epc->shared)
        return false;
    for (unsigned i = 0; i < SIM_EPC_USERS; i++) {
        struct sim_epc_user *u = &epc->users[i];
        if (u == own || u->state != PLACE_TAKEN)
            continue;
        if (is_dead(u)) {
            drop_place(epc, u);
            return true;
        }
        if (most == NULL || u->used > most->used)
            most = u;
    }
    if (most == NULL || most->used == 0 || (!anybody && own != NULL && most->used <= own->used))
        return false;
    uint64_t had = most->used;
    most->wanted = ASK_PAGES;
    sim_epc_wake(most);
    for (unsigned i = 0; i < 400 && most->used >= had && !is_dead(most); i++) {
        usleep(250);
        if (own != NULL && own->wanted != 0) /* it waits for us, too */
            return true;
    }
    return most->used < had || is_dead(most);
}
