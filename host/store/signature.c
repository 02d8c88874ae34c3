// SPDX-License-Identifier: Apache-2.0
// Signs an image's enclave when it is built; reads the signatures when it runs.
#include "host/store/signature.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "host/base/temp.h"
#include "host/store/base_files.h"
#include "host/sgx/image.h"
#include "host/sgx/sign.h"
#include "lib/hex.h"
#include "verifier/measure/sgx.h"

static int sign_one(int dir_fd, const char *name, const uint8_t mrenclave[32], bool debug,
                    const char *key_path, struct sh_error *err)
{
    struct sgx_sigstruct css;
    int r = sgx_image_sign(&css, mrenclave, debug ? SGX_ATTR_DEBUG : 0, key_path, err);
    return r ? r : sh_write_file(dir_fd, name, &css, sizeof(css), 0644, err);
}

int sh_signature_make(const struct sh_store *store, int dir_fd, const char *key_path,
                      const char id[SH_ID_TEXT_SIZE], struct sh_error *err)
{
    uint8_t identity[SGX_IDENTITY_SIZE], mrenclave[32];
    cleanup_free char *own = sh_format("%s/" SH_STORE_SIGN_KEY, store->path);
    cleanup_free uint8_t *data = NULL;
    struct sgx_image image;
    size_t size;
    if (!sh_base_has(dir_fd, SH_BASE_ENCLAVE))
        return key_path
                   ? sh_fail(err, -ENOENT,
                             "--enclave-key: the base files have no enclave to sign; run 'make' "
                             "in Shelter's folder")
                   : 0;
    if (key_path && access(key_path, R_OK))
        return sh_fail_errno(err, -errno, "cannot read the enclave key %s", key_path);
    if (sh_unhex(identity, sizeof(identity), id))
        return sh_fail(err, -EINVAL, "internal error: '%s' is not an image id", id);
    int r = sh_read_file(dir_fd, "base/enclave", SGX_IMAGE_SIZE_MAX, &data, &size, err);
    if (!r)
        r = sgx_image_open(&image, data, size, err);
    if (r == -EINVAL && !key_path)
        return 0; /* not an enclave of this version: it has no reference either */
    if (!r)
        r = sgx_image_measure(&image, identity, mrenclave, err);
    if (!r)
        r = sign_one(dir_fd, SH_SIGNATURE, mrenclave, false, key_path ? key_path : own, err);
    if (!r)
        r = sign_one(dir_fd, SH_SIGNATURE_DEBUG, mrenclave, true, key_path ? key_path : own, err);
    return r;
}

int sh_signature_read(int dir_fd, const char *path, struct sgx_sigstruct *css, struct sh_error *err)
{
    cleanup_free uint8_t *data = NULL;
    struct sh_error why = {0};
    size_t size;
    int r = sh_read_file(dir_fd, path, sizeof(*css), &data, &size, &why);
    if (r == -ENOENT)
        return sh_fail(err, r, "the image's enclave is not signed; build it again");
    if (r && r != -EFBIG)
        return sh_fail_errno(err, r, "cannot read the enclave's signature");
    if (r || size != sizeof(*css))
        return sh_fail(err, -EBADMSG, "the enclave's signature is damaged; build the image again");
    memcpy(css, data, sizeof(*css));
    return 0;
}
