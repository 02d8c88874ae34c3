// SPDX-License-Identifier: Apache-2.0
// shelter-runtime create and run.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "host/base/data_folder.h"
#include "host/base/temp.h"
#include "host/oci/cgroup.h"
#include "host/oci/container.h"
#include "host/oci/hooks.h"
#include "host/oci/image.h"
#include "host/oci/pod.h"
#include "host/oci/process.h"

struct create_options {
    const char *bundle, *pid_file, *console_socket, *id;
    bool detach; /* run */
};

enum { BUNDLE = 1, PID_FILE, CONSOLE_SOCKET, PRESERVE_FDS, NO_PIVOT, DETACH };

static const struct option options[] = {
    {"bundle", required_argument, NULL, BUNDLE},
    {"pid-file", required_argument, NULL, PID_FILE},
    {"console-socket", required_argument, NULL, CONSOLE_SOCKET},
    {"preserve-fds", required_argument, NULL, PRESERVE_FDS},
    {"no-pivot", no_argument, NULL, NO_PIVOT},
    {"no-new-keyring", no_argument, NULL, NO_PIVOT},
    {"detach", no_argument, NULL, DETACH},
    {0},
};

static int read_options(int argc, char **argv, bool run, struct create_options *c,
                        struct sh_error *err)
{
    *c = (struct create_options){.bundle = "."};
    optind = 0; /* a verb may call another */
    for (int o; (o = getopt_long(argc, argv, run ? "+b:d" : "+b:", options, NULL)) != -1;)
        switch (o) {
        case 'b':
        case BUNDLE:
            c->bundle = optarg;
            break;
        case PID_FILE:
            c->pid_file = optarg;
            break;
        case CONSOLE_SOCKET:
            c->console_socket = optarg;
            break;
        case PRESERVE_FDS: /* descriptors of the host mean nothing inside */
            if (strcmp(optarg, "0"))
                return sh_fail(err, -ENOTSUP,
                               "--preserve-fds: a TEE cannot take descriptors of the host");
            break;
        case NO_PIVOT: /* there is nothing to pivot, and no keyring to share */
            break;
        case 'd':
        case DETACH:
            c->detach = run;
            if (run)
                break;
            /* fallthrough */
        default:
            return sh_fail(err, -EINVAL, "%s: unknown option; see --help", argv[0]);
        }
    if (argc - optind != 1)
        return sh_fail(err, -EINVAL, "%s: exactly one container id is needed", argv[0]);
    c->id = argv[optind];
    return 0;
}

static void add_copy(cJSON *to, const char *name, const cJSON *from)
{
    if (from)
        cJSON_AddItemToObject(to, name, cJSON_Duplicate(from, true));
}

static cJSON *describe(const struct oci_bundle *b, const char *id)
{
    char when[40];
    struct timespec now;
    struct tm tm;
    struct sh_error ignored = {0};
    cleanup_free char *store = sh_data_folder("SHELTER_STORE", "shelter", &ignored);
    cJSON *o = cJSON_CreateObject();
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    strftime(when, sizeof(when) - 12, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(when + strlen(when), 12, ".%09ldZ", now.tv_nsec);
    cJSON_AddStringToObject(o, "id", id);
    cJSON_AddStringToObject(o, "bundle", b->path);
    cJSON_AddStringToObject(o, "rootfs", b->rootfs);
    cJSON_AddStringToObject(o, "created", when);
    cJSON_AddStringToObject(o, "owner", "");
    if (store)
        cJSON_AddStringToObject(o, "store", store);
    cJSON_AddItemToObject(o, "limits",
                          cJSON_CreateStringArray((const char *const *)b->process.limits.v,
                                                  (int)b->process.limits.count));
    add_copy(o, "annotations", oci_object(b->json, "annotations"));
    add_copy(o, "hooks", oci_object(b->json, "hooks"));
    return o;
}

static void add_process(cJSON *state, pid_t pid, const char *instance)
{
    char start[24];
    snprintf(start, sizeof(start), "%llu", (unsigned long long)oci_process_start(pid));
    cJSON_AddNumberToObject(state, "pid", pid);
    cJSON_AddStringToObject(state, "processStart", start);
    cJSON_AddStringToObject(state, "instance", instance);
}

static int write_pid(const char *file, pid_t pid, struct sh_error *err)
{
    cleanup_free char *text = sh_format("%d", pid);
    return file ? sh_write_passing(AT_FDCWD, file, text, strlen(text), 0644, err) : 0;
}

static int check_console(const struct oci_bundle *b, const struct create_options *o, bool run,
                         struct sh_error *err)
{
    if (b->process.terminal && !o->console_socket && !(run && !o->detach))
        return sh_fail(err, -EINVAL, "process.terminal is set: give --console-socket");
    if (!b->process.terminal && o->console_socket)
        return sh_fail(err, -EINVAL, "--console-socket is given, and process.terminal is not set");
    return 0;
}

/* The process, its state, the hooks before the start; what fails takes all of it back. */
static int make_process(struct oci_container *c, const struct oci_start *s,
                        const struct create_options *o, struct sh_error *err)
{
    cleanup_free char *instance = NULL;
    pid_t pid;
    int go_fd;
    /* First without groups and process: whoever deletes what is left of a killed command knows
     * where to look. */
    int r = oci_container_save(c, err);
    if (!r)
        r = oci_cgroup_make(s->cgroups, s->bundle->cgroup, err);
    if (!r)
        r = oci_process_create(s, &pid, &go_fd, &instance, err);
    if (r)
        return r;
    add_process(c->state, pid, instance);
    r = oci_container_save(c, err);
    if (!r)
        r = oci_hooks_run(c, "prestart", true, err);
    if (!r)
        r = oci_hooks_run(c, "createRuntime", true, err);
    if (!r)
        r = oci_hooks_run(c, "createContainer", true, err);
    if (!r)
        r = write_pid(o->pid_file, pid, err);
    if (!r) /* from here on it lives without us */
        r = sh_write_all(go_fd, "1", 1);
    close(go_fd);
    if (r) /* it takes back what it prepared */
        waitpid(pid, NULL, 0);
    return r;
}

static int create_container(const struct oci_runtime *rt, struct oci_container *c,
                            const struct create_options *o, bool run, struct sh_error *err)
{
    struct oci_bundle b = {0};
    cleanup_free char *image = NULL, *machine = NULL;
    struct oci_pod pod = {0};
    cJSON *groups = NULL;
    int r = oci_bundle_read(o->bundle, &b, err);
    if (!r)
        r = check_console(&b, o, run, err);
    if (!r)
        r = oci_pod_find(&b, &pod, err);
    if (!r && pod.image)
        r = oci_pod_check(&pod, &b, err);
    if (!r && pod.image)
        r = oci_pod_machine(rt, &pod, &b, &machine, err);
    bool own = !b.sandbox && !pod.image;
    if (!r && own)
        r = oci_image_check_program(&b, err);
    if (!r && own && !(image = oci_image_of(&b, err)))
        r = -EIO;
    if (!r)
        r = oci_cgroup_find(b.cgroup, o->id, rt->systemd_cgroup, &groups, err);
    if (!r) {
        struct oci_start s = {rt, &b, c, image, o->console_socket, groups, machine, pod.container};
        c->state = describe(&b, o->id);
        if (machine) {
            cJSON_AddStringToObject(c->state, "machine", machine);
            cJSON_AddStringToObject(c->state, "podContainer", pod.container);
        }
        cJSON_AddItemToObject(c->state, "cgroups", cJSON_Duplicate(groups, true));
        r = make_process(c, &s, o, err);
    }
    if (r)
        oci_cgroup_remove(groups);
    cJSON_Delete(groups);
    oci_bundle_free(&b);
    return r;
}

static int create_with(const struct oci_runtime *rt, const struct create_options *o, bool run,
                       struct oci_container *c, struct sh_error *err)
{
    struct sh_error ignored = {0};
    int r = oci_container_create(rt, o->id, c, err);
    if (r)
        return r;
    r = create_container(rt, c, o, run, err);
    if (r)
        oci_container_remove(rt, c, &ignored);
    return r;
}

int oci_create(const struct oci_runtime *rt, int argc, char **argv, struct sh_error *err)
{
    struct create_options o;
    struct oci_container c = {.dir_fd = -1, .lock_fd = -1};
    int r = read_options(argc, argv, false, &o, err);
    if (!r)
        r = create_with(rt, &o, false, &c, err);
    oci_container_close(&c);
    return r;
}

int oci_run(const struct oci_runtime *rt, int argc, char **argv, struct sh_error *err)
{
    struct create_options o;
    struct oci_container c = {.dir_fd = -1, .lock_fd = -1};
    int status = 0;
    int r = read_options(argc, argv, true, &o, err);
    if (!r)
        r = create_with(rt, &o, true, &c, err);
    pid_t pid = r ? 0 : oci_container_pid(&c);
    oci_container_close(&c);
    if (!r)
        r = oci_start(rt, 2, (char *[]){(char *)"start", (char *)o.id, NULL}, err);
    if (r || o.detach)
        return r;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    r = oci_delete(rt, 2, (char *[]){(char *)"delete", (char *)o.id, NULL}, err);
    return r ? r : WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
