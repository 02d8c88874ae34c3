// SPDX-License-Identifier: Apache-2.0
// A filter of system calls (seccomp), made of rows: a call, and what one argument must be.
#ifndef HOST_BASE_FILTER_H
#define HOST_BASE_FILTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

/* It fits if (args[arg] & mask) == value, or with `some`, != 0; without a mask, always. Upper
 * halves of arguments are not looked at: for ints, modes and flags only. */
struct sh_filter_call {
    unsigned nr, arg;
    uint32_t mask, value;
};
#define SH_FILTER_OWN UINT32_MAX        /* as a value: the process's id */
#define SH_FILTER_SOME (UINT32_MAX - 1) /* as a value: any bit of the mask */

#define SH_FILTER_ANY(name)                                                                        \
    {                                                                                              \
        SYS_##name, 0, 0, 0                                                                        \
    }
#define SH_FILTER_ONLY(name, arg, value)                                                           \
    {                                                                                              \
        SYS_##name, arg, UINT32_MAX, value                                                         \
    }

#define SH_FILTER_MAX 1024u

struct sh_filter {
    struct sock_filter code[SH_FILTER_MAX];
    unsigned short count; /* SH_FILTER_MAX: it did not fit */
};

/* The head: another architecture, x32 included, is death. Behind it, the number is in the
 * accumulator, and each function below leaves it there. */
void sh_filter_begin(struct sh_filter *f);
void sh_filter_put(struct sh_filter *f, uint16_t code, uint32_t k, uint8_t yes, uint8_t no);
void sh_filter_load(struct sh_filter *f, size_t offset_of_data);
void sh_filter_return(struct sh_filter *f, uint32_t action);
/* For each row that fits: `action`, a SECCOMP_RET_*. */
void sh_filter_calls(struct sh_filter *f, const struct sh_filter_call *calls, size_t count,
                     uint32_t action);
#define SH_FILTER_CALLS(f, list, action)                                                           \
    sh_filter_calls(f, list, sizeof(list) / sizeof((list)[0]), action)

/* For everything else `action`; then the calling thread and those that it makes are behind it.
 * Needs no_new_privs. 0 or -errno. */
int sh_filter_raise(struct sh_filter *f, uint32_t action);

#endif
