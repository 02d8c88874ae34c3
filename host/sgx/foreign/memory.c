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
