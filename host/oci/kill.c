// SPDX-License-Identifier: Apache-2.0
// shelter-runtime kill and delete.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>

#include "host/base/signal_name.h"
#include "host/oci/bundle.h"
#include "host/oci/cgroup.h"
#include "host/oci/container.h"
#include "host/oci/hooks.h"
#include "host/oci/pod.h"
#include "host/run/allowed.h"
#include "host/run/attached.h"
#include "host/run/control.h"

#define END_MS 10000
#define GONE_US 10000
#define GONE_MAX 200

/* To a container in its pod's machine, whose process could not tell the sender of a refusal. */
static int check_pod_signal(const char *machine, int number, struct sh_error *err)
{
    struct sh_store store;
    struct sh_instance instance;
    if (!sh_attached_passes(number))
        return sh_fail(err, -ENOTSUP,
                       "signal %d does not reach a container in its pod's machine: HUP, INT, QUIT, "
                       "TERM, USR1, USR2 and KILL do",
                       number);
    int r = sh_store_open(&store, err);
    if (r)
        return r;
    r = sh_instance_open_id(&store, machine, &instance, err);
    if (!r) {
        r = sh_signal_need(&instance.config, (uint32_t)number, err);
        sh_instance_close(&instance);
    }
    sh_store_close(&store);
    return r;
}

/* Through the supervisor, so that the workload gets it; a pod's sandbox is its process. A KILL that
 * nobody takes ends the process itself, and the TEE with it. */
static int signal_workload(const struct oci_container *c, pid_t pid, int number,
                           struct sh_error *err)
{
    struct sh_store store;
    struct sh_instance instance;
    const char *own = oci_text(c->state, "instance"), *pod = oci_text(c->state, "machine");
    cleanup_free char *machine = own && !*own ? oci_pod_instance(c) : NULL;
    const char *id = machine ? machine : own;
    int wrong = number != SIGKILL && pod ? check_pod_signal(pod, number, err) : 0;
    if (wrong)
        return wrong;
    if (number == SIGKILL || (id && !*id))
        return kill(pid, number) ? sh_fail_errno(err, -errno, "cannot kill %d", pid) : 0;
    int r = sh_store_open(&store, err);
    if (r)
        return r;
    r = id ? sh_instance_open_id(&store, id, &instance, err) : -ENOENT;
    if (!r) {
        r = sh_control_signal(&instance, (uint32_t)number, err);
        sh_instance_close(&instance);
    }
    sh_store_close(&store);
    return r;
}

static int send_signal(const struct oci_container *c, int number, struct sh_error *err)
{
    enum oci_status status = oci_container_status(c);
    pid_t pid = oci_container_pid(c);
    if (status == OCI_STOPPED || status == OCI_CREATING || !pid)
        return sh_fail(err, -ESRCH, "container not running");
    if (status == OCI_CREATED) /* nothing runs inside yet */
        return kill(pid, number) ? sh_fail_errno(err, -errno, "cannot signal %d", pid) : 0;
    if (status == OCI_PAUSED && number == SIGKILL) {
        struct sh_error ignored = {0};
        int r = signal_workload(c, pid, number, err);
        (void)oci_cgroup_freeze(oci_array(c->state, "cgroups"), false, &ignored);
        return r;
    }
    return signal_workload(c, pid, number, err);
}

int oci_kill(const struct oci_runtime *rt, int argc, char **argv, struct sh_error *err)
{
    static const struct option options[] = {{"all", no_argument, NULL, 'a'}, {0}};
    struct oci_container c = {.dir_fd = -1, .lock_fd = -1};
    bool all = false;
    optind = 0; /* a verb may call another */
    for (int o; (o = getopt_long(argc, argv, "+a", options, NULL)) != -1;) {
        if (o != 'a')
            return sh_fail(err, -EINVAL, "kill: unknown option; see --help");
        all = true;
    }
    if (argc - optind < 1 || argc - optind > 2)
        return sh_fail(err, -EINVAL, "kill: a container id and at most one signal are needed");
    const char *text = argc - optind == 2 ? argv[optind + 1] : "TERM";
    uint32_t number;
    int r = sh_signal_parse(text, &number, err);
    if (!r)
        r = oci_container_open(rt, argv[optind], false, &c, err);
    if (!r)
        r = send_signal(&c, (int)number, err);
    if (r == -ESRCH && all) /* asked for whatever is left: nothing is */
        r = 0;
    oci_container_close(&c);
    return r;
}

/* --- delete --- */

static void end_process(const struct oci_container *c)
{
    struct sh_error ignored = {0};
    pid_t pid = oci_container_pid(c);
    const cJSON *groups = oci_array(c->state, "cgroups");
    if (!pid)
        return;
    cleanup_close int pid_fd = (int)syscall(SYS_pidfd_open, pid, 0);
    struct pollfd p = {.fd = pid_fd, .events = POLLIN};
    kill(pid, SIGKILL);
    (void)oci_cgroup_freeze(groups, false, &ignored);
    if (pid_fd >= 0)
        (void)poll(&p, 1, END_MS);
}

/* The instance's folder, where its supervisor had no time for it. */
static void remove_instance(const struct oci_container *c)
{
    struct sh_error ignored = {0};
    struct sh_store store;
    const char *own = oci_text(c->state, "instance");
    cleanup_free char *machine = own && !*own ? oci_pod_instance(c) : NULL;
    const char *id = machine ? machine : own;
    if ((id && !*id) || sh_store_open(&store, &ignored))
        return;
    if (id)
        (void)sh_instance_remove(&store, id, &ignored);
    else /* its command was killed before it wrote the id down */
        (void)sh_instance_clean_leftovers(&store);
    sh_store_close(&store);
}

static int delete_container(const struct oci_runtime *rt, struct oci_container *c, bool force,
                            struct sh_error *err)
{
    enum oci_status status = oci_container_status(c);
    struct sh_error after = {0};
    const cJSON *groups = oci_array(c->state, "cgroups");
    /* Creating, and we have its lock: the command that did is dead. */
    if (!force && status != OCI_STOPPED && status != OCI_CREATED && status != OCI_CREATING)
        return sh_fail(err, -EBUSY, "cannot delete container %s that is not stopped: %s", c->id,
                       oci_status_words[status]);
    end_process(c);
    for (int i = 0; i < GONE_MAX && oci_cgroup_busy(groups); i++)
        usleep(GONE_US); /* who notices that the process or its command is gone cleans up */
    oci_cgroup_kill(groups);
    remove_instance(c);
    oci_cgroup_remove(groups);
    if (oci_hooks_run(c, "poststop", false, &after))
        sh_error_report(&after);
    return oci_container_remove(rt, c, err);
}

int oci_delete(const struct oci_runtime *rt, int argc, char **argv, struct sh_error *err)
{
    static const struct option options[] = {{"force", no_argument, NULL, 'f'}, {0}};
    struct oci_container c = {.dir_fd = -1, .lock_fd = -1};
    bool force = false;
    optind = 0; /* a verb may call another */
    for (int o; (o = getopt_long(argc, argv, "+f", options, NULL)) != -1;) {
        if (o != 'f')
            return sh_fail(err, -EINVAL, "delete: unknown option; see --help");
        force = true;
    }
    if (argc - optind != 1)
        return sh_fail(err, -EINVAL, "delete: exactly one container id is needed");
    int r = oci_container_open(rt, argv[optind], true, &c, err);
    if (!r)
        r = delete_container(rt, &c, force, err);
    oci_container_close(&c);
    return r == -ENOENT && force ? 0 : r;
}
