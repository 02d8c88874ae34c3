// SPDX-License-Identifier: Apache-2.0
// /proc/PID/mounts and mountinfo: what stands where, of the settings and of our own.
#include "lib/settings.h"
#include "trusted/libos/fs/proc.h"
#include "trusted/libos/libos.h"

/* Where they are told, in which form, and how many there were. */
struct mounts {
    struct text *text;
    bool info;
    unsigned count;
};

/* Blanks and backslashes as Linux writes them. */
static void put_path(struct text *t, const char *path)
{
    for (; *path; path++) {
        if (*path == ' ' || *path == '\t' || *path == '\n' || *path == '\\')
            text_put(t, "\\%03o", (unsigned)*path);
        else
            text_put_bytes(t, path, 1);
    }
}

/* id, parent, device, root, place, options - type, source, options; or source, place, type, ... */
static void put_mount(struct mounts *m, const char *type, const char *source, const char *path,
                      bool read_only)
{
    const char *mode = read_only ? "ro" : "rw";
    unsigned n = m->count++;
    if (m->info)
        text_put(m->text, "%u %u 0:%u / ", 20 + n, n ? 20u : 1u, 32 + n);
    else
        text_put(m->text, "%s ", source);
    put_path(m->text, path);
    if (m->info)
        text_put(m->text, " %s,noatime - %s %s %s\n", mode, type, source, mode);
    else
        text_put(m->text, " %s %s,noatime 0 0\n", type, mode);
}

static void put_mounts(struct mounts *m)
{
    put_mount(m, "overlay", "overlay", "/", settings.read_only);
    put_mount(m, "proc", "proc", "/proc", false);
    put_mount(m, "tmpfs", "tmpfs", "/dev", false);
    put_mount(m, "tmpfs", "shm", "/dev/shm", false);
    put_mount(m, "sysfs", "sysfs", "/sys", true);
    put_mount(m, "cgroup2", "cgroup", "/sys/fs/cgroup", true);
    for (size_t i = 0; i < settings.tmpfs_count; i++)
        put_mount(m, "tmpfs", "tmpfs", settings.tmpfs[i].path, false);
    for (size_t i = 0; i < settings.data_count; i++)
        put_mount(m, "erofs", settings.data[i].name, settings.data[i].path, true);
    for (size_t i = 0; i < settings.volume_count; i++)
        put_mount(m, "fuse", settings.volumes[i].name, settings.volumes[i].path,
                  settings.volumes[i].read_only);
    for (size_t i = 0; i < settings.share_count; i++)
        put_mount(m, "9p", settings.shares[i].tag, settings.shares[i].path,
                  settings.shares[i].read_only);
}

void proc_show_mounts_of(struct text *t)
{
    put_mounts(&(struct mounts){.text = t});
}

void proc_show_mountinfo(struct text *t)
{
    put_mounts(&(struct mounts){.text = t, .info = true});
}
