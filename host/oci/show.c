// SPDX-License-Identifier: Apache-2.0
// shelter-runtime state, list, ps, events, features, spec: what only prints.
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <string.h>
#include <time.h>

#include "host/base/temp.h"
#include "host/oci/bundle.h"
#include "host/oci/cgroup.h"
#include "host/oci/container.h"
#include "host/oci/process.h"

static void print_json(cJSON *json, bool pretty)
{
    cleanup_free char *text = pretty ? cJSON_Print(json) : cJSON_PrintUnformatted(json);
    puts(text);
    cJSON_Delete(json);
}

int oci_state(const struct oci_runtime *rt, int argc, char **argv, struct sh_error *err)
{
    struct oci_container c = {.dir_fd = -1, .lock_fd = -1};
    const char *id = oci_only_id(argc, argv, err);
    int r = id ? oci_container_open(rt, id, false, &c, err) : -EINVAL;
    if (!r)
        print_json(oci_container_json(&c), true);
    oci_container_close(&c);
    return r;
}

/* --format table|json, --quiet; -1 for others. */
static int list_options(int argc, char **argv, bool *json, bool *quiet, struct sh_error *err)
{
    static const struct option options[] = {
        {"format", required_argument, NULL, 'f'}, {"quiet", no_argument, NULL, 'q'}, {0}};
    optind = 0; /* a verb may call another */
    for (int o; (o = getopt_long(argc, argv, "+f:q", options, NULL)) != -1;) {
        if (o == 'f' && (!strcmp(optarg, "json") || !strcmp(optarg, "table")))
            *json = *optarg == 'j';
        else if (o == 'q')
            *quiet = true;
        else
            return sh_fail(err, -EINVAL, "%s: --format is table or json; see --help", argv[0]);
    }
    return 0;
}

static void print_row(const cJSON *o)
{
    printf("%-28s %-8d %-10s %-40s %s\n", oci_text(o, "id"),
           cJSON_GetObjectItemCaseSensitive(o, "pid")->valueint, oci_text(o, "status"),
           oci_text(o, "bundle") ? oci_text(o, "bundle") : "",
           oci_text(o, "created") ? oci_text(o, "created") : "");
}

int oci_list(const struct oci_runtime *rt, int argc, char **argv, struct sh_error *err)
{
    bool json = false, quiet = false;
    struct sh_strings ids = {0};
    int r = list_options(argc, argv, &json, &quiet, err);
    if (!r)
        r = oci_container_list(rt, &ids, err);
    if (!r && !json && !quiet)
        printf("%-28s %-8s %-10s %-40s %s\n", "ID", "PID", "STATUS", "BUNDLE", "CREATED");
    cJSON *all = cJSON_CreateArray();
    for (size_t i = 0; !r && i < ids.count; i++) {
        struct oci_container c = {.dir_fd = -1, .lock_fd = -1};
        struct sh_error gone = {0};
        if (quiet)
            puts(ids.v[i]);
        else if (!oci_container_open(rt, ids.v[i], false, &c, &gone))
            cJSON_AddItemToArray(all, oci_container_json(&c));
        oci_container_close(&c);
    }
    const cJSON *o;
    if (!r && !quiet && !json)
        cJSON_ArrayForEach(o, all) print_row(o);
    if (!r && !quiet && json)
        print_json(all, false);
    else
        cJSON_Delete(all);
    sh_strings_free(&ids);
    return r;
}

int oci_ps(const struct oci_runtime *rt, int argc, char **argv, struct sh_error *err)
{
    bool json = false, quiet = false;
    struct oci_container c = {.dir_fd = -1, .lock_fd = -1};
    int r = list_options(argc, argv, &json, &quiet, err);
    if (!r && argc - optind < 1)
        r = sh_fail(err, -EINVAL, "ps: a container id is needed");
    if (!r)
        r = oci_container_open(rt, argv[optind], false, &c, err);
    if (!r && !oci_container_pid(&c))
        r = sh_fail(err, -ESRCH, "container not running");
    if (!r) {
        cJSON *pids = oci_cgroup_pids(oci_array(c.state, "cgroups")), *pid;
        if (json) {
            print_json(pids, false);
        } else {
            puts("PID");
            cJSON_ArrayForEach(pid, pids) printf("%d\n", pid->valueint);
            cJSON_Delete(pids);
        }
    }
    oci_container_close(&c);
    return r;
}

/* --- events: the fields that runc's have and engines read --- */

static cJSON *add_object(cJSON *o, const char *name)
{
    return cJSON_AddObjectToObject(o, name);
}

static void add_count(cJSON *o, const char *name, int64_t value)
{
    if (value >= 0)
        cJSON_AddNumberToObject(o, name, (double)value);
}

static int64_t first_of(int64_t a, int64_t b)
{
    return a >= 0 ? a : b;
}

struct counts {
    int64_t cpu_ns, memory, limit, peak, processes;
};

static cJSON *show_counts(const struct counts *n)
{
    cJSON *data = cJSON_CreateObject();
    add_count(add_object(add_object(data, "cpu"), "usage"), "total", n->cpu_ns);
    cJSON *memory = add_object(add_object(data, "memory"), "usage");
    add_count(memory, "usage", n->memory);
    add_count(memory, "limit", n->limit);
    add_count(memory, "max", n->peak);
    add_count(add_object(data, "pids"), "current", n->processes);
    return data;
}

static cJSON *count_cgroup(const cJSON *groups)
{
    cJSON *pids = oci_cgroup_pids(groups);
    int64_t v2 = oci_cgroup_keyed(groups, "cpu.stat", "usage_usec");
    struct counts n = {
        .cpu_ns = first_of(oci_cgroup_number(groups, "cpuacct.usage"), v2 < 0 ? -1 : v2 * 1000),
        .memory = first_of(oci_cgroup_number(groups, "memory.usage_in_bytes"),
                           oci_cgroup_number(groups, "memory.current")),
        .limit = first_of(oci_cgroup_number(groups, "memory.limit_in_bytes"),
                          oci_cgroup_number(groups, "memory.max")),
        .peak = first_of(oci_cgroup_number(groups, "memory.max_usage_in_bytes"),
                         oci_cgroup_number(groups, "memory.peak")),
        .processes = cJSON_GetArraySize(pids),
    };
    cJSON_Delete(pids);
    return show_counts(&n);
}

static int64_t count_of(const cJSON *counts, const char *name)
{
    const cJSON *n = cJSON_GetObjectItemCaseSensitive(counts, name);
    return cJSON_IsNumber(n) && n->valuedouble >= 0 && n->valuedouble < 0x1p62
               ? (int64_t)n->valuedouble
               : -1;
}

/* In a machine that its pod shares the container has a control group of its own. */
static cJSON *count_inside(const struct oci_container *c, struct sh_error *err)
{
    cJSON *counts = oci_process_count(c, err);
    struct counts n = {count_of(counts, "cpu_ns"), count_of(counts, "memory_bytes"),
                       count_of(counts, "memory_limit_bytes"),
                       count_of(counts, "memory_peak_bytes"), count_of(counts, "processes")};
    cJSON *data = counts ? show_counts(&n) : NULL;
    cJSON_Delete(counts);
    return data;
}

int oci_events(const struct oci_runtime *rt, int argc, char **argv, struct sh_error *err)
{
    static const struct option options[] = {
        {"stats", no_argument, NULL, 's'}, {"interval", required_argument, NULL, 'i'}, {0}};
    struct oci_container c = {.dir_fd = -1, .lock_fd = -1};
    bool once = false;
    const char *interval = "5s";
    optind = 0; /* a verb may call another */
    for (int o; (o = getopt_long(argc, argv, "+", options, NULL)) != -1;) {
        if (o != 's' && o != 'i')
            return sh_fail(err, -EINVAL, "events: unknown option; see --help");
        once |= o == 's';
        interval = o == 'i' ? optarg : interval;
    }
    uint64_t seconds = 0;
    cleanup_free char *number = sh_strdup(interval);
    size_t n = strlen(number);
    if (n)
        number[n - 1] = 0;
    if (!n || interval[n - 1] != 's' || sh_parse_number(number, 1, INT_MAX, &seconds))
        return sh_fail(err, -EINVAL, "events: --interval %s: write seconds, as 5s", interval);
    if (argc - optind != 1)
        return sh_fail(err, -EINVAL, "events: exactly one container id is needed");
    int r = oci_container_open(rt, argv[optind], false, &c, err);
    if (!r && !oci_container_pid(&c))
        r = sh_fail(err, -ESRCH, "container not running");
    while (!r) {
        cJSON *data = oci_text(c.state, "machine") ? count_inside(&c, err)
                                                   : count_cgroup(oci_array(c.state, "cgroups"));
        if (!data) {
            r = -EIO;
            break;
        }
        cJSON *event = cJSON_CreateObject();
        cJSON_AddStringToObject(event, "type", "stats");
        cJSON_AddStringToObject(event, "id", c.id);
        cJSON_AddItemToObject(event, "data", data);
        print_json(event, false);
        if (once || fflush(stdout) || (sleep((unsigned)seconds), !oci_container_pid(&c)))
            break;
    }
    oci_container_close(&c);
    return r;
}

/* --- what this runtime knows --- */

int oci_features(const struct oci_runtime *rt, int argc, char **argv, struct sh_error *err)
{
    static const char *const hooks[] = {"prestart",       "createRuntime", "createContainer",
                                        "startContainer", "poststart",     "poststop"};
    static const char *const mounts[] = {"bind", "rbind", "ro", "rw", "nosuid", "nodev", "noexec"};
    cJSON *o = cJSON_CreateObject(), *list;
    cJSON_AddStringToObject(o, "ociVersionMin", "1.0.0");
    cJSON_AddStringToObject(o, "ociVersionMax", OCI_VERSION);
    list = cJSON_AddArrayToObject(o, "hooks");
    for (size_t i = 0; i < sizeof(hooks) / sizeof(*hooks); i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(hooks[i]));
    list = cJSON_AddArrayToObject(o, "mountOptions");
    for (size_t i = 0; i < sizeof(mounts) / sizeof(*mounts); i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(mounts[i]));
    cJSON *os = add_object(o, "linux");
    list = cJSON_AddArrayToObject(os, "namespaces");
    cJSON_AddItemToArray(list, cJSON_CreateString("network"));
    cJSON *cgroup = add_object(os, "cgroup");
    cJSON_AddBoolToObject(cgroup, "v1", true);
    cJSON_AddBoolToObject(cgroup, "v2", true);
    cJSON_AddBoolToObject(cgroup, "systemd", false);
    cJSON *annotations = add_object(o, "annotations");
    cJSON_AddStringToObject(annotations, "io.shelter.version", SHELTER_VERSION);
    print_json(o, true);
    return 0;
}

static const char example[] =
    "{\n"
    "  \"ociVersion\": \"" OCI_VERSION "\",\n"
    "  \"process\": {\n"
    "    \"terminal\": false,\n"
    "    \"user\": {\"uid\": 0, \"gid\": 0},\n"
    "    \"args\": [\"sh\"],\n"
    "    \"env\": [\"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\"],\n"
    "    \"cwd\": \"/\"\n"
    "  },\n"
    "  \"root\": {\"path\": \"rootfs\"},\n"
    "  \"hostname\": \"shelter\",\n"
    "  \"annotations\": {\"io.shelter.memory\": \"512M\"},\n"
    "  \"linux\": {\"namespaces\": [{\"type\": \"network\"}]}\n"
    "}\n";

int oci_spec(const struct oci_runtime *rt, int argc, char **argv, struct sh_error *err)
{
    static const struct option options[] = {
        {"bundle", required_argument, NULL, 'b'}, {"rootless", no_argument, NULL, 'r'}, {0}};
    const char *bundle = ".";
    optind = 0; /* a verb may call another */
    for (int o; (o = getopt_long(argc, argv, "+b:", options, NULL)) != -1;) {
        if (o != 'b' && o != 'r')
            return sh_fail(err, -EINVAL, "spec: unknown option; see --help");
        bundle = o == 'b' ? optarg : bundle;
    }
    cleanup_free char *path = sh_format("%s/config.json", bundle);
    if (!access(path, F_OK))
        return sh_fail(err, -EEXIST, "%s exists; remove it first", path);
    return sh_write_file(AT_FDCWD, path, example, strlen(example), 0644, err);
}
