// SPDX-License-Identifier: Apache-2.0
// Finds QEMU and its version, and the cache folder where slow answers are remembered.
#include <cpuid.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "host/base/temp.h"
#include "host/launch/check.h"
#include "host/launch/qemu/parts.h"

const char *sh_qemu_first_file(const char *const *paths)
{
    for (; *paths; paths++)
        if (!access(*paths, R_OK))
            return *paths;
    return NULL;
}

bool sh_qemu_read_line(const char *path, char *out, size_t size)
{
    cleanup_fclose FILE *f = fopen(path, "re");
    if (!f || !fgets(out, (int)size, f))
        return false;
    out[strcspn(out, "\n")] = 0;
    return true;
}

static bool is_runnable(const char *path)
{
    struct stat st;
    return !stat(path, &st) && S_ISREG(st.st_mode) && !access(path, X_OK);
}

const char *sh_qemu_find(void)
{
    static char *found, *given;
    const char *named = getenv("SHELTER_QEMU");
    if (named && *named) {
        /* Absolute, since the launcher may change its folder. */
        free(given);
        given = realpath(named, NULL);
        return given && is_runnable(given) ? given : NULL;
    }
    if (found)
        return found;
    const char *path = getenv("PATH");
    cleanup_free char *list =
        sh_format("%s:/usr/bin:/usr/local/bin:/usr/libexec", path ? path : "/usr/bin");
    char *save;
    for (char *dir = strtok_r(list, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
        /* A relative folder in PATH would run whatever lies where the user happens to be. */
        if (dir[0] != '/')
            continue;
        char *candidate = sh_format("%s/qemu-system-x86_64", dir);
        if (is_runnable(candidate))
            return found = candidate;
        free(candidate);
    }
    return NULL;
}

char *sh_qemu_cache_path(const char *name)
{
    const char *base = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    cleanup_free char *dir = NULL;
    struct sh_error ignored = {0};
    if (base && base[0] == '/')
        dir = sh_format("%s/shelter", base);
    else if (home && home[0] == '/')
        dir = sh_format("%s/.cache/shelter", home);
    if (!dir || sh_make_dirs(dir, 0700, &ignored))
        return NULL;
    return sh_format("%s/%s", dir, name);
}

/* Runs QEMU with one or two arguments and collects what it prints on stdout, at most size - 1
 * bytes. */
static void ask_qemu(const char *qemu, const char *option, const char *value, char *out,
                     size_t size)
{
    int fds[2];
    out[0] = 0;
    if (pipe2(fds, O_CLOEXEC))
        return;
    pid_t pid = fork();
    if (!pid) {
        int null = open("/dev/null", O_RDWR);
        dup2(null, 0);
        dup2(null, 2);
        dup2(fds[1], 1);
        execl(qemu, qemu, option, value, (char *)NULL);
        _exit(127);
    }
    close(fds[1]);
    size_t have = 0;
    ssize_t n;
    while (pid > 0 && have < size - 1 && (n = read(fds[0], out + have, size - 1 - have)) > 0)
        have += (size_t)n;
    out[have] = 0;
    close(fds[0]); /* if it has more to say, it gets SIGPIPE */
    if (pid > 0)
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
}

bool sh_qemu_lists(const char *qemu, const char *option, const char *word)
{
    char text[65536], *save;
    ask_qemu(qemu, option, "help", text, sizeof(text));
    for (char *w = strtok_r(text, " \n,\"", &save); w; w = strtok_r(NULL, " \n,\"", &save))
        if (!strcmp(w, word))
            return true;
    return false;
}

int sh_qemu_version(const char *qemu, char out[32], struct sh_error *err)
{
    struct stat st;
    char line[512];
    if (stat(qemu, &st))
        return sh_fail_errno(err, -errno, "cannot find QEMU at %s", qemu);
    cleanup_free char *key = sh_format("%llx.%llx.%llx.%lld ", (unsigned long long)st.st_dev,
                                       (unsigned long long)st.st_ino,
                                       (unsigned long long)st.st_size, (long long)st.st_mtime);
    cleanup_free char *cache = sh_qemu_cache_path("qemu-version");
    if (cache && sh_qemu_read_line(cache, line, sizeof(line)) && !strncmp(line, key, strlen(key)) &&
        sscanf(line + strlen(key), "%31[0-9.]", out) == 1)
        return 0;
    ask_qemu(qemu, "--version", NULL, line, sizeof(line));
    const char *said = strstr(line, "version ");
    if (!said || sscanf(said + 8, "%31[0-9.]", out) != 1)
        out[0] = 0;
    if (!out[0])
        return sh_fail(err, -ENOEXEC, "%s does not report its version; is it QEMU?", qemu);
    if (cache) {
        struct sh_error ignored = {0};
        cleanup_free char *text = sh_format("%s%s\n", key, out);
        sh_write_file(AT_FDCWD, cache, text, strlen(text), 0600, &ignored);
    }
    return 0;
}

int sh_qemu_need(const char *qemu, int major, int minor, const char *what, struct sh_error *err)
{
    char version[32];
    int has_major = 0, has_minor = 0;
    int r = sh_qemu_version(qemu, version, err);
    if (r)
        return r;
    sscanf(version, "%d.%d", &has_major, &has_minor);
    if (has_major > major || (has_major == major && has_minor >= minor))
        return 0;
    return sh_fail(err, -EOPNOTSUPP,
                   "QEMU %s has no %s; install QEMU %d.%d or later (Debian 13 or its "
                   "backports), or name it in SHELTER_QEMU",
                   version, what, major, minor);
}

/* --- as lines of host/launch/check.h --- */

bool sh_qemu_cpu_is(const char *vendor)
{
    unsigned a, b, c, d;
    char name[13] = {0};
    if (!__get_cpuid(0, &a, &b, &c, &d))
        return false;
    memcpy(name, &b, 4);
    memcpy(name + 4, &d, 4);
    memcpy(name + 8, &c, 4);
    return !strcmp(name, vendor);
}

void sh_qemu_check_parameter(cJSON *checks, const char *module, const char *name,
                             const char *remedy)
{
    char value[16] = "";
    cleanup_free char *path = sh_format("/sys/module/%s/parameters/%s", module, name);
    bool there = sh_qemu_read_line(path, value, sizeof(value));
    sh_check_add(checks, "KVM", value[0] == 'Y' || value[0] == '1', remedy, "%s.%s=%s", module,
                 name, there ? value : "(not there)");
}

void sh_qemu_check_version(cJSON *checks, int major, int minor, const char *what)
{
    struct sh_error err = {0};
    char version[32] = "";
    const char *qemu = sh_qemu_find();
    bool ok = qemu && !sh_qemu_need(qemu, major, minor, what, &err) &&
              !sh_qemu_version(qemu, version, &err);
    sh_check_add(checks, "QEMU", ok, NULL, "%s%s%s",
                 ok     ? version
                 : qemu ? err.text
                        : "qemu-system-x86_64 is not there; install qemu-system-x86",
                 ok ? " has " : "", ok ? what : "");
}

void sh_qemu_check(cJSON *checks)
{
    struct sh_error err = {0};
    char version[32];
    const char *qemu = sh_qemu_find();
    if (!sh_check_add(checks, "QEMU", qemu, "install qemu-system-x86, or name it in SHELTER_QEMU",
                      "%s", qemu ? qemu : "qemu-system-x86_64 is not there"))
        return;
    bool ok = !sh_qemu_version(qemu, version, &err);
    sh_check_add(checks, "QEMU version", ok, "install qemu-system-x86", "%s",
                 ok ? version : err.text);
    bool user = sh_qemu_lists(qemu, "-netdev", "user");
    sh_check_add(checks, "network", user,
                 "install a QEMU with slirp (Debian: qemu-system-x86), or "
                 "run with --network none",
                 "%s", user ? "user mode (slirp), IPv4" : "this QEMU has no user-mode networking");
}
