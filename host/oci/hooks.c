// SPDX-License-Identifier: Apache-2.0
// Runs hooks: a program each, its stdin the container's state, bounded in time.
#include "host/oci/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "host/oci/bundle.h"

#define HOOK_SECONDS 600 /* where the hook gives no timeout */

static void add_texts(struct sh_strings *to, const cJSON *list)
{
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        if (cJSON_IsString(item))
            sh_strings_add(to, item->valuestring);
    }
}

/* The state as a file to read from. */
static int state_file(const struct oci_container *c)
{
    cJSON *json = oci_container_json(c);
    cleanup_free char *text = cJSON_PrintUnformatted(json);
    cJSON_Delete(json);
    int fd = memfd_create("state", MFD_CLOEXEC);
    if (fd >= 0 && (sh_write_all(fd, text, strlen(text)) || lseek(fd, 0, SEEK_SET))) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static __attribute__((noreturn)) void become_hook(const char *path, char **args, char **env,
                                                  int state_fd, int words_fd)
{
    char *const none[] = {NULL};
    if (dup2(state_fd, 0) == 0 && dup2(words_fd, 2) == 2) {
        signal(SIGPIPE, SIG_DFL);
        execve(path, args, env ? env : none);
    }
    dprintf(words_fd, "cannot run it: %s", strerror(errno));
    _exit(127);
}

/* Waits; kills it at the end of its time. The wait status, or -errno. */
static int wait_hook(pid_t pid, int seconds)
{
    int status = 0;
    cleanup_close int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = pid_fd, .events = POLLIN};
    bool late = pid_fd >= 0 && poll(&p, 1, seconds * 1000) == 0;
    if (late)
        kill(pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return late ? -ETIMEDOUT : status;
}

static int run_hook(const struct oci_container *c, const cJSON *hook, const char *moment,
                    struct sh_error *err)
{
    const char *path = oci_text(hook, "path");
    const cJSON *timeout = cJSON_GetObjectItemCaseSensitive(hook, "timeout");
    struct sh_strings args = {0}, env = {0};
    char words[512] = "";
    if (!path || *path != '/')
        return sh_fail(err, -EINVAL, "a %s hook has no absolute path", moment);
    add_texts(&args, oci_array(hook, "args"));
    if (!args.count)
        sh_strings_add(&args, path);
    add_texts(&env, oci_array(hook, "env"));
    cleanup_close int state_fd = state_file(c);
    cleanup_close int words_fd = memfd_create("stderr", MFD_CLOEXEC);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        become_hook(path, args.v, env.v, state_fd, words_fd);
    int seconds =
        cJSON_IsNumber(timeout) && timeout->valueint > 0 ? timeout->valueint : HOOK_SECONDS;
    int status = pid < 0 ? -errno : wait_hook(pid, seconds);
    ssize_t n = words_fd < 0 ? 0 : pread(words_fd, words, sizeof(words) - 1, 0);
    while (n > 0 && words[n - 1] == '\n')
        n--;
    words[n > 0 ? n : 0] = 0;
    sh_strings_free(&args);
    sh_strings_free(&env);
    if (!status)
        return 0;
    if (status < 0)
        return sh_fail_errno(err, status, "%s hook %s", moment, path);
    return sh_fail(err, -ECHILD, "%s hook %s ended with status %d: %s", moment, path,
                   WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), words);
}

int oci_hooks_run(const struct oci_container *c, const char *moment, bool must,
                  struct sh_error *err)
{
    const cJSON *hook;
    int r = 0;
    cJSON_ArrayForEach(hook, oci_array(oci_object(c->state, "hooks"), moment))
    {
        int one = r && must ? 0 : run_hook(c, hook, moment, err);
        r = r ? r : one;
    }
    return r;
}
