// SPDX-License-Identifier: Apache-2.0
// Launch measurement of a simulated TD: MRTD and RTMR0..3.
#include "verifier/measure/sim.h"

#include <errno.h>
#include <stdlib.h>

#include <openssl/evp.h>

#define PAGE 4096u
#define CHUNK 256u /* TDH.MR.EXTEND measures so many bytes a call */
#define RECORD 128u

static void hash_sha384(uint8_t out[48], const void *data, size_t size)
{
    /* The library's SHA-384 uses the CPU's vector units; kernels are tens of megabytes. */
    if (!EVP_Digest(data, size, out, NULL, EVP_sha384(), NULL))
        abort();
}

/* "MEM.PAGE.ADD" or "MR.EXTEND" at 0, the address at 16, zeros elsewhere. */
static void put_record(uint8_t out[RECORD], const char *what, uint64_t gpa)
{
    memset(out, 0, RECORD);
    memcpy(out, what, strlen(what));
    sh_put_le64(out + 16, gpa);
}

int sh_sim_mrtd(uint8_t mrtd[48], const void *data, size_t size, uint64_t gpa)
{
    const uint8_t *p = data;
    uint8_t r[RECORD];
    if (!size || size % PAGE || gpa % PAGE || gpa + size < gpa)
        return -EBADMSG;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx || !EVP_DigestInit_ex(ctx, EVP_sha384(), NULL))
        abort();
    for (size_t at = 0; at < size; at += CHUNK) {
        if (at % PAGE == 0) {
            put_record(r, "MEM.PAGE.ADD", gpa + at);
            EVP_DigestUpdate(ctx, r, sizeof(r));
        }
        put_record(r, "MR.EXTEND", gpa + at);
        EVP_DigestUpdate(ctx, r, sizeof(r));
        EVP_DigestUpdate(ctx, p + at, CHUNK);
    }
    if (!EVP_DigestFinal_ex(ctx, mrtd, NULL))
        abort();
    EVP_MD_CTX_free(ctx);
    return 0;
}

void sh_sim_extend(uint8_t rtmr[48], const uint8_t digest[48])
{
    uint8_t both[96];
    memcpy(both, rtmr, 48);
    memcpy(both + 48, digest, 48);
    hash_sha384(rtmr, both, sizeof(both));
}

static void extend_digest(const struct sh_sim_input *in, uint8_t rtmr[48], const char *field,
                          const char *what, const uint8_t digest[48])
{
    sh_sim_extend(rtmr, digest);
    sv_step_add(in->steps, field, what, digest, 48);
}

static void extend_bytes(const struct sh_sim_input *in, uint8_t rtmr[48], const char *field,
                         const char *what, const void *data, size_t size)
{
    uint8_t digest[48];
    hash_sha384(digest, data, size);
    extend_digest(in, rtmr, field, what, digest);
}

static int measure_bzimage(const struct sh_sim_input *in, uint8_t rtmr[48])
{
    static const char *const events[][2] = {
        {"boot: calling application", "Calling EFI Application from Boot Option"},
        {"boot: separator", NULL},
        {"boot: exit", "Exit Boot Services Invocation"},
        {"boot: exited", "Exit Boot Services Returned with Success"}};
    uint8_t digest[48];
    uint8_t *copy = malloc(in->kernel.size + 1);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, in->kernel.data, in->kernel.size);
    int r = sh_sim_patch_bzimage(copy, in->kernel.size, in->memory, in->initramfs.size);
    if (!r)
        r = sh_sim_authenticode(digest, copy, in->kernel.size);
    free(copy);
    if (r)
        return r;
    extend_digest(in, rtmr, "rtmr1", "kernel", digest);
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        const char *text = events[i][1];
        extend_bytes(in, rtmr, "rtmr1", events[i][0], text ? text : "\0\0\0", /* EV_SEPARATOR */
                     text ? strlen(text) : 4);
    }
    return 0;
}

static int measure_command_line(const struct sh_sim_input *in, uint8_t rtmr[48])
{
    const char *tail = in->bzimage ? " initrd=initrd" : "";
    size_t n = strlen(in->command_line), t = strlen(tail);
    uint8_t *wide = calloc(n + t + 1, 2);
    if (!wide)
        return -ENOMEM;
    for (size_t i = 0; i < n + t; i++)
        wide[2 * i] = (uint8_t)(i < n ? in->command_line[i] : tail[i - n]);
    extend_bytes(in, rtmr, "rtmr2", "command line", wide, 2 * (n + t + 1));
    free(wide);
    return 0;
}

int sh_sim_measure(const struct sh_sim_input *in, struct sh_td_measurement *m)
{
    memset(m, 0, sizeof(*m));
    if (in->firmware.size > 1ull << 31)
        return -EBADMSG;
    int r = sh_sim_mrtd(m->mrtd, in->firmware.data, in->firmware.size,
                        (1ull << 32) - in->firmware.size);
    if (r)
        return r;

    for (size_t at = 0; in->steps && at < in->firmware.size; at += PAGE)
        sv_step_page(in->steps, "mrtd", "firmware", (1ull << 32) - in->firmware.size + at, 0,
                     in->firmware.data + at);

    uint8_t config[sizeof(struct sh_sim_config)];
    memcpy(config, SH_SIM_CONFIG_MAGIC, 8);
    sh_put_le32(config + 8, in->bzimage);
    sh_put_le32(config + 12, in->cpus);
    sh_put_le64(config + 16, in->memory);
    extend_bytes(in, m->rtmr[0], "rtmr0", "boot, memory and CPUs", config, sizeof(config));

    if (!in->bzimage)
        extend_bytes(in, m->rtmr[1], "rtmr1", "kernel", in->kernel.data, in->kernel.size);
    else if ((r = measure_bzimage(in, m->rtmr[1])))
        return r;

    r = measure_command_line(in, m->rtmr[2]);
    if (r)
        return r;
    extend_bytes(in, m->rtmr[2], "rtmr2", "initramfs", in->initramfs.data, in->initramfs.size);
    return 0;
}
