// SPDX-License-Identifier: Apache-2.0
// Control groups by their files (cgroup-v1 and cgroup-v2 of the kernel's documentation).
#include "host/oci/cgroup.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "host/oci/bundle.h"

static int write_text(const char *folder, const char *file, const char *text)
{
    cleanup_free char *path = sh_format("%s/%s", folder, file);
    cleanup_close int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    return write(fd, text, strlen(text)) < 0 ? -errno : 0;
}

static bool read_text(const char *folder, const char *file, char *out, size_t size)
{
    cleanup_free char *path = sh_format("%s/%s", folder, file);
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, out, size - 1);
    out[n > 0 ? n : 0] = 0;
    return n >= 0;
}

#define FOR_GROUPS(g, groups)                                                                      \
    const cJSON *g;                                                                                \
    cJSON_ArrayForEach(g, groups)

/* --- where they are --- */

/* "slice:prefix:name" of systemd: /a.slice/a-b.slice/prefix-name.scope. */
static char *systemd_path(const char *text)
{
    const char *first = strchr(text, ':'), *second = first ? strchr(first + 1, ':') : NULL;
    if (!second)
        return sh_strdup(text);
    size_t slice = (size_t)(first - text);
    struct sh_buffer out = {0};
    for (size_t i = 1; i <= slice; i++)
        if ((i == slice || text[i] == '-') && strncmp(text, "-.slice", 7)) {
            size_t n = i == slice ? slice - strlen(".slice") : i;
            sh_buffer_add(&out, "/", 1);
            sh_buffer_add(&out, text, n);
            sh_buffer_add(&out, ".slice", 6);
        }
    cleanup_free char *scope = sh_format("/%.*s%s%s.scope", (int)(second - first - 1), first + 1,
                                         second - first > 1 ? "-" : "", second + 1);
    sh_buffer_add(&out, scope, strlen(scope) + 1);
    return (char *)out.data;
}

static bool is_safe(const char *path)
{
    for (const char *p = path; (p = strstr(p, "..")); p += 2)
        if ((p == path || p[-1] == '/') && (!p[2] || p[2] == '/'))
            return false;
    return true;
}

/* An empty cpuset takes no process: a new one inherits its parent's. */
static void inherit_cpuset(const char *folder)
{
    char text[4096];
    static const char *const files[] = {"cpuset.cpus", "cpuset.mems"};
    for (size_t i = 0; i < 2; i++) {
        cleanup_free char *parent = sh_format("%s/..", folder);
        if (read_text(folder, files[i], text, sizeof(text)) && (!*text || *text == '\n') &&
            read_text(parent, files[i], text, sizeof(text)))
            (void)write_text(folder, files[i], text);
    }
}

/* mkdir -p below the mount, each folder fit for the one below it. */
static int make_group(const char *path)
{
    cleanup_free char *full = sh_strdup(path);
    for (char *p = full + 1;; p++) {
        if (*p && *p != '/')
            continue;
        char end = *p;
        *p = 0;
        bool made = !mkdir(full, 0755);
        if (!made && errno != EEXIST)
            return -errno;
        if (made)
            inherit_cpuset(full);
        if (!end)
            return 0;
        if (made)
            (void)write_text(full, "cgroup.subtree_control", "+cpu +memory +pids");
        *p = end;
    }
}

int oci_cgroup_find(const char *path, const char *id, bool systemd, cJSON **groups,
                    struct sh_error *err)
{
    cleanup_free char *below = !path     ? sh_format("/shelter/%s", id)
                               : systemd ? systemd_path(path)
                                         : sh_strdup(path);
    *groups = cJSON_CreateArray();
    if (!is_safe(below))
        return sh_fail(err, -EINVAL, "the cgroup path '%s' leaves the hierarchy", below);
    FILE *mounts = setmntent("/proc/self/mounts", "re");
    for (struct mntent *m; mounts && (m = getmntent(mounts));) {
        if (strcmp(m->mnt_type, "cgroup") && strcmp(m->mnt_type, "cgroup2"))
            continue;
        cleanup_free char *full = sh_format("%s%s%s", m->mnt_dir, *below == '/' ? "" : "/", below);
        cJSON_AddItemToArray(*groups, cJSON_CreateString(full));
    }
    if (mounts)
        endmntent(mounts);
    return 0;
}

int oci_cgroup_make(cJSON *groups, bool must, struct sh_error *err)
{
    int code = 0;
    for (int i = 0; i < cJSON_GetArraySize(groups);) {
        int r = make_group(cJSON_GetArrayItem(groups, i)->valuestring);
        code = r && r != -EROFS ? r : code;
        if (r)
            cJSON_DeleteItemFromArray(groups, i);
        else
            i++;
    }
    if (must && code && !cJSON_GetArraySize(groups))
        return sh_fail_errno(err, code, "cannot create the container's cgroup");
    return 0;
}

int oci_cgroup_join(const cJSON *groups, pid_t pid, struct sh_error *err)
{
    char text[16];
    snprintf(text, sizeof(text), "%d", pid);
    FOR_GROUPS(g, groups)
    {
        int r = write_text(g->valuestring, "cgroup.procs", text);
        if (r && r != -EOPNOTSUPP)
            return sh_fail_errno(err, r, "cannot join the cgroup %s", g->valuestring);
    }
    return 0;
}

/* --- limits --- */

static const cJSON *find_number(const cJSON *o, const char *name)
{
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(o, name);
    return cJSON_IsNumber(n) ? n : NULL;
}

/* Writes it in the one group that has the file. -ENOENT where none has. */
static int set_text(const cJSON *groups, const char *file, const char *text)
{
    FOR_GROUPS(g, groups)
    {
        int r = write_text(g->valuestring, file, text);
        if (r != -ENOENT)
            return r;
    }
    return -ENOENT;
}

static int set_number(const cJSON *groups, const char *file, int64_t value, const char *unlimited)
{
    cleanup_free char *text =
        value < 0 && unlimited ? sh_strdup(unlimited) : sh_format("%lld", (long long)value);
    return set_text(groups, file, text);
}

static int limit_memory(const cJSON *groups, const cJSON *memory)
{
    const cJSON *limit = find_number(memory, "limit");
    if (!limit)
        return 0;
    double bytes = limit->valuedouble;
    int64_t value = bytes < 0 ? -1 : (int64_t)bytes + (int64_t)OCI_CGROUP_OVERHEAD;
    int r = set_number(groups, "memory.max", value, "max");
    return r == -ENOENT ? set_number(groups, "memory.limit_in_bytes", value, NULL) : r;
}

static int limit_cpu(const cJSON *groups, const cJSON *cpu)
{
    const cJSON *quota = find_number(cpu, "quota"), *period = find_number(cpu, "period"),
                *shares = find_number(cpu, "shares");
    int r = 0;
    if (quota) {
        cleanup_free char *both = sh_format("%lld %lld", (long long)quota->valuedouble,
                                            period ? (long long)period->valuedouble : 100000);
        r = -ENOENT;
        FOR_GROUPS(g, groups)
        {
            if (r == -ENOENT)
                r = write_text(g->valuestring, "cpu.max", both);
        }
        if (r == -ENOENT && period)
            (void)set_number(groups, "cpu.cfs_period_us", (int64_t)period->valuedouble, NULL);
        if (r == -ENOENT)
            r = set_number(groups, "cpu.cfs_quota_us", (int64_t)quota->valuedouble, NULL);
    }
    if (shares && shares->valuedouble > 0) {
        int64_t v = (int64_t)shares->valuedouble;
        if (set_number(groups, "cpu.weight", 1 + (v - 2) * 9999 / 262142, NULL) == -ENOENT)
            (void)set_number(groups, "cpu.shares", v, NULL);
    }
    for (size_t i = 0; i < 2; i++) {
        const char *set = oci_text(cpu, i ? "mems" : "cpus");
        if (set && *set && (!r || r == -ENOENT))
            r = set_text(groups, i ? "cpuset.mems" : "cpuset.cpus", set);
    }
    return r;
}

int oci_cgroup_limit(const cJSON *groups, const cJSON *resources, struct sh_error *err)
{
    const cJSON *pids = find_number(oci_object(resources, "pids"), "limit");
    int r = limit_memory(groups, oci_object(resources, "memory"));
    if (!r || r == -ENOENT)
        r = limit_cpu(groups, oci_object(resources, "cpu"));
    /* Its own processes count here, the workload's inside do not: leave room for threads. */
    if ((!r || r == -ENOENT) && pids && pids->valuedouble > 0)
        r = set_number(groups, "pids.max", (int64_t)pids->valuedouble + 256, "max");
    return r && r != -ENOENT ? sh_fail_errno(err, r, "cannot set a limit of the cgroup") : 0;
}

/* --- all in it --- */

int oci_cgroup_freeze(const cJSON *groups, bool freeze, struct sh_error *err)
{
    FOR_GROUPS(g, groups)
    {
        int r = write_text(g->valuestring, "cgroup.freeze", freeze ? "1" : "0");
        if (r == -ENOENT)
            r = write_text(g->valuestring, "freezer.state", freeze ? "FROZEN" : "THAWED");
        if (!r)
            return 0;
    }
    return sh_fail(err, -ENOTSUP, "no freezer among the container's cgroups");
}

bool oci_cgroup_frozen(const cJSON *groups)
{
    char text[32];
    FOR_GROUPS(g, groups)
    {
        if (read_text(g->valuestring, "cgroup.freeze", text, sizeof(text)) && *text == '1')
            return true;
        if (read_text(g->valuestring, "freezer.state", text, sizeof(text)) && *text == 'F')
            return true;
    }
    return false;
}

static int compare_pids(const void *a, const void *b)
{
    const int *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static void add_pids(const char *folder, int **pids, size_t *count)
{
    int pid;
    cleanup_free char *path = sh_format("%s/cgroup.procs", folder);
    cleanup_fclose FILE *f = fopen(path, "re");
    while (f && fscanf(f, "%d", &pid) == 1) {
        *pids = sh_realloc_array(*pids, *count + 1, sizeof(**pids));
        (*pids)[(*count)++] = pid;
    }
}

/* The groups that the instance made below this one (host/base/cgroup.h), by `visit`. */
static void visit_children(const char *group, void (*visit)(const char *folder, void *data),
                           void *data)
{
    cleanup_closedir DIR *dir = opendir(group);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        if (e->d_type != DT_DIR || *e->d_name == '.')
            continue;
        cleanup_free char *path = sh_format("%s/%s", group, e->d_name);
        visit(path, data);
    }
}

struct pid_list {
    int *pids;
    size_t count;
};

static void add_child_pids(const char *folder, void *data)
{
    struct pid_list *l = data;
    add_pids(folder, &l->pids, &l->count);
}

cJSON *oci_cgroup_pids(const cJSON *groups)
{
    struct pid_list l = {0};
    FOR_GROUPS(g, groups)
    {
        add_pids(g->valuestring, &l.pids, &l.count);
        visit_children(g->valuestring, add_child_pids, &l);
    }
    cJSON *list = cJSON_CreateArray();
    if (l.count)
        qsort(l.pids, l.count, sizeof(*l.pids), compare_pids);
    for (size_t i = 0; i < l.count; i++)
        if (!i || l.pids[i] != l.pids[i - 1])
            cJSON_AddItemToArray(list, cJSON_CreateNumber(l.pids[i]));
    free(l.pids);
    return list;
}

bool oci_cgroup_busy(const cJSON *groups)
{
    cJSON *pids = oci_cgroup_pids(groups);
    bool busy = cJSON_GetArraySize(pids) > 0;
    cJSON_Delete(pids);
    return busy;
}

void oci_cgroup_kill(const cJSON *groups)
{
    cJSON *pids = oci_cgroup_pids(groups), *pid;
    cJSON_ArrayForEach(pid, pids)
    {
        kill(pid->valueint, SIGKILL);
    }
    cJSON_Delete(pids);
}

static void remove_group(const char *folder, void *data)
{
    for (int i = 0; i < 1000 && rmdir(folder) && errno == EBUSY; i++)
        usleep(10000);
}

void oci_cgroup_remove(const cJSON *groups)
{
    FOR_GROUPS(g, groups)
    {
        visit_children(g->valuestring, remove_group, NULL);
        remove_group(g->valuestring, NULL);
    }
}

int64_t oci_cgroup_number(const cJSON *groups, const char *file)
{
    char text[64];
    long long value;
    FOR_GROUPS(g, groups)
    {
        if (read_text(g->valuestring, file, text, sizeof(text)) &&
            sscanf(text, "%lld", &value) == 1)
            return value;
    }
    return -1;
}

int64_t oci_cgroup_keyed(const cJSON *groups, const char *file, const char *key)
{
    char text[4096];
    size_t n = strlen(key);
    FOR_GROUPS(g, groups)
    {
        if (!read_text(g->valuestring, file, text, sizeof(text)))
            continue;
        for (const char *p = text; p && *p; p = strchr(p, '\n'), p += p != NULL)
            if (!strncmp(p, key, n) && p[n] == ' ')
                return atoll(p + n + 1);
    }
    return -1;
}
