// SPDX-License-Identifier: Apache-2.0
// The program's memory, as a kernel reads and writes it: an address that is not there is -EFAULT.
#include "host/sgx/foreign/foreign.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/uio.h>

struct sh_sim_settings fgn_options;

static pthread_mutex_t big_lock = PTHREAD_MUTEX_INITIALIZER;

/* Ours may not be in the middle of anything when the process is copied. -1: it is being copied. */
static _Atomic int inside;

void fgn_stay_whole(void)
{
    for (;;) {
        int n = inside;
        if (n >= 0 && atomic_compare_exchange_weak(&inside, &n, n + 1))
            return;
        if (n < 0)
            fgn_raw3(SYS_sched_yield, 0, 0, 0);
    }
}

void fgn_may_split(void)
{
    inside--;
}

void fgn_split_begin(void)
{
    fgn_lock();
    for (int none = 0; !atomic_compare_exchange_weak(&inside, &none, -1); none = 0)
        fgn_raw3(SYS_sched_yield, 0, 0, 0);
}

void fgn_split_end(void)
{
    inside = 0;
    fgn_unlock();
}

void fgn_lock(void)
{
    pthread_mutex_lock(&big_lock);
}

void fgn_unlock(void)
{
    pthread_mutex_unlock(&big_lock);
}

static ssize_t copy_some(void *here, uint64_t there, size_t size, long number)
{
    struct iovec local = {here, size}, remote = {(void *)there, size};
    return fgn_raw6(number, fgn_raw3(SYS_getpid, 0, 0, 0), (long)&local, 1, (long)&remote, 1, 0);
}

int fgn_copy_in(void *to, uint64_t from, size_t size)
{
    return copy_some(to, from, size, SYS_process_vm_readv) == (ssize_t)size ? 0 : -EFAULT;
}

int fgn_copy_out(uint64_t to, const void *from, size_t size)
{
    return copy_some((void *)from, to, size, SYS_process_vm_writev) == (ssize_t)size ? 0 : -EFAULT;
}

int fgn_copy_path(char *to, uint64_t from, size_t size)
{
    size_t done = 0;
    while (done < size) {
        size_t part = 4096 - (from + done) % 4096;
        if (part > size - done)
            part = size - done;
        if (fgn_copy_in(to + done, from + done, part) != 0)
            return -EFAULT;
        if (memchr(to + done, 0, part) != NULL)
            return 0;
        done += part;
    }
    return -ENAMETOOLONG;
}
