// SPDX-License-Identifier: Apache-2.0
// shelter measure: the prediction for an image of the store.
#include "host/cli/measure.h"
#include "host/image/settings.h"

/* What no option says is as the image asks. */
static int predict(const struct sh_image *image, struct sh_predict what, cJSON **result,
                   struct sh_error *err)
{
    struct sh_settings built;
    cleanup_free void *arena = NULL;
    int r = sh_settings_read(&image->manifest, NULL, 0, &built, &arena, err);
    if (r)
        return r;
    what.memory = what.memory ? what.memory : built.memory;
    what.cpus = what.cpus ? what.cpus : built.cpus;
    return sh_predict_image(image, &what, result, err);
}

int sh_measure_image(const char *reference, const struct sh_predict *what, cJSON **result,
                     struct sh_error *err)
{
    struct sh_store store;
    struct sh_image image;
    int r = sh_store_open(&store, err);
    if (r)
        return r;
    r = sh_image_open(&store, reference, &image, err);
    if (!r) {
        r = predict(&image, *what, result, err);
        sh_image_close(&image);
    }
    sh_store_close(&store);
    return r;
}
