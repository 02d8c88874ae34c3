// SPDX-License-Identifier: Apache-2.0
// Two processes stand beside each instance as long as it runs; most of what `ps` shows of them are
// libraries that made the start.
#include "host/base/rest.h"

#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/mman.h>

#define REST_MS 1000
#define PAGE 4096ul

static bool rested;

int sh_rest_wait(int wait)
{
    return rested || (wait >= 0 && wait < REST_MS) ? wait : REST_MS;
}

/* Segments that can be written stay, and with them what relocation wrote. */
static int forget_object(struct dl_phdr_info *object, size_t size, void *arg)
{
    for (unsigned i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &object->dlpi_phdr[i];
        uintptr_t start = (object->dlpi_addr + p->p_vaddr) & ~(PAGE - 1);
        uintptr_t end = object->dlpi_addr + p->p_vaddr + p->p_memsz;
        if (p->p_type == PT_LOAD && !(p->p_flags & PF_W))
            (void)madvise((void *)start, end - start, MADV_DONTNEED);
    }
    return 0;
}

void sh_rest(void)
{
    if (!rested)
        dl_iterate_phdr(forget_object, NULL);
    rested = true;
}
