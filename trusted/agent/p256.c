// SPDX-License-Identifier: Apache-2.0
// NIST's curve P-256, a tenth of mbedTLS's work, and the same steps whatever the number is.
//
// Points are projective, (X:Y:Z) for (X/Z, Y/Z), and their coordinates numbers modulo p as four
// words, the lowest first, times 2^256 (Montgomery's form). One formula adds all points, also equal
// ones and the neutral (0:1:0): Renes, Costello, Batina, "Complete addition formulas for prime
// order elliptic curves" (2015), algorithm 4. So there is neither a case nor a table's place that
// depends on a secret.
#define MBEDTLS_ALLOW_PRIVATE_ACCESS
#include "trusted/agent/p256.h"

#include <string.h>

#include "lib/bytes.h"

typedef uint64_t number[4];
typedef unsigned __int128 wide;

struct point {
    number x, y, z;
};

static const number p = {~0ull, 0xffffffffull, 0, 0xffffffff00000001ull};
/* 2^512, and the curve's b and 1 in Montgomery's form */
static const number square = {3, 0xfffffffbffffffffull, ~1ull, 0x4fffffffdull};
static const number b = {0xd89cdf6229c4bddfull, 0xacf005cd78843090ull, 0xe5a220abf7212ed6ull,
                         0xdc30061d04874834ull};
static const number one = {1, 0xffffffff00000000ull, ~0ull, 0xfffffffeull};

#define FOUR _Pragma("GCC unroll 4")

/* *r = a - c - borrow: the next borrow. */
static inline uint64_t subtract_word(uint64_t *r, uint64_t a, uint64_t c, uint64_t borrow)
{
    uint64_t d = a - c;
    *r = d - borrow;
    return (a < c) | (d < borrow);
}

/* a - p where that is not negative: `over` is a's fifth word. */
static void reduce_number(number r, const number a, uint64_t over)
{
    number less;
    uint64_t borrow = 0;
    FOUR for (int i = 0; i < 4; i++)
    {
        borrow = subtract_word(&less[i], a[i], p[i], borrow);
    }
    uint64_t keep = 0 - (borrow & (over ^ 1));
    FOUR for (int i = 0; i < 4; i++)
    {
        r[i] = (a[i] & keep) | (less[i] & ~keep);
    }
}

static void add_numbers(number r, const number a, const number c)
{
    number sum;
    uint64_t carry = 0;
    FOUR for (int i = 0; i < 4; i++)
    {
        wide s = (wide)a[i] + c[i] + carry;
        sum[i] = (uint64_t)s;
        carry = (uint64_t)(s >> 64);
    }
    reduce_number(r, sum, carry);
}

static void subtract_numbers(number r, const number a, const number c)
{
    number minus;
    uint64_t borrow = 0;
    FOUR for (int i = 0; i < 4; i++)
    {
        borrow = subtract_word(&minus[i], p[i], c[i], borrow);
    }
    add_numbers(r, a, minus); /* c is below p, and p itself becomes 0 */
}

/* a * c / 2^256. -1/p is 1 modulo 2^64, so the lowest word says how often p is to be added. */
static void multiply_numbers(number r, const number a, const number c)
{
    uint64_t t[6] = {0};
    FOUR for (int i = 0; i < 4; i++)
    {
        wide s = 0;
        FOUR for (int j = 0; j < 4; j++)
        {
            s = (wide)a[j] * c[i] + t[j] + (uint64_t)(s >> 64);
            t[j] = (uint64_t)s;
        }
        s = (wide)t[4] + (uint64_t)(s >> 64);
        t[4] = (uint64_t)s;
        t[5] = (uint64_t)(s >> 64);
        uint64_t m = t[0]; /* m * p is m * (p[3] * 2^192 + 2^96 - 1) */
        s = (wide)t[1] + (m << 32);
        t[0] = (uint64_t)s;
        s = (wide)t[2] + (m >> 32) + (uint64_t)(s >> 64);
        t[1] = (uint64_t)s;
        s = (wide)m * p[3] + t[3] + (uint64_t)(s >> 64);
        t[2] = (uint64_t)s;
        s = (wide)t[4] + (uint64_t)(s >> 64);
        t[3] = (uint64_t)s;
        t[4] = t[5] + (uint64_t)(s >> 64);
    }
    reduce_number(r, t, t[4]);
}

/* a^(p - 2), which is 1/a; 0 of 0. The exponent is nobody's secret. */
static void invert_number(number r, const number a)
{
    number x;
    memcpy(x, one, sizeof(x));
    for (int i = 255; i >= 0; i--) {
        multiply_numbers(x, x, x);
        if (((i < 64 ? p[0] - 2 : p[i / 64]) >> i % 64) & 1)
            multiply_numbers(x, x, a);
    }
    memcpy(r, x, sizeof(x));
}

/* The numbers in brackets are the paper's steps. */
static void add_points(struct point *r, const struct point *q, const struct point *s)
{
    number t0, t1, t2, t3, t4, x, y, z;
    multiply_numbers(t0, q->x, s->x); /* 1 */
    multiply_numbers(t1, q->y, s->y);
    multiply_numbers(t2, q->z, s->z);
    add_numbers(t3, q->x, q->y);
    add_numbers(t4, s->x, s->y);
    multiply_numbers(t3, t3, t4);
    add_numbers(t4, t0, t1);
    subtract_numbers(t3, t3, t4);
    add_numbers(t4, q->y, q->z); /* 9 */
    add_numbers(x, s->y, s->z);
    multiply_numbers(t4, t4, x);
    add_numbers(x, t1, t2);
    subtract_numbers(t4, t4, x);
    add_numbers(x, q->x, q->z); /* 14 */
    add_numbers(y, s->x, s->z);
    multiply_numbers(x, x, y);
    add_numbers(y, t0, t2);
    subtract_numbers(y, x, y);
    multiply_numbers(z, b, t2); /* 19 */
    subtract_numbers(x, y, z);
    add_numbers(z, x, x);
    add_numbers(x, x, z);
    subtract_numbers(z, t1, x);
    add_numbers(x, t1, x);
    multiply_numbers(y, b, y); /* 25 */
    add_numbers(t1, t2, t2);
    add_numbers(t2, t1, t2);
    subtract_numbers(y, y, t2);
    subtract_numbers(y, y, t0);
    add_numbers(t1, y, y);
    add_numbers(y, t1, y);
    add_numbers(t1, t0, t0); /* 32 */
    add_numbers(t0, t1, t0);
    subtract_numbers(t0, t0, t2);
    multiply_numbers(t1, t4, y);
    multiply_numbers(t2, t0, y);
    multiply_numbers(y, x, z); /* 37 */
    add_numbers(r->y, y, t2);
    multiply_numbers(x, t3, x);
    subtract_numbers(r->x, x, t1);
    multiply_numbers(z, t4, z);
    multiply_numbers(t1, t3, t0);
    add_numbers(r->z, z, t1);
}

/* table[at], having read them all. */
static void choose_point(struct point *r, const struct point table[16], unsigned at)
{
    memset(r, 0, sizeof(*r));
    for (unsigned i = 0; i < 16; i++) {
        uint64_t mask = 0 - (uint64_t)(((i ^ at) - 1) >> 31);
        for (unsigned j = 0; j < 12; j++)
            ((uint64_t *)r)[j] |= mask & ((const uint64_t *)&table[i])[j];
    }
}

/* k[0] * q[0] + ... of at most two; each k has its lowest byte first. */
static void multiply_points(struct point *r, uint8_t k[2][32], const struct point q[2],
                            unsigned count)
{
    struct point table[2][16] = {{{.x = {0}}}}, at;
    memcpy(table[0][0].y, one, sizeof(one));
    table[1][0] = *r = table[0][0];
    for (unsigned n = 0; n < count; n++)
        for (unsigned i = 1; i < 16; i++)
            add_points(&table[n][i], &table[n][i - 1], &q[n]);
    for (int i = 63; i >= 0; i--) {
        for (unsigned j = 0; j < 4; j++)
            add_points(r, r, r);
        for (unsigned n = 0; n < count; n++) {
            choose_point(&at, table[n], k[n][i / 2] >> i % 2 * 4 & 15);
            add_points(r, r, &at);
        }
    }
    agent_wipe(table, sizeof(table));
    agent_wipe(&at, sizeof(at));
}

/* --- mbedTLS's numbers --- */

static int read_number(const mbedtls_mpi *n, number out)
{
    uint8_t bytes[32];
    number plain;
    uint64_t unused;
    int rc = mbedtls_mpi_write_binary_le(n, bytes, sizeof(bytes)); /* no more than 256 bits */
    uint64_t borrow = 0;
    if (rc)
        return rc;
    for (int i = 0; i < 4; i++) {
        plain[i] = sh_le64(bytes + 8 * i);
        borrow = subtract_word(&unused, plain[i], p[i], borrow);
    }
    multiply_numbers(out, plain, square);
    return n->s < 0 || !borrow ? MBEDTLS_ERR_ECP_INVALID_KEY : 0;
}

/* Of an affine point; it has to be on the curve: y^2 = x^3 - 3x + b. */
static int read_point(const mbedtls_ecp_point *q, struct point *out)
{
    number left, right, three;
    int rc = read_number(&q->X, out->x);
    if (!rc)
        rc = read_number(&q->Y, out->y);
    if (rc || mbedtls_mpi_cmp_int(&q->Z, 1))
        return MBEDTLS_ERR_ECP_INVALID_KEY;
    memcpy(out->z, one, sizeof(one));
    multiply_numbers(left, out->y, out->y);
    multiply_numbers(right, out->x, out->x);
    add_numbers(three, one, one);
    add_numbers(three, three, one);
    subtract_numbers(right, right, three);
    multiply_numbers(right, right, out->x);
    add_numbers(right, right, b);
    return memcmp(left, right, sizeof(left)) ? MBEDTLS_ERR_ECP_INVALID_KEY : 0;
}

static int write_number(mbedtls_mpi *n, const number a)
{
    static const number plain_one = {1};
    uint8_t bytes[32];
    number plain;
    multiply_numbers(plain, a, plain_one);
    for (int i = 0; i < 4; i++)
        sh_put_le64(bytes + 8 * i, plain[i]);
    int rc = mbedtls_mpi_read_binary_le(n, bytes, sizeof(bytes));
    agent_wipe(bytes, sizeof(bytes));
    agent_wipe(plain, sizeof(plain));
    return rc;
}

/* Z is 0 of the neutral, as mbedTLS has it. */
static int write_point(mbedtls_ecp_point *out, const struct point *q)
{
    number inverse, x, y;
    static const number zero;
    invert_number(inverse, q->z);
    multiply_numbers(x, q->x, inverse);
    multiply_numbers(y, q->y, inverse);
    int rc = write_number(&out->X, x);
    if (!rc)
        rc = write_number(&out->Y, y);
    if (!rc)
        rc = mbedtls_mpi_lset(&out->Z, memcmp(q->z, zero, sizeof(zero)) != 0);
    agent_wipe(x, sizeof(x));
    agent_wipe(y, sizeof(y));
    return rc;
}

static int read_product(uint8_t k[32], struct point *q, const mbedtls_mpi *n,
                        const mbedtls_ecp_point *point)
{
    if (n->s < 0)
        return MBEDTLS_ERR_ECP_INVALID_KEY;
    int rc = mbedtls_mpi_write_binary_le(n, k, 32);
    return rc ? rc : read_point(point, q);
}

int agent_p256_multiply(mbedtls_ecp_point *r, const mbedtls_mpi *k, const mbedtls_ecp_point *q)
{
    struct point points[2], result;
    uint8_t bytes[2][32];
    int rc = read_product(bytes[0], &points[0], k, q);
    if (!rc) {
        multiply_points(&result, bytes, points, 1);
        rc = write_point(r, &result);
    }
    agent_wipe(bytes, sizeof(bytes));
    agent_wipe(&result, sizeof(result));
    return rc;
}

int agent_p256_key(mbedtls_ecp_keypair *k)
{
    int rc = mbedtls_ecp_group_load(&k->grp, MBEDTLS_ECP_DP_SECP256R1);
    if (!rc)
        rc = mbedtls_ecp_gen_privkey(&k->grp, &k->d, agent_rng, NULL);
    return rc ? rc : agent_p256_multiply(&k->Q, &k->d, &k->grp.G);
}

int agent_p256_sum(mbedtls_ecp_point *r, const mbedtls_mpi *k, const mbedtls_ecp_point *q,
                   const mbedtls_mpi *l, const mbedtls_ecp_point *s)
{
    struct point points[2], result;
    uint8_t bytes[2][32];
    int rc = read_product(bytes[0], &points[0], k, q);
    if (!rc)
        rc = read_product(bytes[1], &points[1], l, s);
    if (rc)
        return rc;
    multiply_points(&result, bytes, points, 2);
    return write_point(r, &result);
}

/* --- What mbedTLS's handshake calls (linked with --wrap): ECDH, and signatures that are checked
 * --- */

int __wrap_mbedtls_ecp_mul_restartable(mbedtls_ecp_group *grp, mbedtls_ecp_point *r,
                                       const mbedtls_mpi *m, const mbedtls_ecp_point *q,
                                       int (*f_rng)(void *, unsigned char *, size_t), void *p_rng,
                                       mbedtls_ecp_restart_ctx *rs)
{
    if (grp->id != MBEDTLS_ECP_DP_SECP256R1)
        return __real_mbedtls_ecp_mul_restartable(grp, r, m, q, f_rng, p_rng, rs);
    int rc = mbedtls_ecp_check_privkey(grp, m);
    return rc ? rc : agent_p256_multiply(r, m, q);
}

int __wrap_mbedtls_ecp_muladd_restartable(mbedtls_ecp_group *grp, mbedtls_ecp_point *r,
                                          const mbedtls_mpi *m, const mbedtls_ecp_point *q,
                                          const mbedtls_mpi *n, const mbedtls_ecp_point *s,
                                          mbedtls_ecp_restart_ctx *rs)
{
    return grp->id == MBEDTLS_ECP_DP_SECP256R1
               ? agent_p256_sum(r, m, q, n, s)
               : __real_mbedtls_ecp_muladd_restartable(grp, r, m, q, n, s, rs);
}
