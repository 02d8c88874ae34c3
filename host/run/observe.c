// SPDX-License-Identifier: Apache-2.0
// Counts of running instances, from /proc and from the inside.
#include "host/run/observe.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/base/util.h"
#include "host/run/control.h"
#include "verifier/base/json_read.h"

#define PROCESSES_MAX 4096u /* of one instance; more are not counted */

struct usage {
    uint64_t memory, ticks;
    unsigned processes;
};

/* Fields 4, 14 and 15 of /proc/PID/stat (proc(5)), behind the name, which may hold anything. */
static bool read_stat(int pid, int *parent, uint64_t *ticks)
{
    char path[64], text[1024];
    unsigned long long user, system;
    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    cleanup_close int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    text[n > 0 ? n : 0] = 0;
    const char *rest = strrchr(text, ')');
    if (!rest || sscanf(rest + 1, " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", parent,
                        &user, &system) != 3)
        return false;
    *ticks = user + system;
    return true;
}

static uint64_t read_memory(int pid)
{
    char path[64], line[256];
    unsigned long long kib = 0;
    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);
    cleanup_fclose FILE *f = fopen(path, "re");
    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "Pss: %llu", &kib) == 1)
            break;
    return (uint64_t)kib << 10;
}

static void add_process(struct usage *u, int pid, uint64_t ticks)
{
    u->memory += read_memory(pid);
    u->ticks += ticks;
    u->processes++;
}

static bool is_listed(const int *list, unsigned count, int pid)
{
    for (unsigned i = 0; i < count; i++)
        if (list[i] == pid)
            return true;
    return false;
}

/* The supervisor and all below it. Children have higher numbers but for a wrap, so that two rounds
 * find nearly all; what is started meanwhile is counted next time. */
static void count_tree(int root, struct usage *u)
{
    static int list[PROCESSES_MAX];
    unsigned count = 0;
    uint64_t ticks;
    int parent;
    *u = (struct usage){0};
    if (root <= 0 || !read_stat(root, &parent, &ticks))
        return;
    list[count++] = root;
    add_process(u, root, ticks);
    for (int round = 0; round < 2; round++) {
        cleanup_closedir DIR *dir = opendir("/proc");
        for (struct dirent *e; dir && (e = readdir(dir));) {
            int pid = atoi(e->d_name);
            if (pid <= 0 || count == PROCESSES_MAX || is_listed(list, count, pid) ||
                !read_stat(pid, &parent, &ticks) || !is_listed(list, count, parent))
                continue;
            list[count++] = pid;
            add_process(u, pid, ticks);
        }
    }
}

static cJSON *ask_inside(const struct sh_instance *instance)
{
    struct sh_error ignored = {0};
    const struct sh_instance_config *c = &instance->config;
    cleanup_free char *answer = NULL;
    if (!c->debug && !(c->requests & SH_POLICY_STATS))
        return NULL;
    if (sh_control_request(instance, SH_FRAME_STATS, NULL, 0, &answer, &ignored))
        return NULL;
    cJSON *counts = sv_json_read_text(answer, NULL, 0);
    if (cJSON_IsObject(counts))
        return counts;
    cJSON_Delete(counts);
    return NULL;
}

/* NAME=FILE or NAME=ro:FILE. */
static void add_volumes(cJSON *o, const struct sh_instance_config *c)
{
    cJSON *volumes = cJSON_AddObjectToObject(o, "volumes");
    for (size_t i = 0; i < c->volumes.count; i++) {
        const char *text = c->volumes.v[i], *equal = strchr(text, '=');
        struct stat st;
        if (!equal)
            continue;
        cleanup_free char *name = sh_format("%.*s", (int)(equal - text), text);
        const char *file = strncmp(equal + 1, "ro:", 3) ? equal + 1 : equal + 4;
        if (!stat(file, &st) && S_ISREG(st.st_mode))
            cJSON_AddNumberToObject(volumes, name, (double)st.st_blocks * 512);
    }
}

cJSON *sh_observe(const struct sh_instance *instance)
{
    const struct sh_instance_config *c = &instance->config;
    struct usage u;
    cJSON *o = cJSON_CreateObject();
    count_tree(instance->state.supervisor_pid, &u);
    cJSON_AddStringToObject(o, "instance", c->name);
    cJSON_AddStringToObject(o, "id", c->id);
    cJSON_AddStringToObject(o, "image", c->reference);
    cJSON_AddStringToObject(o, "tee", c->tee);
    cJSON_AddBoolToObject(o, "simulated", c->simulated);
    cJSON_AddNumberToObject(o, "started", (double)(instance->state.started / 1000000000));
    cJSON_AddNumberToObject(o, "processes", u.processes);
    cJSON_AddNumberToObject(o, "memory_bytes", (double)u.memory);
    cJSON_AddNumberToObject(o, "cpu_seconds", (double)u.ticks / (double)sysconf(_SC_CLK_TCK));
    add_volumes(o, c);
    cJSON *stats = ask_inside(instance);
    if (stats)
        cJSON_AddItemToObject(o, "stats", stats);
    return o;
}

int sh_observe_all(struct sh_store *store, cJSON **list, struct sh_error *err)
{
    struct sh_strings ids = {0};
    int r = sh_instance_list(store, &ids, err);
    *list = cJSON_CreateArray();
    for (size_t i = 0; !r && i < ids.count; i++) {
        struct sh_instance instance;
        struct sh_error none = {0};
        if (sh_instance_open_id(store, ids.v[i], &instance, &none))
            continue; /* removed since we listed, or damaged, which `ps` tells */
        if (sh_instance_alive(&instance))
            cJSON_AddItemToArray(*list, sh_observe(&instance));
        sh_instance_close(&instance);
    }
    sh_strings_free(&ids);
    return r;
}
