// SPDX-License-Identifier: Apache-2.0
// What an enclave's evidence must say: MRENCLAVE measured from the file, the rest from its
// signature.
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "host/store/signature.h"
#include "host/launch/enclave/enclave.h"
#include "host/sgx/image.h"
#include "lib/hex.h"
#include "verifier/measure/sgx.h"
#include "verifier/measure/steps.h"

/* {"mrenclave", "mrsigner", "isv_prod_id", "isv_svn"} */
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

/* As the signature alone says: true of an enclave that runs, since EINIT compares. */
int sh_enclave_measure(struct sh_launch_spec *spec, cJSON **result, struct sh_error *err)
{
    struct sgx_sigstruct css;
    int r = sh_signature_read(spec->image->dir_fd, spec->debug ? SH_SIGNATURE_DEBUG : SH_SIGNATURE,
                              &css, err);
    *result = r ? NULL : as_json(&css, css.enclave_hash);
    return r;
}

struct walk {
    const uint8_t *identity;
    cJSON *steps;
};

static int add_page(void *arg, uint64_t offset, const uint8_t *page, uint64_t flags, bool measured,
                    struct sh_error *err)
{
    struct walk *w = arg;
    (void)err; /* of a page that is not measured its address and flags are what counts */
    sv_step_page(w->steps, "mrenclave",
                 memcmp(page, w->identity, SGX_IDENTITY_SIZE) ? "enclave" : "identity", offset,
                 flags, measured ? page : NULL);
    return 0;
}

static int measure_file(const struct sh_image *stored, const uint8_t identity[48], cJSON *steps,
                        cJSON **result, struct sh_error *err)
{
    uint8_t mrenclave[32];
    cleanup_free uint8_t *data = NULL;
    struct sgx_sigstruct css;
    struct sgx_image image;
    size_t size;
    int r = sh_read_file(stored->dir_fd, "base/enclave", SGX_IMAGE_SIZE_MAX, &data, &size, err);
    if (!r)
        r = sgx_image_open(&image, data, size, err);
    if (!r)
        r = sgx_image_measure(&image, identity, mrenclave, err);
    struct walk walk = {identity, steps};
    if (!r && steps)
        r = sgx_image_walk(&image, identity, add_page, &walk, err);
    if (!r)
        r = sh_signature_read(stored->dir_fd, SH_SIGNATURE, &css, err);
    if (!r)
        *result = as_json(&css, mrenclave);
    return r;
}

/* Nothing but the image decides MRENCLAVE: no memory, no processors, no firmware. */
int sh_enclave_predict(const struct sh_backend *backend, const struct sh_image *image,
                       const struct sh_predict *what, cJSON **result, struct sh_error *err)
{
    uint8_t identity[48];
    cJSON *m = NULL;
    if (sh_unhex(identity, 48, image->id))
        return sh_fail(err, -EINVAL, "internal error: '%s' is not an image id", image->id);
    int r = measure_file(image, identity, what->steps, &m, err);
    if (r)
        return r;
    cJSON *o = cJSON_CreateObject();
    cJSON_AddStringToObject(o, "tee", backend->name);
    cJSON_AddBoolToObject(o, "simulated", backend->simulated);
    cJSON_AddStringToObject(o, "image", image->id);
    cJSON_AddItemToObject(o, "measurement", m);
    *result = o;
    return 0;
}
