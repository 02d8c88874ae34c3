// SPDX-License-Identifier: Apache-2.0
// The machine: the devices that are open in this process, and the EPC that their enclaves share: of
// one device, of a process, or, in a file, of all processes beneath one `shelter sgx-sim`. What it
// holds lies with each enclave (epc.c); here is how much of it is taken, and who is asked when it
// is full.
#include "host/sgx/sim/sim.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
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

#define ASK_PAGES 64u /* the kernel's watermark, SGX_NR_HIGH_PAGES */

static unsigned self; /* our place in the shared one, + 1 */
static uint64_t namespace;

/* What a process had that did not live to give it back. */
static void drop_dead(struct sgxsim_epc *epc, struct sim_epc_user *u, int pid)
{
    if (!atomic_compare_exchange_strong(&u->pid, &pid, -1))
        return; /* somebody else does */
    epc->used -= atomic_exchange(&u->used, 0);
    u->wanted = 0;
    u->pid = 0;
}

/* Numbers of processes mean something within one PID namespace; 0: it is not known. */
static uint64_t own_namespace(void)
{
    struct stat st;
    return stat("/proc/self/ns/pid", &st) == 0 ? st.st_ino : 0;
}

static bool is_near(const struct sim_epc_user *u)
{
    return namespace != 0 && u->namespace == namespace;
}

static bool is_dead(const struct sim_epc_user *u, int pid)
{
    return pid > 0 && is_near(u) && syscall(SYS_kill, pid, 0) != 0 && errno == ESRCH;
}

static struct sim_epc_user *own_place(struct sgxsim_epc *epc)
{
    if (!epc->shared)
        return NULL;
    if (self == 0)
    namespace = own_namespace();
    for (unsigned i = 0; self == 0 && i < SIM_EPC_USERS; i++) {
        struct sim_epc_user *u = &epc->users[i];
        int none = 0, pid = u->pid;
        if (is_dead(u, pid))
            drop_dead(epc, u, pid);
        if (!atomic_compare_exchange_strong(&u->pid, &none, -1))
            continue;
        u->namespace = namespace;
        u->pid = (int)getpid();
        self = i + 1;
    }
    return self != 0 ? &epc->users[self - 1] : NULL; /* too many: counted, never asked */
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
void sgxsim_epc_forked(void)
{
    self = 0;
    for (unsigned i = 0; i < SIM_DEVICES; i++) {
        struct sgxsim *dev = sim_device_number(i);
        if (dev != NULL && dev->epc->shared) {
            dev->own_epc = (struct sgxsim_epc){.used = dev->stats.epc_pages};
            dev->epc = &dev->own_epc;
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
    struct sim_epc_user *u = own_place(epc);
    if (u != NULL)
        u->used++;
    return true;
}

void sim_epc_discharge(struct sgxsim_epc *epc, uint64_t count)
{
    struct sim_epc_user *u = own_place(epc);
    epc->used -= count;
    if (u != NULL)
        u->used -= count;
}

uint32_t sim_epc_asked(struct sgxsim_epc *epc)
{
    return epc->shared && self != 0 ? atomic_exchange(&epc->users[self - 1].wanted, 0) : 0;
}

bool sim_epc_ask(struct sgxsim_epc *epc, bool anybody)
{
    struct sim_epc_user *own = own_place(epc), *most = NULL;
    if (!epc->shared)
        return false;
    for (unsigned i = 0; i < SIM_EPC_USERS; i++) {
        struct sim_epc_user *u = &epc->users[i];
        int pid = u->pid;
        if (u == own || pid <= 0)
            continue;
        if (is_dead(u, pid)) {
            drop_dead(epc, u, pid);
            return true;
        }
        if (most == NULL || u->used > most->used)
            most = u;
    }
    if (most == NULL || most->used == 0 || (!anybody && own != NULL && most->used <= own->used))
        return false;
    int pid = most->pid;
    uint64_t had = most->used;
    most->wanted = ASK_PAGES; /* who is in another namespace hears of it when it takes a page */
    if (pid > 0 && is_near(most))
        (void)syscall(SYS_kill, pid, SIM_KICK);
    for (unsigned i = 0; i < 400 && most->used >= had && most->pid == pid; i++) {
        usleep(250);
        if (own != NULL && own->wanted != 0) /* it waits for us, too */
            return true;
    }
    return most->used < had || most->pid != pid;
}
