// SPDX-License-Identifier: Apache-2.0
// Addresses cost nothing: MariaDB, V8 and collectors of garbage reserve many TiB and use little.
#include "facts.h"

#include <sys/mman.h>

int main(void)
{
    for (int k = 0; k < 6; k++) {
        long tib = 1L << k % 3 * 2, size = tib << 40;
        int prot = k < 3 ? 0 : 3;
        char *m = mmap(0, size, prot, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        char *p = m + size / 2;
        say("mmap", address_only((long)m), "%ld TiB, prot %d, not reserved", tib, prot);
        say("mprotect", sys(mprotect, p, 8192, 3), "in the middle of %ld TiB, prot %d", tib, prot);
        p[0] = p[4096] = 7;
        long r = sys(madvise, m, size, MADV_DONTNEED);
        say("madvise", r, "MADV_DONTNEED, all of %ld TiB, prot %d", tib, prot);
        say("mmap", p[0] + p[4096], "what is there then, %ld TiB, prot %d", tib, prot);
        say("munmap", sys(munmap, m, size), "%ld TiB, prot %d", tib, prot);
    }
    return 0;
}
