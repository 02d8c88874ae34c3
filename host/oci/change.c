// SPDX-License-Identifier: Apache-2.0
// shelter-runtime exec, pause, resume, update: what changes a running container.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <string.h>
#include <sys/wait.h>

#include "host/base/temp.h"
#include "host/oci/bundle.h"
#include "host/oci/cgroup.h"
#include "host/oci/container.h"
#include "host/oci/process.h"

/* --- exec --- */

struct exec_options {
    const char *process, *pid_file, *console_socket, *workdir, *user;
    struct sh_strings env;
    bool detach, tty;
};

enum { PROCESS = 1, PID_FILE, CONSOLE_SOCKET, CWD, IGNORED };

static const struct option exec_table[] = {
    {"process", required_argument, NULL, PROCESS},
    {"pid-file", required_argument, NULL, PID_FILE},
    {"console-socket", required_argument, NULL, CONSOLE_SOCKET},
    {"cwd", required_argument, NULL, CWD},
    {"user", required_argument, NULL, 'u'},
    {"env", required_argument, NULL, 'e'},
    {"detach", no_argument, NULL, 'd'},
    {"tty", no_argument, NULL, 't'},
    {"preserve-fds", required_argument, NULL, IGNORED},
    {"cap", required_argument, NULL, IGNORED},
    {"apparmor", required_argument, NULL, IGNORED},
    {"process-label", required_argument, NULL, IGNORED},
    {"no-new-privs", no_argument, NULL, IGNORED},
    {0},
};

static int exec_options(int argc, char **argv, struct exec_options *x, struct sh_error *err)
{
    optind = 0; /* a verb may call another */
    for (int o; (o = getopt_long(argc, argv, "+p:e:u:dt", exec_table, NULL)) != -1;)
        switch (o) {
        case 'p':
        case PROCESS:
            x->process = optarg;
            break;
        case PID_FILE:
            x->pid_file = optarg;
            break;
        case CONSOLE_SOCKET:
            x->console_socket = optarg;
            break;
        case CWD:
            x->workdir = optarg;
            break;
        case 'u':
            x->user = optarg;
            break;
        case 'e':
            sh_strings_add(&x->env, optarg);
            break;
        case 'd':
            x->detach = true;
            break;
        case 't':
            x->tty = true;
            break;
        case IGNORED: /* rights of the host's kernel: inside there are none to give */
            break;
        default:
            return sh_fail(err, -EINVAL, "exec: unknown option; see --help");
        }
    if (optind == argc || (optind + 1 == argc && !x->process))
        return sh_fail(err, -EINVAL, "exec: a container id and a program are needed");
    return 0;
}

/* The program from --process, else from the arguments behind the id. */
static int exec_process(const struct exec_options *x, char **args, struct oci_process *p,
                        struct sh_error *err)
{
    if (x->process) {
        int r = oci_process_file(x->process, p, err);
        p->terminal |= x->tty;
        return r;
    }
    for (; *args; args++)
        sh_strings_add(&p->args, *args);
    for (size_t i = 0; i < x->env.count; i++)
        sh_strings_add(&p->env, x->env.v[i]);
    p->workdir = sh_strdup(x->workdir ? x->workdir : "");
    p->user = sh_strdup(x->user ? x->user : "");
    p->terminal = x->tty;
    return 0;
}

/* All programs inside have the container's limits. */
static int check_limits(const struct oci_container *c, const struct oci_process *p,
                        struct sh_error *err)
{
    const cJSON *limits = oci_array(c->state, "limits");
    bool same = !p->limits.count || cJSON_GetArraySize(limits) == (int)p->limits.count;
    for (size_t i = 0; same && i < p->limits.count; i++) {
        const char *text = cJSON_GetStringValue(cJSON_GetArrayItem(limits, (int)i));
        same = text && !strcmp(text, p->limits.v[i]);
    }
    return same ? 0
                : sh_fail(err, -ENOTSUP,
                          "exec: process.rlimits are not the container's, which all programs "
                          "inside have; leave them out");
}

int oci_exec(const struct oci_runtime *rt, int argc, char **argv, struct sh_error *err)
{
    struct exec_options x = {0};
    struct oci_process p = {0};
    struct oci_container c = {.dir_fd = -1, .lock_fd = -1};
    pid_t pid = 0;
    int status = 0, r = exec_options(argc, argv, &x, err);
    if (!r)
        r = oci_container_open(rt, argv[optind], false, &c, err);
    if (!r)
        r = exec_process(&x, argv + optind + 1, &p, err);
    if (!r && oci_container_status(&c) != OCI_RUNNING)
        r = sh_fail(err, -EINVAL, "cannot exec in a container that is %s",
                    oci_status_words[oci_container_status(&c)]);
    if (!r)
        r = check_limits(&c, &p, err);
    if (!r)
        r = oci_process_exec(&c, &p, x.console_socket, &pid, err);
    cleanup_free char *text = sh_format("%d", pid);
    if (!r && x.pid_file)
        r = sh_write_passing(AT_FDCWD, x.pid_file, text, strlen(text), 0644, err);
    if (!r && !x.detach) {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        r = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    oci_process_free(&p);
    sh_strings_free(&x.env);
    oci_container_close(&c);
    return r;
}

/* What is done to a cgroup reaches the machine only where it is in it. */
static int check_machine(const struct oci_container *c, const char *verb, struct sh_error *err)
{
    return oci_text(c->state, "machine")
               ? sh_fail(err, -ENOTSUP,
                         "cannot %s one container of a machine that its pod shares; its sandbox "
                         "is all of it",
                         verb)
               : 0;
}

/* --- pause, resume --- */

static int freeze_container(const struct oci_runtime *rt, int argc, char **argv, bool freeze,
                            struct sh_error *err)
{
    struct oci_container c = {.dir_fd = -1, .lock_fd = -1};
    const char *id = oci_only_id(argc, argv, err);
    int r = id ? oci_container_open(rt, id, true, &c, err) : -EINVAL;
    enum oci_status status = r ? OCI_STOPPED : oci_container_status(&c);
    if (!r)
        r = check_machine(&c, argv[0], err);
    if (!r && status != (freeze ? OCI_RUNNING : OCI_PAUSED))
        r = sh_fail(err, -EINVAL, "cannot %s a container that is %s", argv[0],
                    oci_status_words[status]);
    if (!r)
        r = oci_cgroup_freeze(oci_array(c.state, "cgroups"), freeze, err);
    oci_container_close(&c);
    return r;
}

int oci_pause(const struct oci_runtime *rt, int argc, char **argv, struct sh_error *err)
{
    return freeze_container(rt, argc, argv, true, err);
}

int oci_resume(const struct oci_runtime *rt, int argc, char **argv, struct sh_error *err)
{
    return freeze_container(rt, argc, argv, false, err);
}

/* --- update --- */

int oci_update(const struct oci_runtime *rt, int argc, char **argv, struct sh_error *err)
{
    static const struct option options[] = {{"resources", required_argument, NULL, 'r'}, {0}};
    struct oci_container c = {.dir_fd = -1, .lock_fd = -1};
    const char *file = NULL;
    cJSON *json = NULL;
    optind = 0; /* a verb may call another */
    for (int o; (o = getopt_long(argc, argv, "+r:", options, NULL)) != -1;) {
        if (o != 'r')
            return sh_fail(err, -EINVAL, "update: only --resources FILE is known");
        file = optarg;
    }
    if (argc - optind != 1 || !file)
        return sh_fail(err, -EINVAL, "update: --resources FILE and a container id are needed");
    int r = oci_json_read(strcmp(file, "-") ? file : "/dev/stdin", &json, err);
    if (!r)
        r = oci_container_open(rt, argv[optind], true, &c, err);
    if (!r)
        r = check_machine(&c, "update", err);
    if (!r)
        r = oci_cgroup_limit(oci_array(c.state, "cgroups"), json, err);
    cJSON_Delete(json);
    oci_container_close(&c);
    return r;
}
