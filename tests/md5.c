// SPDX-License-Identifier: Apache-2.0
// md5: the digest of each FILE, or of stdin, as md5sum prints it. A workload for the tests and the
// demo.
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* RFC 1321 */
struct md5 {
    uint32_t state[4];
    uint64_t size;
    uint8_t block[64];
};

static uint32_t sines[64];

/* floor(2^32 * |sin(i + 1)|), by the angle addition formula in long double: needs no libm. */
static void fill_sines(void)
{
    const long double s1 = 0.841470984807896506652502321630298999L;
    const long double c1 = 0.540302305868139717400936607442976603L;
    long double s = s1, c = c1;
    for (int i = 0; i < 64; i++) {
        sines[i] = (uint32_t)(4294967296.0L * (s < 0 ? -s : s));
        long double next = s * c1 + c * s1;
        c = c * c1 - s * s1;
        s = next;
    }
}

static void md5_block(struct md5 *m, const uint8_t *p)
{
    static const uint8_t turns[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t w[16], a = m->state[0], b = m->state[1], c = m->state[2], d = m->state[3];
    memcpy(w, p, sizeof(w));
    for (int i = 0; i < 64; i++) {
        uint32_t f;
        int g;
        if (i < 16) {
            f = (b & c) | (~b & d);
            g = i;
        } else if (i < 32) {
            f = (d & b) | (~d & c);
            g = (5 * i + 1) & 15;
        } else if (i < 48) {
            f = b ^ c ^ d;
            g = (3 * i + 5) & 15;
        } else {
            f = c ^ (b | ~d);
            g = (7 * i) & 15;
        }
        uint32_t x = a + f + sines[i] + w[g];
        int turn = turns[i / 16][i & 3];
        a = d;
        d = c;
        c = b;
        b += x << turn | x >> (32 - turn);
    }
    m->state[0] += a;
    m->state[1] += b;
    m->state[2] += c;
    m->state[3] += d;
}

static int md5_file(FILE *file, const char *name)
{
    struct md5 m = {.state = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}};
    static uint8_t data[65536];
    size_t n, at = 0;
    while ((n = fread(data + at, 1, sizeof(data) - at, file)) > 0) {
        m.size += n;
        n += at;
        for (at = 0; n - at >= 64; at += 64)
            md5_block(&m, data + at);
        memmove(data, data + at, n - at);
        at = n - at;
    }
    if (ferror(file)) {
        fprintf(stderr, "md5: %s: %s\n", name, strerror(errno));
        return 1;
    }
    data[at] = 0x80;
    memset(data + at + 1, 0, 127 - at);
    uint8_t *end = data + (at < 56 ? 56 : 120);
    uint64_t bits = m.size * 8;
    memcpy(end, &bits, 8);
    for (uint8_t *p = data; p < end; p += 64)
        md5_block(&m, p);
    for (int i = 0; i < 16; i++)
        printf("%02x", ((uint8_t *)m.state)[i]);
    printf("  %s\n", name);
    return 0;
}

int main(int argc, char **argv)
{
    int status = 0;
    fill_sines();
    if (argc < 2)
        status = md5_file(stdin, "-");
    for (int i = 1; i < argc; i++) {
        FILE *file = fopen(argv[i], "rb");
        if (!file) {
            fprintf(stderr, "md5: %s: %s\n", argv[i], strerror(errno));
            status = 1;
            continue;
        }
        status |= md5_file(file, argv[i]);
        fclose(file);
    }
    return fflush(stdout) ? 1 : status;
}
