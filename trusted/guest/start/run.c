// SPDX-License-Identifier: Apache-2.0
// Becomes a program, as a shell and a container's runtime find it.
#include "trusted/guest/start/start.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "trusted/guest/guest.h"

void start_give_up(int status, const char *what, const char *name, int code)
{
    struct guest_error e;
    guest_fail(&e, code, "%s '%.150s': %s", what, name, strerror(-code));
    e.status = status;
    _exit(write(START_STATUS_FD, &e, sizeof(e)) == sizeof(e) ? status : GUEST_EXIT_OWN);
}

/* Finds argv[0] on PATH as a shell does, and execs it. Returns only on failure: -errno. */
static int exec_path(char **argv, char **env, const char *path)
{
    char file[4096];
    int rc = -ENOENT;
    if (strchr(argv[0], '/') || !argv[0][0]) {
        execve(argv[0], argv, env);
        return -errno;
    }
    for (const char *at = path;; at++) {
        size_t size = strcspn(at, ":");
        int n =
            snprintf(file, sizeof(file), "%.*s/%s", size ? (int)size : 1, size ? at : ".", argv[0]);
        if (n > 0 && (size_t)n < sizeof(file)) {
            execve(file, argv, env);
            /* A directory or file that is not for us hides nothing later on the path. */
            if (errno != ENOENT && errno != ENOTDIR && !(errno == EACCES && rc != -ENOENT))
                rc = -errno;
            if (rc != -ENOENT && rc != -EACCES)
                return rc;
        }
        at += size;
        if (!*at)
            return rc;
    }
}

void start_run(char **argv, char **env)
{
    const char *path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (char **e = env; e && *e; e++)
        if (!strncmp(*e, "PATH=", 5))
            path = *e + 5;
    int rc = exec_path(argv, env, path);
    struct stat st;
    /* The file is there: then it is its interpreter that is not. */
    if (rc == -ENOENT && strchr(argv[0], '/') && !stat(argv[0], &st))
        start_give_up(127, "the interpreter is missing of", argv[0], rc);
    const char *slash = strrchr(argv[0], '/');
    char there[256] = "/bin/";
    if (rc == -ENOENT && slash && strlen(slash + 1) < sizeof(there) - 5 &&
        !access(strcat(there, slash + 1), X_OK)) { /* where `build -f` puts programs */
        char what[300];
        snprintf(what, sizeof(what), "it is %s in the image; cannot run", there);
        start_give_up(127, what, argv[0], rc);
    }
    start_give_up(rc == -ENOENT || rc == -ENOTDIR ? 127 : 126, "cannot run", argv[0], rc);
}
