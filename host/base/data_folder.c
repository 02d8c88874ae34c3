// SPDX-License-Identifier: Apache-2.0
// Where Shelter keeps what lasts.
#include "host/base/data_folder.h"

#include <errno.h>
#include <string.h>

#include "host/base/util.h"

#define ROOT_DATA "/var/lib"

/* A name that is relative to the current folder. */
static char *absolute_path(const char *variable, const char *path, struct sh_error *err)
{
    cleanup_free char *here = realpath(".", NULL);
    if (here)
        return sh_format("%s/%s", here, path);
    sh_fail_errno(
        err, -errno,
        "%s=%s is relative, and the current folder cannot be named; go to another folder or "
        "give an absolute path",
        variable, path);
    return NULL;
}

static char *root_folder(const char *variable, const char *name, const char *data_home)
{
    if (data_home && *data_home == '/' && strcmp(data_home, ROOT_DATA))
        fprintf(stderr,
                "shelter: note: root's folder is " ROOT_DATA
                "/%s, XDG_DATA_HOME does not move it; %s "
                "does\n",
                name, variable);
    return sh_format(ROOT_DATA "/%s", name);
}

char *sh_data_folder(const char *variable, const char *name, struct sh_error *err)
{
    const char *given = getenv(variable), *data_home = getenv("XDG_DATA_HOME"),
               *home = getenv("HOME");
    if (given && *given)
        return *given == '/' ? sh_strdup(given) : absolute_path(variable, given, err);
    if (geteuid() == 0 && !access(ROOT_DATA, W_OK)) /* not root of an ordinary user's namespace */
        return root_folder(variable, name, data_home);
    if (data_home && *data_home == '/')
        return sh_format("%s/%s", data_home, name);
    if (home && *home == '/')
        return sh_format("%s/.local/share/%s", home, name);
    sh_fail(err, -ENOENT, "no place for %s: set HOME or %s", name, variable);
    return NULL;
}
