// SPDX-License-Identifier: Apache-2.0
// Port `test`: Linux system calls without a libc, and what its parts share.
#ifndef PORT_TEST_HOST_H
#define PORT_TEST_HOST_H

#include <asm/unistd_64.h>

#include "trusted/libos/libos.h"

static inline long host_call6(long nr, long a, long b, long c, long d, long e, long f)
{
    long r;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    register long r9 __asm__("r9") = f;
    __asm__ volatile("syscall"
                     : "=a"(r)
                     : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                     : "rcx", "r11", "memory");
    return r;
}
#define HOST_CALL(nr, a, b, c, d, e, f, ...)                                                       \
    host_call6(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define host_call(...) HOST_CALL(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)

#define ALT_STACK_SIZE 65536u

/* A host thread. Blocks are used again when the kernel has cleared `alive`. */
struct port_thread {
    uint32_t alive; /* CLONE_CHILD_CLEARTID */
    uint32_t token; /* a wake-up that was not consumed */
    uint32_t polling;
    int32_t event; /* eventfd, for wake-ups while in ppoll */
    int32_t tid;
    struct port_thread *next;
    uint8_t alt_stack[ALT_STACK_SIZE];
};

struct port_thread *host_thread_new(void);
int host_reserve(struct port_info *info);
/* Memory above a page that is not there; 0: none. */
uint64_t host_guarded(uint64_t size);
extern int host_root_fd, host_sites_fd;
/* port_test/trap.c: signal handlers, once; alternate stack and dispatch of this thread. */
void host_traps_init(void);
void host_thread_init(struct thread *t);

#endif
