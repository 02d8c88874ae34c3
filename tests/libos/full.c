// SPDX-License-Identifier: Apache-2.0
// A child that ends because memory is full, with its locks on pages that were never given.
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STEP (1ul << 20)

static char *map(size_t size)
{
    return mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
                0);
}

int main(void)
{
    int status = 0;
    pid_t child = fork();
    if (!child) {
        syscall(SYS_set_robust_list, map(STEP) + STEP / 2 - 12, 24);
        syscall(SYS_set_tid_address, map(STEP) + STEP / 2);
        for (int i = 0; i < 4096; i++)
            memset(map(STEP), 1, STEP);
        _exit(0);
    }
    printf("ended: %d\n", waitpid(child, &status, 0) == child && status != 0);
    puts("still here");
    return 0;
}
