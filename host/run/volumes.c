// SPDX-License-Identifier: Apache-2.0
// Files of volumes (-v NAME:FILE).
#include "host/run/volumes.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "lib/manifest.h"

bool sh_is_volume(const char *text)
{
    size_t n = strcspn(text, ":/");
    return text[n] == ':' && sh_volume_name_ok(text, n);
}

int sh_volume_parse(const char *text, struct sh_strings *volumes, struct sh_error *err)
{
    size_t n = strcspn(text, ":");
    const char *file = text + n + 1;
    if (!*file)
        return sh_fail(err, -EINVAL, "-v %s: write NAME:FILE for a volume", text);
    for (size_t i = 0; i < volumes->count; i++)
        if (!strncmp(volumes->v[i], text, n) && volumes->v[i][n] == '=')
            return sh_fail(err, -EEXIST, "-v %s: that volume has a file already", text);
    cleanup_free char *here = *file == '/' ? NULL : getcwd(NULL, 0);
    sh_strings_addf(volumes, "%.*s=%s%s%s", (int)n, text, here ? here : "", here ? "/" : "", file);
    return 0;
}
