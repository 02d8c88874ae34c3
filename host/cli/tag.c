// SPDX-License-Identifier: Apache-2.0
// shelter tag
#include <string.h>

#include "host/cli/cli.h"
#include "host/store/store.h"

int cmd_tag(int argc, char **argv)
{
    struct sh_cli c = sh_cli_plain(SH_VERB_tag, argc, argv);
    if (c.status >= 0)
        return c.status;
    struct sh_store store;
    struct sh_image image;
    struct sh_error err = {0};
    cleanup_free char *tag = sh_tag_full(c.args[1], &err);
    if (!tag || sh_store_open(&store, &err))
        return sh_error_report(&err);
    int r = sh_image_open(&store, c.args[0], &image, &err);
    if (!r) {
        r = sh_store_tag(&store, tag, image.id, &err);
        sh_image_close(&image);
    }
    sh_store_close(&store);
    return r ? sh_error_report(&err) : 0;
}
