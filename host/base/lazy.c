// SPDX-License-Identifier: Apache-2.0
// Libraries that few commands need are loaded when the first of their functions is called: with all
// that they need themselves they are 40 files, and loading those took most of a command's time.
// tools/lazy-calls makes the list from the objects of the build.
#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

#include "host/base/error.h"

static const struct {
    const char *library, *function;
} calls[] = {
#define LAZY(number, library, function) [number] = {library, #function},
#include "lazy.def"
#undef LAZY
};

/* Where to go, in the order of the list; at first to lazy_first. */
extern void *__start_lazy_slots[];

void *sh_lazy_find(unsigned number);
__attribute__((used)) void *sh_lazy_find(unsigned number)
{
    void *library = dlopen(calls[number].library, RTLD_NOW);
    void *address = library ? dlsym(library, calls[number].function) : NULL;
    if (!address) {
        fprintf(stderr, "shelter: cannot load a library: %s; install the package that has it\n",
                dlerror());
        _exit(SH_EXIT_FAILURE);
    }
    __atomic_store_n(&__start_lazy_slots[number], address, __ATOMIC_RELEASE);
    return address;
}

/* Each function jumps through its slot. The first time that leads to lazy_first, which keeps the
 * parameters (also in vector registers: some have a variable number) and calls sh_lazy_find. */
#define LAZY(number, library, function)                                                            \
    ".globl " #function "\n.type " #function ", @function\n" #function ": endbr64\n"               \
    "jmp *lazy_slot_" #number "(%rip)\n"                                                           \
    "lazy_first_" #number ": endbr64\npush $" #number "\njmp lazy_first\n"                         \
    ".pushsection lazy_slots, \"aw\"\nlazy_slot_" #number ": .quad lazy_first_" #number            \
    "\n.popsection\n"
asm(".text\n"
    "lazy_first:\n"
    "push %rdi\npush %rsi\npush %rdx\npush %rcx\npush %r8\npush %r9\npush %rax\n"
    "sub $136, %rsp\n"
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7\nmovups %xmm\\n, 16*\\n(%rsp)\n.endr\n"
    "mov 192(%rsp), %edi\n"
    "call sh_lazy_find\n"
    "mov %rax, %r11\n"
    ".irp n, 0, 1, 2, 3, 4, 5, 6, 7\nmovups 16*\\n(%rsp), %xmm\\n\n.endr\n"
    "add $136, %rsp\n"
    "pop %rax\npop %r9\npop %r8\npop %rcx\npop %rdx\npop %rsi\npop %rdi\n"
    "add $8, %rsp\n"
    "jmp *%r11\n"
#include "lazy.def"
);
