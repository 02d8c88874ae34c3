// SPDX-License-Identifier: Apache-2.0
// Remembers which pages of the image's files are used, for the next run: a file of words, of which
// the first is how many follow (struct sh_uses). Nobody relies on it.
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "host/sgx/loader/loader.h"

#define FORGET 16u /* of so many runs one begins anew: what is not used any more goes */

static int file = -1;
static struct sh_uses *uses;
static uint64_t stored[SH_USES_MAX + 1]; /* as in the file */

uint64_t loader_uses_open(void)
{
    const char *path = loader.options.uses;
    if (!path || (file = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600)) < 0)
        return 0;
    void *p = mmap(NULL, sizeof(*uses), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return 0;
    uses = p;
    return (uint64_t)uses;
}

uint64_t loader_uses_show(void)
{
    ssize_t n = uses ? read(file, stored, sizeof(stored)) : 0;
    uint64_t most = n > 0 ? (uint64_t)n / sizeof(*stored) - 1 : 0;
    if (n < (ssize_t)sizeof(*stored) || stored[0] > most)
        stored[0] = 0;
    uint64_t known = loader.options.outside.number % FORGET ? stored[0] : 0;
    if (known)
        memcpy(uses->known, stored + 1, known * sizeof(*stored));
    return known;
}

static int compare_words(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static bool is_of(const uint64_t *words, uint64_t count, uint64_t word)
{
    uint64_t low = 0, high = count, inode = word >> SH_USES_SHIFT;
    while (low < high) {
        uint64_t mid = (low + high) / 2;
        if (words[mid] >> SH_USES_SHIFT < inode)
            low = mid + 1;
        else
            high = mid;
    }
    return low < count && words[low] >> SH_USES_SHIFT == inode;
}

/* What was used now, and what is known of other files. */
void loader_uses_save(void)
{
    static uint64_t now[2 * SH_USES_MAX + 1];
    uint64_t used = 0, count = 0;
    while (uses && used < SH_USES_MAX && uses->used[used])
        used++;
    if (!used || (used == stored[0] && loader.options.outside.number % FORGET))
        return; /* most likely the same as ever */
    memcpy(now + 1, uses->used, used * sizeof(*now));
    qsort(now + 1, used, sizeof(*now), compare_words);
    for (uint64_t i = 0; i < used; i++) {
        if (!i || now[1 + i] != now[count])
            now[1 + count++] = now[1 + i];
    }
    used = count;
    for (uint64_t i = 1; i <= stored[0] && count < SH_USES_MAX; i++) {
        if (!is_of(now + 1, used, stored[i]))
            now[1 + count++] = stored[i];
    }
    qsort(now + 1, count, sizeof(*now), compare_words);
    now[0] = count;
    if (lseek(file, 0, SEEK_SET) == 0)
        (void)!sh_write_all(file, now, (count + 1) * sizeof(*now));
}
