// SPDX-License-Identifier: Apache-2.0
// config.json and state.json of an instance.
#include <errno.h>
#include <string.h>

#include "host/run/instance.h"
#include "lib/hex.h"
#include "verifier/base/json.h"

#define NUMBER_MAX (1ull << 53) /* what a double holds exactly */

const char *const sh_state_words[] = {"created", "starting", "running", "exited", "dead"};

void sh_instance_config_free(struct sh_instance_config *c)
{
    free(c->name);
    free(c->reference);
    free(c->tee);
    free(c->firmware);
    free(c->broker);
    sh_strings_free(&c->command);
    free(c->ports);
    for (size_t i = 0; i < c->mount_count; i++) {
        free(c->mounts[i].source);
        free(c->mounts[i].target);
    }
    free(c->mounts);
    sh_strings_free(&c->volumes);
    sh_strings_free(&c->data);
    *c = (struct sh_instance_config){0};
}

/* NAME=FILE, each. */
static void add_files(cJSON *root, const char *name, const struct sh_strings *files)
{
    cJSON *list = cJSON_AddArrayToObject(root, name);
    for (size_t i = 0; i < files->count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(files->v[i]));
}

static char *print_and_delete(cJSON *root)
{
    char *text = cJSON_Print(root);
    cJSON_Delete(root);
    if (!text)
        abort();
    return text;
}

static cJSON *ports_json(const struct sh_instance_config *c)
{
    cJSON *list = cJSON_CreateArray();
    for (size_t i = 0; i < c->port_count; i++) {
        cJSON *o = cJSON_CreateObject();
        cJSON_AddStringToObject(o, "protocol", c->ports[i].udp ? "udp" : "tcp");
        cJSON_AddStringToObject(o, "host_address",
                                c->ports[i].host_address[0] ? c->ports[i].host_address : "0.0.0.0");
        cJSON_AddNumberToObject(o, "host_port", c->ports[i].host_port);
        cJSON_AddNumberToObject(o, "guest_port", c->ports[i].guest_port);
        cJSON_AddItemToArray(list, o);
    }
    return list;
}

void sh_instance_add_lists(cJSON *root, const struct sh_instance_config *c)
{
    cJSON *list = cJSON_AddArrayToObject(root, "command");
    for (size_t i = 0; i < c->command.count; i++)
        cJSON_AddItemToArray(list, cJSON_CreateString(c->command.v[i]));
    cJSON_AddItemToObject(root, "ports", ports_json(c));
    list = cJSON_AddArrayToObject(root, "mounts");
    for (size_t i = 0; i < c->mount_count; i++) {
        cJSON *mount = cJSON_CreateObject();
        cJSON_AddStringToObject(mount, "source", c->mounts[i].source);
        cJSON_AddStringToObject(mount, "target", c->mounts[i].target);
        cJSON_AddBoolToObject(mount, "read_only", c->mounts[i].read_only);
        if (c->mounts[i].copied)
            cJSON_AddBoolToObject(mount, "copied", true);
        cJSON_AddBoolToObject(mount, "untrusted", true); /* the host reads and changes it at will */
        cJSON_AddItemToArray(list, mount);
    }
    add_files(root, "volumes", &c->volumes);
    add_files(root, "data", &c->data);
}

char *sh_instance_config_text(const struct sh_instance_config *c)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "id", c->id);
    cJSON_AddStringToObject(root, "name", c->name);
    cJSON_AddStringToObject(root, "image", c->image);
    cJSON_AddStringToObject(root, "reference", c->reference);
    cJSON_AddStringToObject(root, "tee", c->tee);
    cJSON_AddBoolToObject(root, "simulated", c->simulated);
    cJSON_AddStringToObject(root, "boot", c->boot == SH_QEMU_BOOT_PVH ? "pvh" : "bzimage");
    if (c->firmware)
        cJSON_AddStringToObject(root, "firmware", c->firmware);
    cJSON_AddNumberToObject(root, "memory", (double)c->memory);
    cJSON_AddNumberToObject(root, "cpus", c->cpus);
    cJSON_AddBoolToObject(root, "network", c->network);
    cJSON_AddBoolToObject(root, "host_loopback", c->host_loopback);
    if (c->broker)
        cJSON_AddStringToObject(root, "broker", c->broker);
    cJSON_AddBoolToObject(root, "debug", c->debug);
    cJSON_AddBoolToObject(root, "require_confinement", c->require_confinement);
    cJSON_AddBoolToObject(root, "tty", c->tty);
    cJSON_AddBoolToObject(root, "stdin", c->stdin_open);
    cJSON_AddBoolToObject(root, "remove", c->remove);
    cJSON_AddNumberToObject(root, "stop_signal", c->stop_signal);
    cJSON_AddNumberToObject(root, "requests", (double)c->requests);
    char signals[20];
    snprintf(signals, sizeof(signals), "%llx", (unsigned long long)c->signals);
    cJSON_AddStringToObject(root, "signals", signals);
    cJSON_AddNumberToObject(root, "created", (double)c->created);
    cJSON_AddStringToObject(root, "launch_digest", c->launch_digest);
    sh_instance_add_lists(root, c);
    return print_and_delete(root);
}

/* Readers that remember the first thing that was missing or wrong. */
struct reader {
    const cJSON *object;
    bool failed;
};

static const char *get_text(struct reader *r, const char *key)
{
    const cJSON *item = sv_json_get(r->object, key);
    if (!cJSON_IsString(item)) {
        r->failed = true;
        return "";
    }
    return item->valuestring;
}

static uint64_t get_number(struct reader *r, const char *key, uint64_t max)
{
    uint64_t n = 0;
    r->failed |= !sv_json_number(r->object, key, max, &n);
    return n;
}

static bool get_bool(struct reader *r, const char *key)
{
    const cJSON *item = sv_json_get(r->object, key);
    if (!cJSON_IsBool(item))
        r->failed = true;
    return cJSON_IsTrue(item);
}

static void copy_text(struct reader *r, char *out, size_t out_size, const char *text)
{
    size_t n = strlen(text);
    if (n >= out_size) {
        r->failed = true;
        n = 0;
    }
    memcpy(out, text, n);
    out[n] = 0;
}

static void read_files(struct reader *r, const char *name, struct sh_strings *files)
{
    const cJSON *item, *list = cJSON_GetObjectItemCaseSensitive(r->object, name);
    cJSON_ArrayForEach(item, list)
    {
        if (cJSON_IsString(item) && strchr(item->valuestring, '='))
            sh_strings_add(files, item->valuestring);
        else
            r->failed = true;
    }
}

static void parse_lists(struct reader *r, struct sh_instance_config *c)
{
    const cJSON *item, *list = sv_json_get(r->object, "command");
    cJSON_ArrayForEach(item, list)
    {
        if (cJSON_IsString(item))
            sh_strings_add(&c->command, item->valuestring);
        else
            r->failed = true;
    }
    read_files(r, "volumes", &c->volumes);
    read_files(r, "data", &c->data);
    list = cJSON_GetObjectItemCaseSensitive(r->object, "ports");
    c->ports = sh_alloc(sizeof(*c->ports) * (size_t)(cJSON_GetArraySize(list) + 1));
    cJSON_ArrayForEach(item, list)
    {
        struct reader one = {item, false};
        struct sh_port *p = &c->ports[c->port_count++];
        p->udp = !strcmp(get_text(&one, "protocol"), "udp");
        copy_text(&one, p->host_address, sizeof(p->host_address), get_text(&one, "host_address"));
        p->host_port = (uint16_t)get_number(&one, "host_port", 65535);
        p->guest_port = (uint16_t)get_number(&one, "guest_port", 65535);
        r->failed |= one.failed;
    }
    list = cJSON_GetObjectItemCaseSensitive(r->object, "mounts");
    c->mounts = sh_alloc(sizeof(*c->mounts) * (size_t)(cJSON_GetArraySize(list) + 1));
    cJSON_ArrayForEach(item, list)
    {
        struct reader one = {item, false};
        struct sh_mount *m = &c->mounts[c->mount_count++];
        m->source = sh_strdup(get_text(&one, "source"));
        m->target = sh_strdup(get_text(&one, "target"));
        m->read_only = get_bool(&one, "read_only");
        m->copied = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(item, "copied"));
        r->failed |= one.failed;
    }
}

int sh_instance_config_parse(const char *text, struct sh_instance_config *c)
{
    cJSON *root = cJSON_Parse(text);
    *c = (struct sh_instance_config){0};
    if (!cJSON_IsObject(root)) {
        cJSON_Delete(root);
        return -EBADMSG;
    }
    struct reader r = {root, false};
    copy_text(&r, c->id, sizeof(c->id), get_text(&r, "id"));
    copy_text(&r, c->image, sizeof(c->image), get_text(&r, "image"));
    copy_text(&r, c->launch_digest, sizeof(c->launch_digest), get_text(&r, "launch_digest"));
    c->name = sh_strdup(get_text(&r, "name"));
    c->reference = sh_strdup(get_text(&r, "reference"));
    c->tee = sh_strdup(get_text(&r, "tee"));
    c->simulated = get_bool(&r, "simulated");
    c->boot = strcmp(get_text(&r, "boot"), "bzimage") ? SH_QEMU_BOOT_PVH : SH_QEMU_BOOT_BZIMAGE;
    if (cJSON_GetObjectItemCaseSensitive(root, "firmware"))
        c->firmware = sh_strdup(get_text(&r, "firmware"));
    c->memory = (uint64_t)get_number(&r, "memory", NUMBER_MAX);
    c->cpus = (uint32_t)get_number(&r, "cpus", 65535);
    c->network = get_bool(&r, "network");
    c->host_loopback = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(root, "host_loopback"));
    if (cJSON_GetObjectItemCaseSensitive(root, "broker"))
        c->broker = sh_strdup(get_text(&r, "broker"));
    c->debug = get_bool(&r, "debug");
    c->require_confinement = get_bool(&r, "require_confinement");
    c->tty = get_bool(&r, "tty");
    c->stdin_open = get_bool(&r, "stdin");
    c->remove = get_bool(&r, "remove");
    c->stop_signal = (uint32_t)get_number(&r, "stop_signal", 64);
    c->requests = (uint64_t)get_number(&r, "requests", NUMBER_MAX);
    c->signals = strtoull(get_text(&r, "signals"), NULL, 16);
    c->created = (int64_t)get_number(&r, "created", NUMBER_MAX);
    parse_lists(&r, c);
    cJSON_Delete(root);
    if (r.failed) {
        sh_instance_config_free(c);
        return -EBADMSG;
    }
    return 0;
}

char *sh_instance_state_text(const struct sh_instance_state *s)
{
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "state", sh_state_words[s->state]);
    cJSON_AddNumberToObject(root, "supervisor_pid", s->supervisor_pid);
    cJSON_AddNumberToObject(root, "child_pid", s->child_pid);
    /* Nanoseconds do not fit into a double: seconds and the rest. */
    cJSON_AddNumberToObject(root, "started", (double)(s->started / 1000000000));
    cJSON_AddNumberToObject(root, "started_ns", (double)(s->started % 1000000000));
    cJSON_AddNumberToObject(root, "finished", (double)(s->finished / 1000000000));
    cJSON_AddNumberToObject(root, "finished_ns", (double)(s->finished % 1000000000));
    cJSON_AddNumberToObject(root, "exit_code", s->exit_code);
    cJSON_AddStringToObject(root, "error", s->error);
    if (s->measurement)
        cJSON_AddItemToObject(root, "measurement", cJSON_Duplicate(s->measurement, true));
    return print_and_delete(root);
}

int sh_instance_state_parse(const char *text, struct sh_instance_state *s)
{
    cJSON *root = cJSON_Parse(text);
    *s = (struct sh_instance_state){.state = SH_STATE_DEAD};
    if (!cJSON_IsObject(root)) {
        cJSON_Delete(root);
        return -EBADMSG;
    }
    struct reader r = {root, false};
    const char *word = get_text(&r, "state");
    for (int i = SH_STATE_CREATED; i <= SH_STATE_DEAD; i++)
        if (!strcmp(word, sh_state_words[i]))
            s->state = (enum sh_run_state)i;
    s->supervisor_pid = (int)get_number(&r, "supervisor_pid", INT32_MAX);
    s->child_pid = (int)get_number(&r, "child_pid", INT32_MAX);
    s->started = (int64_t)get_number(&r, "started", 9e9) * 1000000000 +
                 (int64_t)get_number(&r, "started_ns", 1e9);
    s->finished = (int64_t)get_number(&r, "finished", 9e9) * 1000000000 +
                  (int64_t)get_number(&r, "finished_ns", 1e9);
    s->exit_code = (int)get_number(&r, "exit_code", 255);
    copy_text(&r, s->error, sizeof(s->error), get_text(&r, "error"));
    s->measurement = cJSON_DetachItemFromObjectCaseSensitive(root, "measurement");
    if (s->measurement && !cJSON_IsObject(s->measurement))
        r.failed = true;
    if (r.failed) {
        cJSON_Delete(s->measurement);
        s->measurement = NULL;
    }
    cJSON_Delete(root);
    return r.failed ? -EBADMSG : 0;
}
