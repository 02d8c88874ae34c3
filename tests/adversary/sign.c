// SPDX-License-Identifier: Apache-2.0
// sgx-sign KEY ENCLAVE MANIFEST SIGNATURE [notify]: the SIGSTRUCT that anybody with a key of his
// own can make for an enclave of ours with any manifest, or for its kin with AEX-Notify (a debug
// one). The key is made if there is none.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/base/util.h"
#include "host/sgx/image.h"
#include "host/sgx/sign.h"
#include "lib/sha2.h"
#include <shelter/manifest.h>

int main(int argc, char **argv)
{
    struct sh_error err = {0};
    struct sgx_image image;
    struct sgx_sigstruct css;
    uint8_t *enclave = NULL, *manifest = NULL, identity[SGX_IDENTITY_SIZE], mrenclave[32];
    size_t enclave_size, manifest_size;
    bool notify = argc == 6 && !strcmp(argv[5], "notify");
    if (argc != 5 && !notify) {
        fprintf(stderr, "usage: sgx-sign KEY ENCLAVE MANIFEST SIGNATURE [notify]\n");
        return 2;
    }
    int r = sh_read_file(AT_FDCWD, argv[2], SGX_IMAGE_SIZE_MAX, &enclave, &enclave_size, &err);
    if (!r)
        r = sh_read_file(AT_FDCWD, argv[3], SH_MANIFEST_SIZE_MAX, &manifest, &manifest_size, &err);
    if (!r)
        r = sgx_image_open(&image, enclave, enclave_size, &err);
    if (!r) {
        sh_sha384(identity, manifest, manifest_size);
        image.notify = notify;
        r = sgx_image_measure(&image, identity, mrenclave, &err);
    }
    if (!r)
        r = sgx_image_sign(&css, mrenclave, notify ? SGX_ATTR_DEBUG | SGX_ATTR_AEXNOTIFY : 0,
                           argv[1], &err);
    FILE *f = r ? NULL : fopen(argv[4], "we");
    if (!r && (!f || fwrite(&css, sizeof(css), 1, f) != 1 || fclose(f)))
        r = sh_fail_errno(&err, -errno, "cannot write %s", argv[4]);
    if (r)
        sh_error_report(&err);
    free(enclave);
    free(manifest);
    return r ? 1 : 0;
}
