// SPDX-License-Identifier: Apache-2.0
// A process and its fork take turns: what both share, what both only read and what is equal in both
// must cost their changes of residence nothing. Prints whether each saw its own bytes.
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096
#define ROUNDS 300
#define SHARED 256 /* pages, of which the child uses the first one only */
#define READ_ONLY 64
#define SAME 200

__attribute__((aligned(4096))) static const volatile uint8_t text[READ_ONLY * PAGE] = {1};

static uint8_t *shared, *same;

static bool turn(int round, int who)
{
    bool right = same[0] == (uint8_t)(round - 1 + (who ? 100 : 0));
    for (int i = 0; i < (who ? 1 : SHARED); i++)
        shared[i * PAGE] = (uint8_t)round;
    for (int i = 0; i < READ_ONLY; i++)
        right = right && text[i * PAGE] == !i;
    same[0]++;
    if (round == ROUNDS / 2 && who) /* one more page differs from now on */
        same[7 * PAGE] = 7;
    for (int i = 1; i < SAME; i++)
        right = right && same[i * PAGE] == (round >= ROUNDS / 2 && who && i == 7 ? 7 : 3);
    return right;
}

static int play(int who, int in, int out)
{
    uint8_t byte = 0;
    bool right = true;
    for (int round = 1; round <= ROUNDS; round++) {
        if (who && read(in, &byte, 1) != 1)
            return 2;
        right = turn(round, who) && right;
        if (write(out, &byte, 1) != 1 || (!who && read(in, &byte, 1) != 1))
            return 2;
    }
    return right ? 0 : 1;
}

int main(void)
{
    int a[2], b[2], status;
    shared = mmap(NULL, SHARED * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    same = mmap(NULL, SAME * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED || same == MAP_FAILED || pipe(a) || pipe(b))
        return 2;
    memset(same, 3, SAME * PAGE);
    same[0] = 0;
    pid_t child = fork();
    if (!child) {
        same[0] = 100;
        _exit(play(1, a[0], b[1]));
    }
    int own = play(0, b[0], a[1]);
    waitpid(child, &status, 0);
    printf("parent %d child %d\n", own, WEXITSTATUS(status));
    return own || status;
}
