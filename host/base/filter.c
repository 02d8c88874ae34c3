// SPDX-License-Identifier: Apache-2.0
// A filter of system calls: seccomp(2), classic BPF.
#include "host/base/filter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <linux/audit.h>

#define X32 0x40000000u /* __X32_SYSCALL_BIT */

void sh_filter_put(struct sh_filter *f, uint16_t code, uint32_t k, uint8_t yes, uint8_t no)
{
    if (f->count < SH_FILTER_MAX)
        f->code[f->count++] = (struct sock_filter){code, yes, no, k};
}

void sh_filter_load(struct sh_filter *f, size_t offset_of_data)
{
    sh_filter_put(f, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset_of_data, 0, 0);
}

void sh_filter_return(struct sh_filter *f, uint32_t action)
{
    sh_filter_put(f, BPF_RET | BPF_K, action, 0, 0);
}

void sh_filter_begin(struct sh_filter *f)
{
    f->count = 0;
    sh_filter_load(f, offsetof(struct seccomp_data, arch));
    sh_filter_put(f, BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0);
    sh_filter_return(f, SECCOMP_RET_KILL_PROCESS);
    sh_filter_load(f, offsetof(struct seccomp_data, nr));
    sh_filter_put(f, BPF_JMP | BPF_JGE | BPF_K, X32, 0, 1);
    sh_filter_return(f, SECCOMP_RET_KILL_PROCESS);
}

static void put_call(struct sh_filter *f, const struct sh_filter_call *c, uint32_t action)
{
    bool some = c->value == SH_FILTER_SOME;
    sh_filter_put(f, BPF_JMP | BPF_JEQ | BPF_K, c->nr, 0, c->mask ? 5 : 1);
    if (c->mask) {
        sh_filter_load(f, offsetof(struct seccomp_data, args) + 8 * c->arg);
        sh_filter_put(f, BPF_ALU | BPF_AND | BPF_K, c->mask, 0, 0);
        sh_filter_put(f, BPF_JMP | BPF_JEQ | BPF_K,
                      some                        ? 0
                      : c->value == SH_FILTER_OWN ? (uint32_t)getpid()
                                                  : c->value,
                      some, !some);
    }
    sh_filter_return(f, action);
    if (c->mask)
        sh_filter_load(f, offsetof(struct seccomp_data, nr));
}

#define ROWS_MAX 128u
#define BLOCK 8u

static int compare_calls(const void *a, const void *b)
{
    const struct sh_filter_call *x = a, *y = b;
    return x->nr < y->nr ? -1 : x->nr > y->nr;
}

/* Behind the rows of the block that begins at `at`: all rows of one call stand together. */
static size_t end_block(const struct sh_filter_call *sorted, size_t at, size_t count)
{
    size_t end = at + BLOCK < count ? at + BLOCK : count;
    while (end < count && sorted[end].nr == sorted[end - 1].nr)
        end++;
    return end;
}

/* In blocks by number: a call passes the blocks of smaller ones and looks at its own. The kernel
 * tries each number there is when a filter is raised, which would be most of its cost. */
void sh_filter_calls(struct sh_filter *f, const struct sh_filter_call *calls, size_t count,
                     uint32_t action)
{
    struct sh_filter_call sorted[ROWS_MAX];
    unsigned short outs[ROWS_MAX], blocks = 0;
    if (count > ROWS_MAX || f->count + 9 * count > SH_FILTER_MAX) { /* at most 9 a row */
        f->count = SH_FILTER_MAX;
        return;
    }
    memcpy(sorted, calls, count * sizeof(*calls));
    qsort(sorted, count, sizeof(*sorted), compare_calls);
    for (size_t at = 0, end; at < count; at = end) {
        unsigned short head = f->count;
        end = end_block(sorted, at, count);
        sh_filter_put(f, BPF_JMP | BPF_JGT | BPF_K, sorted[end - 1].nr, 0, 0);
        for (; at < end; at++)
            put_call(f, &sorted[at], action);
        outs[blocks++] = f->count;
        sh_filter_put(f, BPF_JMP | BPF_JA, 0, 0, 0);
        if (f->count - head > UINT8_MAX) { /* too many of one call */
            f->count = SH_FILTER_MAX;
            return;
        }
        f->code[head].jt = (uint8_t)(f->count - head - 1);
    }
    for (unsigned i = 0; i < blocks; i++)
        f->code[outs[i]].k = f->count - outs[i] - 1u;
}

int sh_filter_raise(struct sh_filter *f, uint32_t action)
{
    sh_filter_return(f, action);
    struct sock_fprog prog = {f->count, f->code};
    if (f->count == SH_FILTER_MAX)
        return -E2BIG;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &prog)
               ? -errno
               : 0;
}
