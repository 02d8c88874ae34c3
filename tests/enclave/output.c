// SPDX-License-Identifier: Apache-2.0
// Writes to its standard output: "lines COUNT", one write each; "bytes MIB"; "late SECONDS": a
// line, then only work.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int put(const char *text, size_t size)
{
    for (size_t at = 0; at < size;) {
        ssize_t n = write(1, text + at, size - at);
        if (n <= 0)
            return 1;
        at += (size_t)n;
    }
    return 0;
}

int main(int argc, char **argv)
{
    static char block[1 << 20], line[32];
    int count = atoi(argv[2]), bad = 0;
    for (int i = 0; argv[1][0] == 'l' && argv[1][1] == 'i' && i < count; i++)
        bad |= put(line, (size_t)sprintf(line, "line %d\n", i));
    memset(block, 'x', sizeof(block));
    for (int i = 0; argv[1][0] == 'b' && i < count; i++)
        bad |= put(block, sizeof(block));
    if (!strcmp(argv[1], "late")) {
        bad |= put("one\n", 4) || put("two\n", 4) || put("three\n", 6);
        for (time_t end = time(NULL) + count; time(NULL) < end;)
            ;
    }
    return bad;
}
