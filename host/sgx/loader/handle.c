// SPDX-License-Identifier: Apache-2.0
// The enclave's handles: it can name no descriptor of ours but these.
#include <errno.h>
#include <pthread.h>

#include "host/sgx/loader/loader.h"

#define HANDLE_MAX 65536u

static int fds[HANDLE_MAX]; /* fd + 1; 0: free */
static unsigned first_free = 3;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

int loader_handle_fd(uint64_t handle)
{
    int fd = handle < HANDLE_MAX ? __atomic_load_n(&fds[handle], __ATOMIC_ACQUIRE) : 0;
    return fd ? fd - 1 : -EBADF;
}

void loader_handle_set(int handle, int fd)
{
    __atomic_store_n(&fds[handle], fd + 1, __ATOMIC_RELEASE);
}

int loader_handle_add(int fd)
{
    pthread_mutex_lock(&lock);
    unsigned h = first_free;
    while (h < HANDLE_MAX && fds[h])
        h++;
    if (h < HANDLE_MAX) {
        loader_handle_set((int)h, fd);
        first_free = h + 1;
    }
    pthread_mutex_unlock(&lock);
    if (h < HANDLE_MAX)
        return (int)h;
    outside_socket_close(fd);
    return -EMFILE;
}

void loader_handle_drop(uint64_t handle)
{
    pthread_mutex_lock(&lock);
    int fd = __atomic_exchange_n(&fds[handle], 0, __ATOMIC_ACQ_REL) - 1;
    if (handle < first_free)
        first_free = (unsigned)handle;
    pthread_mutex_unlock(&lock);
    if (fd >= 0)
        outside_socket_close(fd);
}
