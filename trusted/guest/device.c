// SPDX-License-Identifier: Apache-2.0
// Finds the virtio disks and ports. Their names only help to find them; nothing is believed.
#include "trusted/guest/guest.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Ports get their names by a message after the device appeared: wait at most this long. */
#define WAIT_TRIES 2500
#define WAIT_NS 2000000

ssize_t guest_read_file(const char *path, char *out, size_t out_size)
{
    GUEST_AUTOCLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -errno : sh_read_up_to(fd, out, out_size);
    if (n >= 0 && (size_t)n == out_size)
        return -EFBIG;
    if (n >= 0)
        out[n] = 0;
    return n;
}

/* An entry of a /sys folder whose attribute has this value. 1 if found, 0 if not. */
static int scan_folder(const char *folder, const char *attribute, const char *value, char *name,
                       size_t name_size)
{
    DIR *dir = opendir(folder);
    struct dirent *d;
    int found = 0;
    while (dir && !found && (d = readdir(dir))) {
        char path[384], text[128];
        if (d->d_name[0] == '.' || strlen(d->d_name) >= name_size)
            continue;
        snprintf(path, sizeof(path), "%s/%s/%s", folder, d->d_name, attribute);
        ssize_t n = guest_read_file(path, text, sizeof(text));
        if (n < 0)
            continue;
        text[strcspn(text, "\n")] = 0;
        if (!strcmp(text, value)) {
            strcpy(name, d->d_name);
            found = 1;
        }
    }
    if (dir)
        closedir(dir);
    return found;
}

static int find_device(const char *folder, const char *attribute, const char *value, char *name,
                       size_t name_size)
{
    struct timespec pause = {0, WAIT_NS};
    for (int i = 0; i < WAIT_TRIES; i++) {
        if (scan_folder(folder, attribute, value, name, name_size))
            return 0;
        nanosleep(&pause, NULL);
    }
    return -ENODEV;
}

int guest_disk_find(const char *serial, char *path, size_t path_size, struct guest_error *e)
{
    char name[32];
    int rc = find_device("/sys/block", "serial", serial, name, sizeof(name));
    if (rc)
        return guest_fail(e, rc, "no disk with serial number %s", serial);
    snprintf(path, path_size, "/dev/%s", name);
    return 0;
}

int guest_port_open(const char *port, struct guest_error *e)
{
    char name[32], path[48];
    int rc = find_device("/sys/class/virtio-ports", "name", port, name, sizeof(name));
    if (rc)
        return guest_fail(e, rc, "no port named %s", port);
    snprintf(path, sizeof(path), "/dev/%s", name);
    int fd = open(path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    return fd < 0 ? guest_fail(e, -errno, "cannot open port %s: %s", port, strerror(errno)) : fd;
}
