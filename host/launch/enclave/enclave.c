// SPDX-License-Identifier: Apache-2.0
// sgx-sim: no machine but a loader process, which plays the guest's side of the channel.
#include <errno.h>
#include <string.h>
#include <fcntl.h>

#include <cjson/cJSON.h>

#include "host/attest/sim_tee.h"
#include "host/image/write/signature.h"
#include "host/sgx/driver.h"
#include "host/sgx/image.h"
#include "host/launch/qemu/parts.h"
#include "lib/hex.h"
#include "verifier/measure/sgx.h"

/* Beside the executable as it is built, or as it is installed. Owned by the caller. */
static char *find_loader(struct sh_error *err)
{
    char exe[4096];
    const char *given = getenv("SHELTER_SGX_LOADER");
    if (given && *given) {
        if (!access(given, X_OK))
            return sh_strdup(given);
        sh_fail_errno(err, -errno, "cannot run the enclave loader %s of SHELTER_SGX_LOADER", given);
        return NULL;
    }
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    if (n > 0) {
        exe[n] = 0;
        *strrchr(exe, '/') = 0;
        char *path = sh_format("%s/build/sgx-loader", exe);
        if (!access(path, X_OK))
            return path;
        free(path);
        path = sh_format("%s/../lib/shelter/sgx-loader", exe);
        if (!access(path, X_OK))
            return path;
        free(path);
    }
    sh_fail(err, -ENOENT, "the enclave loader is not built; run 'make' in Shelter's folder");
    return NULL;
}

int sh_enclave_command(const struct sh_qemu_config *c, struct sh_strings *argv, struct sh_error *err)
{
    cleanup_free char *loader = find_loader(err);
    if (!loader)
        return -ENOENT;
    sh_strings_add(argv, loader);
    const char *const pairs[][2] = {{"--tee", c->tee->name},
                                    {"--signature", c->signature},
                                    {"--fuse-key", c->fuse_key},
                                    {"--sim-tee", c->sim_tee},
                                    {"--launch", c->launch}};
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        if (!pairs[i][1])
            continue;
        sh_strings_add(argv, pairs[i][0]);
        sh_strings_add(argv, pairs[i][1]);
    }
    sh_strings_addf(argv, "--memory=%llu", (unsigned long long)c->memory);
    sh_strings_addf(argv, "--channel=%d", c->channel_fd);
    sh_strings_add(argv, c->network ? "--network=user" : "--network=none");
    for (size_t i = 0; i < c->port_count; i++) {
        const struct sh_port *p = &c->ports[i];
        sh_strings_addf(argv, "--publish=%s:%u:%s:%u", p->udp ? "udp" : "tcp", p->guest_port,
                        p->host_address[0] ? p->host_address : "0.0.0.0", p->host_port);
    }
    if (c->sites)
        sh_strings_addf(argv, "--sites=%s", c->sites);
    if (c->debug)
        sh_strings_add(argv, "--debug");
    if (c->tty)
        sh_strings_addf(argv, "--tty=%ux%u", c->rows, c->columns);
    if (c->stats_file)
        sh_strings_addf(argv, "--stats=%s", c->stats_file);
    if (c->trace_file)
        sh_strings_addf(argv, *c->trace_file ? "--trace=%s" : "--trace", c->trace_file);
    sh_strings_add(argv, c->enclave);
    sh_strings_add(argv, c->root_image);
    sh_strings_add(argv, c->manifest);
    return 0;
}

static int probe_driver(const struct sgx_driver *driver, struct sh_error *err)
{
    struct sgx_driver_options options = {0};
    void *dev;
    cleanup_free char *loader = find_loader(err);
    if (!loader)
        return -ENOENT;
    int r = driver->open(&options, &dev, err);
    if (!r)
        driver->close(dev);
    return r;
}

static int probe(struct sh_error *err)
{
    return probe_driver(&sgx_driver_sim, err);
}

static int probe_hw(struct sh_error *err)
{
    return probe_driver(&sgx_driver_hw, err);
}

static int prepare(struct sh_qemu_config *c, struct sh_error *err)
{
    struct sh_error why = {0};
    int r = c->tee->simulated ? 0 : probe_hw(&why);
    if (r)
        return sh_fail(err, r, "--tee sgx: %s; 'shelter doctor' shows all that SGX needs", why.text);
    if (c->enclave && access(c->enclave, R_OK))
        return sh_fail(
            err, -ENOENT,
            "the image was built without an enclave; build it again, or use --tee tdx-sim");
    if (c->share_count)
        return sh_fail(err, -ENOTSUP,
                       "an enclave has no folders of the host (-v) yet; use --tee tdx-sim, or put the "
                       "files into the image");
    if (c->signature && access(c->signature, R_OK))
        return sh_fail(err, -ENOENT, "the image's enclave is not signed; build it again");
    /* Now if need be: the loader only reads it. */
    if (c->tee->simulated && c->sim_tee && sh_sim_tee_make(c->sim_tee, err))
        return -EIO;
    cleanup_free char *loader = find_loader(err);
    return loader ? 0 : -ENOENT;
}

static int firmware(struct sh_qemu_config *c, struct sh_error *err)
{
    return 0;
}

static cJSON *as_json(const struct sgx_sigstruct *css, const uint8_t mrenclave[32])
{
    uint8_t mrsigner[32];
    char text[65];
    cJSON *m = cJSON_CreateObject();
    sh_hex(text, mrenclave, 32);
    cJSON_AddStringToObject(m, "mrenclave", text);
    sgx_mrsigner(css, mrsigner);
    sh_hex(text, mrsigner, 32);
    cJSON_AddStringToObject(m, "mrsigner", text);
    cJSON_AddNumberToObject(m, "isv_prod_id", css->isv_prod_id);
    cJSON_AddNumberToObject(m, "isv_svn", css->isv_svn);
    return m;
}

int sh_enclave_signed(const char *signature, cJSON **result, struct sh_error *err)
{
    struct sgx_sigstruct css;
    int r = sh_signature_read(AT_FDCWD, signature, &css, err);
    if (!r)
        *result = as_json(&css, css.enclave_hash);
    return r;
}

int sh_enclave_measurement(const char *path, const uint8_t identity[48], const char *signature,
                           cJSON **result, struct sh_error *err)
{
    uint8_t mrenclave[32];
    cleanup_free uint8_t *data = NULL;
    struct sgx_sigstruct css;
    struct sgx_image image;
    size_t size;
    int r = sh_read_file(AT_FDCWD, path, SGX_IMAGE_SIZE_MAX, &data, &size, err);
    if (!r)
        r = sgx_image_open(&image, data, size, err);
    if (!r)
        r = sgx_image_measure(&image, identity, mrenclave, err);
    if (!r)
        r = sh_signature_read(AT_FDCWD, signature, &css, err);
    if (!r)
        *result = as_json(&css, mrenclave);
    return r;
}

const struct sh_backend sh_tee_sgx = {
    .name = "sgx",
    .enclave = true,
    .firmware = firmware,
    .prepare = prepare,
    .probe = probe_hw,
};

const struct sh_backend sh_tee_sgx_sim = {
    .name = "sgx-sim",
    .simulated = true,
    .enclave = true,
    .firmware = firmware,
    .prepare = prepare,
    .probe = probe,
};
