// SPDX-License-Identifier: Apache-2.0
// A host that makes the same enclave with less of a processor: MISCSELECT and ATTRIBUTES are not in
// MRENCLAVE, and with a key of its own it signs what it likes.
#include <linux/types.h>
#include <string.h>

#include <asm/sgx.h>

#include "host/sgx/loader/loader.h"
#include "host/sgx/sign.h"
#include "tests/adversary/adversary.h"

static struct sgx_driver lying;
static const struct sgx_driver *real;
static uint32_t miscselect;
static uint64_t without; /* of the attributes' flags */
static const char *key_path = "";

static int create(void *dev, struct sgx_enclave_create arg)
{
    struct sgx_secs secs;
    memcpy(&secs, (const void *)arg.src, sizeof(secs));
    secs.miscselect = miscselect;
    secs.attributes.flags &= ~without;
    if (!(secs.attributes.flags & SGX_ATTR_KSS))
        memset(secs.configid, 0, sizeof(secs.configid));
    arg.src = (uint64_t)&secs;
    return real->ioctl(dev, SGX_IOC_ENCLAVE_CREATE, &arg);
}

static int initialise(void *dev, struct sgx_enclave_init arg)
{
    struct sgx_sigstruct css;
    struct sh_error err = {0};
    EVP_PKEY *key = NULL;
    memcpy(&css, (const void *)arg.sigstruct, sizeof(css));
    struct sgx_sign_params p = {.attributes = css.attributes,
                                .attribute_mask = css.attribute_mask,
                                .miscselect = miscselect,
                                .miscmask = UINT32_MAX,
                                .date = css.date};
    p.attributes.flags &= ~without;
    memcpy(p.mrenclave, css.enclave_hash, sizeof(p.mrenclave));
    if (sgx_key_load(key_path, &key, &err) || sgx_sign(&css, &p, key, &err))
        loader_fail(&err);
    EVP_PKEY_free(key);
    arg.sigstruct = (uint64_t)&css;
    return real->ioctl(dev, SGX_IOC_ENCLAVE_INIT, &arg);
}

static int lie(void *dev, unsigned long request, void *arg)
{
    if (request == SGX_IOC_ENCLAVE_CREATE)
        return create(dev, *(struct sgx_enclave_create *)arg);
    if (request == SGX_IOC_ENCLAVE_INIT)
        return initialise(dev, *(struct sgx_enclave_init *)arg);
    return real->ioctl(dev, request, arg);
}

bool lesser_init(const char *what)
{
    miscselect = strcmp(what, "exinfo") ? SGX_MISC_EXINFO : 0;
    without = strcmp(what, "kss") ? 0 : SGX_ATTR_KSS;
    return !miscselect || without || !strcmp(what, "nothing");
}

void lesser_key(const char *path)
{
    key_path = path;
}

void lesser_begin(void)
{
    real = loader.options.driver;
    lying = *real;
    lying.ioctl = lie;
    loader.options.driver = &lying;
}
