// SPDX-License-Identifier: Apache-2.0
// Runs skopeo and buildah, and says in one line why they failed.
#include "host/image/input/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "lib/hex.h"

#define SAID_MAX 2048u /* of what a tool says, its end */

static __attribute__((noreturn)) void become_tool(const char *const *argv, int said_fd)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (dup2(null, 0) == 0 && dup2(null, 1) == 1 && dup2(said_fd, 2) == 2)
        execvp(argv[0], (char *const *)argv);
    _exit(errno == ENOENT ? 127 : 126);
}

/* What the tool said last: Go programs write level=fatal msg="..." in front of it. */
static void read_reason(int fd, char *out, size_t size)
{
    char said[SAID_MAX + 1];
    off_t end = lseek(fd, 0, SEEK_END);
    ssize_t n = pread(fd, said, SAID_MAX, end > (off_t)SAID_MAX ? end - (off_t)SAID_MAX : 0);
    said[n > 0 ? n : 0] = 0;
    size_t length = strlen(said);
    while (length && said[length - 1] == '\n')
        said[--length] = 0;
    char *line = strrchr(said, '\n');
    line = line ? line + 1 : said;
    char *message = strstr(line, "msg=\"");
    snprintf(out, size, "%.*s", (int)size - 1, message ? message + strlen("msg=\"") : line);
    length = strlen(out);
    if (message && length && out[length - 1] == '"')
        out[length - 1] = 0;
}

static int run_tool(const char *const *argv, const char *what, struct sh_error *err)
{
    char reason[512];
    int status = 0;
    cleanup_close int said_fd = memfd_create("said", MFD_CLOEXEC);
    if (said_fd < 0)
        return sh_fail_errno(err, -errno, "cannot run %s", argv[0]);
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return sh_fail_errno(err, -errno, "cannot run %s", argv[0]);
    if (pid == 0)
        become_tool(argv, said_fd);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (!status)
        return 0;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return sh_fail(err, -ENOENT, "%s needs %s: apt-get install %s", what, argv[0], argv[0]);
    read_reason(said_fd, reason, sizeof(reason));
    return sh_fail(err, -EIO, "%s: %s: %s", what, argv[0],
                   *reason ? reason : "it was ended by a signal");
}

/* The folder as a tool can name it. */
static char *folder_path(int work_fd)
{
    return sh_format("/proc/%d/fd/%d/" SH_FETCH_FOLDER, getpid(), work_fd);
}

/* Another content cannot have the name. */
static bool has_digest(const char *reference)
{
    uint8_t digest[32];
    const char *at = strstr(reference, "@sha256:");
    return at && !sh_unhex(digest, sizeof(digest), at + strlen("@sha256:"));
}

int sh_fetch_registry(const char *reference, const char *key, int work_fd, struct sh_error *err)
{
    if (!has_digest(reference))
        return sh_fail(err, -EINVAL,
                       "%s: name the image by its digest, %s@sha256:DIGEST, since a tag may mean "
                       "another one tomorrow; skopeo inspect shows it",
                       reference, reference);
    cleanup_free char *folder = folder_path(work_fd);
    cleanup_free char *target = sh_format("oci:%s:image", folder);
    /* Signatures were judged before; a layout has no place for them. */
    const char *argv[13] = {"skopeo",  "--override-os", "linux", "--override-arch",
                            "amd64",   "copy",          "-q",    "--remove-signatures",
                            reference, target};
    if (key) {
        argv[10] = "--decryption-key";
        argv[11] = key;
    }
    return run_tool(argv, reference, err);
}

int sh_fetch_containerfile(const char *file, const char *context, int work_fd, struct sh_error *err)
{
    cleanup_free char *folder = folder_path(work_fd);
    cleanup_free char *target = sh_format("oci:%s:image", folder);
    cleanup_free char *ids = sh_format("%s-id", folder);
    /* Without the time of day the same files give the same image. */
    const char *build[12] = {"buildah", "bud", "--quiet", "--timestamp", "0", "--iidfile", ids};
    size_t n = 7;
    if (file) {
        build[n++] = "-f";
        build[n++] = file;
    }
    build[n++] = context;
    int r = run_tool(build, file ? file : context, err);
    cleanup_free uint8_t *id = NULL;
    size_t size = 0;
    if (!r)
        r = sh_read_file(work_fd, SH_FETCH_FOLDER "-id", 256, &id, &size, err);
    (void)unlinkat(work_fd, SH_FETCH_FOLDER "-id", 0);
    if (r)
        return r;
    cleanup_free char *name = sh_format("%.*s", (int)size, (const char *)id);
    const char *push[] = {"buildah", "push", "--quiet", name, target, NULL};
    const char *drop[] = {"buildah", "rmi", name, NULL};
    r = run_tool(push, file ? file : context, err);
    struct sh_error ignored = {0};
    (void)run_tool(drop, name, &ignored); /* another image may stand on it: then it stays */
    return r;
}
