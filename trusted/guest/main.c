// SPDX-License-Identifier: Apache-2.0
// PID 1 of the confidential VM: checks what it was given, runs the workload, powers off.
//
// The order is the security argument: nothing the host gave is used before it was compared with
// what is measured. docs/guest.md has it as a table.
#include "trusted/guest/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <unistd.h>

static struct guest guest; /* large: kept in zeroed memory, not in the file */

static void power_off(void)
{
    sync();
    reboot(RB_POWER_OFF);
    for (;;) /* PID 1 must not return, whatever the machine does */
        pause();
}

/* Nothing is on the standard descriptors but /dev/null: this program is silent. */
static void quiet_descriptors(void)
{
    int fd = open("/dev/null", O_RDWR);
    for (int i = 0; i < 3; i++)
        if (fd != i)
            dup2(fd, i);
    if (fd > 2)
        close(fd);
}

static void protect_self(struct guest *g)
{
    sigset_t set;
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!write(fd, "-1000", 5); /* else it is merely less protected */
        close(fd);
    }
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, NULL);
    g->signal_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    umask(022);
}

/* Mounts and device-mapper wait for grace periods of RCU; while only PID 1 runs, these may be
 * short. */
static void hurry_rcu(bool on)
{
    int fd = open("/sys/kernel/rcu_expedited", O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, on ? "1" : "0", 1) != 1)
        errno = 0; /* then starting merely takes longer */
    close(fd);
}

static int read_cmdline(struct guest *g, struct guest_error *e)
{
    char text[4097];
    ssize_t n = guest_read_file("/proc/cmdline", text, sizeof(text) - 1);
    if (n < 0)
        return guest_fail(e, (int)n, "cannot read the kernel command line");
    return guest_cmdline_parse(&g->cmdline, text, e);
}

static int open_channel(struct guest *g, struct guest_error *e)
{
    uint32_t hello[] = {SH_CHANNEL_VERSION, SH_CHANNEL_BOUNDS};
    g->channel.fd = guest_port_open(SH_CHANNEL_PORT, e);
    if (g->channel.fd < 0)
        return g->channel.fd;
    guest_session_new(g, 0);
    guest_channel_numbers(&g->channel, SH_FRAME_HELLO, 0, 0, hello, 2, NULL);
    guest_channel_flush(&g->channel);
    return 0;
}

/* Reads the config disk once; what is checked later is this copy. */
static int read_config(struct guest *g, struct guest_error *e)
{
    char path[48];
    size_t room = (GUEST_CONFIG_SIZE_MAX + 4095) / 4096 * 4096;
    uint8_t *data = malloc(room);
    int rc = guest_disk_find(SH_BOOT_CONFIG_SERIAL, path, sizeof(path), e);
    if (rc)
        return rc;
    GUEST_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = !data ? -ENOMEM : fd < 0 ? -errno : sh_read_up_to(fd, data, room);
    if (n < 0)
        return guest_fail(e, (int)n, "cannot read the config disk: %s", strerror((int)-n));
    return guest_config_split(&g->config, data, (size_t)n, e);
}

/* From here on the manifest and the launch config may be believed. */
static int check_config(struct guest *g, struct guest_error *e)
{
    uint8_t digest[48];
    size_t size;
    int rc = guest_config_manifest(&g->config, g->cmdline.manifest, e);
    if (!rc)
        rc = guest_tee_launch_digest(&g->cmdline, digest, &size, e);
    if (!rc)
        rc = guest_config_launch(&g->config, digest, size, e);
    /* A console shows kernel messages to the host: the image's owner decides, not the host. */
    if (!rc && g->cmdline.console && !(g->config.settings.requests & SH_POLICY_DEBUG))
        rc = guest_fail(e, -EPERM,
                        "the image does not allow a console; build it with --allow debug");
    return rc;
}

static int open_data(struct guest *g, size_t number, struct guest_error *e)
{
    const struct sh_data *d = &g->config.settings.data[number];
    char disk[48], device[48], serial[24], name[48];
    snprintf(serial, sizeof(serial), SH_BOOT_DATA_SERIAL "%u", (unsigned)number);
    snprintf(name, sizeof(name), "data %s", d->name);
    int rc = guest_disk_find(serial, disk, sizeof(disk), e);
    if (!rc)
        rc = guest_verity(disk, name, d->size, d->root, device, sizeof(device), e);
    if (rc)
        return rc;
    rc = guest_mount_data(g->root, d, device);
    return rc ? guest_fail(e, rc, "the image's data %s cannot be mounted at %.100s: %s", d->name,
                           d->path, strerror(-rc))
              : 0;
}

static int open_root(struct guest *g, struct guest_error *e)
{
    char disk[48], device[48];
    int rc = guest_disk_find(SH_BOOT_ROOT_SERIAL, disk, sizeof(disk), e);
    if (!rc)
        rc = guest_verity(disk, "root", g->config.manifest.root_size, g->config.manifest.root_hash,
                          device, sizeof(device), e);
    g->root = rc ? rc : guest_mount_root(device, guest_share(g), e);
    if (g->root < 0)
        return g->root;
    rc = guest_mount_workload(g->root, &g->config.settings, e);
    for (size_t i = 0; !rc && i < g->config.settings.data_count; i++)
        rc = open_data(g, i, e);
    return rc;
}

static int set_network(struct guest *g, struct guest_error *e)
{
    const struct sh_settings *s = &g->config.settings;
    struct guest_network network;
    if (sethostname(s->hostname, strlen(s->hostname)))
        return guest_fail(e, -errno, "cannot set the host name: %s", strerror(errno));
    int rc = guest_network_up(s->network, &network, e);
    if (!rc)
        rc = guest_network_files(g->root, s->hostname, &network, e);
    GUEST_AUTOCLOSE int own = rc ? -1 : open("/empty", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (!rc && (own < 0 || guest_network_resolver(own, &network)))
        rc = guest_fail(e, -EIO, "cannot write the agent's resolv.conf");
    return rc;
}

/* Who the workload is, and what only the image's /etc/passwd can add to its environment. */
static int set_user(struct guest *g, struct guest_error *e)
{
    const struct sh_settings *s = &g->config.settings;
    char text[1100];
    int rc = guest_user_find(&g->user, g->root, s->user, e);
    if (rc)
        return rc;
    for (size_t i = 0; !rc && i < s->env.count; i++)
        rc = guest_strings_add(&g->env, s->env.items[i], strlen(s->env.items[i]));
    snprintf(text, sizeof(text), "HOME=%s", g->user.home);
    if (!rc && !guest_env_get(&g->env, "HOME"))
        rc = guest_env_set(&g->env, text, strlen(text));
    return rc ? guest_fail(e, rc, "no memory for the environment") : 0;
}

static int start_workload(struct guest *g, struct guest_error *e)
{
    const struct sh_settings *s = &g->config.settings;
    static char *pause_argv[] = {"container", "pause", NULL};
    bool pod = !s->args.count && s->container_count; /* until it is told to end */
    if (!s->args.count && !pod)
        return guest_fail(e, -EINVAL, "the image names no command; give one");
    GUEST_AUTOCLOSE int dir = guest_mkdir_in(g->root, s->workdir);
    if (dir < 0)
        return guest_fail(e, dir, "cannot make the working directory '%.100s': %s", s->workdir,
                          strerror(-dir));
    int rc = guest_agent_prepare(g, e);
    if (!rc)
        rc = guest_secrets(g, e);
    if (!rc && s->outside) {
        g->notify_fd = guest_publish_begin(e);
        rc = g->notify_fd < 0 ? g->notify_fd : 0;
    }
    if (!rc && (rc = guest_mount_readonly(g->root, s->read_only)))
        rc = guest_fail(e, rc, "cannot make the root read-only: %s", strerror(-rc));
    if (rc)
        return rc;
    /* The terminal's size and an early ^C came while we were busy. */
    guest_channel_fill(&g->channel);
    guest_take_frames(g);
    struct guest_session *workload = guest_session_find(g, 0);
    struct guest_run run = {
        .kind = SH_EXEC_PROGRAM,
        .tty = s->terminal,
        .input = s->input,
        .output = s->output,
        .argv = pod ? pause_argv : (char **)(uintptr_t)s->args.items,
        .env = g->env.items,
        .workdir = s->workdir,
        .user = &g->user,
        .rows = workload->rows,
        .columns = workload->columns,
        .pid_ns = &g->pid_ns,
        .starter = pod,
    };
    hurry_rcu(false);
    return guest_spawn(g, workload, &run, e);
}

static int copy_files(struct guest *g, struct guest_error *e)
{
    const struct sh_settings *s = &g->config.settings;
    for (size_t i = 0; i < s->file_count; i++) {
        const struct sh_file *f = &s->files[i];
        int rc = guest_put_in(g->root, f->folder, f->name, f->mode, f->data, f->size);
        if (rc)
            return guest_fail(e, rc, "cannot copy %.100s/%.100s in: %s", f->folder, f->name,
                              strerror(-rc));
    }
    return 0;
}

/* Each step may use what the steps before it checked. */
static int start_guest(struct guest *g, struct guest_error *e)
{
    int rc = open_channel(g, e);
    if (!rc)
        rc = guest_tee_check(g->cmdline.tee, e);
    if (!rc)
        rc = read_config(g, e);
    if (!rc)
        rc = check_config(g, e);
    if (!rc)
        rc = open_root(g, e);
    if (!rc)
        rc = set_network(g, e);
    if (!rc)
        rc = copy_files(g, e);
    if (!rc) /* after the last file that is written into the root, so that none goes to the host */
        rc = guest_mount_shares(g->root, &g->config.settings, e);
    if (!rc)
        rc = set_user(g, e);
    if (!rc)
        rc = start_workload(g, e);
    return rc;
}

int main(void)
{
    struct guest *g = &guest;
    struct guest_error e;
    if (getpid() != 1)
        return GUEST_EXIT_OWN;
    g->root = g->pid_ns = g->notify_fd = g->signal_fd = g->agent_listen = g->agent_fd = g->agent =
        g->channel.fd = -1;
    int rc = guest_mount_own(&e);
    quiet_descriptors();
    if (!rc)
        rc = read_cmdline(g, &e);
    if (!rc && g->cmdline.probe)
        power_off();
    protect_self(g);
    hurry_rcu(true);
    if (!rc) {
        rc = start_guest(g, &e);
    } else {
        struct guest_error ignored;
        open_channel(g, &ignored); /* to tell why */
    }
    if (rc) {
        uint32_t status = (uint32_t)e.status;
        guest_channel_numbers(&g->channel, SH_FRAME_ERROR, 0, 0, &status, 1, e.text);
        g->exit_sent = g->stopping = true;
    }
    if (g->channel.fd >= 0)
        guest_loop(g);
    guest_volumes_close(g);
    power_off();
}
