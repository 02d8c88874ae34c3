// SPDX-License-Identifier: Apache-2.0
// What programs do with their own text: it is moved, copied to and fro, written, dropped. Calls
// from there must go on to work.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096

/* Each on a page of its own: getppid. */
#define CALL(name)                                                                                 \
    __asm__(".pushsection .text.page, \"ax\"\n\t.balign 4096\n\t.globl " #name "\n\t.type " #name  \
            ", @function\n" #name ": mov $110, %eax\n\tsyscall\n\tret\n\t.size " #name             \
            ", . - " #name "\n\t.balign 4096\n\t.popsection");                                     \
    long name(void);

CALL(plain)
CALL(moved)
CALL(copied)
CALL(written)
CALL(dropped)

static const char getpid_code[] = "\xb8\x27\x00\x00\x00\x0f\x05\xc3";

static long at(void *text)
{
    return ((long (*)(void))text)();
}

static void *map(void *where)
{
    return mmap(where, PAGE, PROT_READ | PROT_WRITE,
                MAP_PRIVATE | MAP_ANONYMOUS | (where ? MAP_FIXED : 0), -1, 0);
}

int main(void)
{
    long parent = getppid();
    void *page = map(NULL);
    printf("%s", plain() != parent ? "wrong" : *(uint8_t *)plain == 0xe9 ? "patched" : "plain");

    if (moved() != parent)
        return 1;
    void *there =
        mremap((void *)moved, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (char *)map(NULL));
    printf(" %s", there != MAP_FAILED && at(there) == parent ? "moved" : "not moved");

    if (copied() != parent)
        return 1;
    memcpy(page, (void *)copied, PAGE);
    if (map((void *)copied) != (void *)copied)
        return 1;
    memcpy((void *)copied, page, PAGE);
    mprotect((void *)copied, PAGE, PROT_READ | PROT_EXEC);
    printf(" %s", at((void *)copied) == parent ? "copied" : "not copied");

    if (written() != parent || mprotect((void *)written, PAGE, PROT_READ | PROT_WRITE))
        return 1;
    memcpy((void *)written, getpid_code, sizeof(getpid_code));
    mprotect((void *)written, PAGE, PROT_READ | PROT_EXEC);
    printf(" %s", at((void *)written) == getpid() ? "written" : "not written");

    if (dropped() != parent || madvise((void *)dropped, PAGE, MADV_DONTNEED))
        return 1;
    printf(" %s\n", at((void *)dropped) == parent ? "again" : "not again");
    return 0;
}
