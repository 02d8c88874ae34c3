// SPDX-License-Identifier: Apache-2.0
// Programs of ours that are no command for people.
#include "host/base/beside.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/util.h"

/* Nobody can have put it there who could not change this program itself: it and its folder belong
 * to root, to us, or to whoever owns the program, and nobody else may write (our group may, where
 * it is ours). */
static bool is_trusted(const char *path, uid_t owner)
{
    struct stat st;
    if (lstat(path, &st) || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
        return false;
    bool ours = st.st_uid == geteuid();
    return !(st.st_mode & (ours ? S_IWOTH : S_IWOTH | S_IWGRP)) &&
           (ours || !st.st_uid || st.st_uid == owner);
}

/* An installed program (in bin/) has its helpers in lib/, and looks nowhere else; one in a tree in
 * build/. Owned by the caller. */
static char *find_beside(char *exe, const char *name, const char *variable, struct sh_error *err)
{
    struct stat program;
    char *slash = strrchr(exe, '/');
    if (stat(exe, &program) || !slash)
        return NULL;
    *slash = 0;
    char *folder = strrchr(exe, '/');
    bool installed = folder && !strcmp(folder, "/bin");
    cleanup_free char *dir = sh_format("%s/%s", exe, installed ? "../lib/shelter" : "build");
    cleanup_free char *path = sh_format("%s/%s", dir, name);
    if (access(path, X_OK))
        return NULL;
    if (is_trusted(dir, program.st_uid) && is_trusted(path, program.st_uid))
        return sh_take_ptr(path);
    sh_fail(
        err, -EPERM,
        "%s will not be run: somebody else owns it or its folder, or may write there; name it in "
        "%s if that is meant",
        path, variable);
    return NULL;
}

char *sh_find_beside(const char *name, const char *variable, const char *what, struct sh_error *err)
{
    char exe[4096];
    const char *given = getenv(variable);
    if (given && *given) {
        /* Absolute: the supervisor goes to another folder. */
        char *path = realpath(given, NULL);
        if (path && !access(path, X_OK))
            return path;
        free(path);
        sh_fail_errno(err, -errno, "cannot run %s %s of %s", what, given, variable);
        return NULL;
    }
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = 0;
    char *path = find_beside(exe, name, variable, err);
    if (!path && !err->text[0])
        sh_fail(err, -ENOENT, "%s has not been built; run 'make' in Shelter's folder", what);
    return path;
}
