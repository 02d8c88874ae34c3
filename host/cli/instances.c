// SPDX-License-Identifier: Apache-2.0
// What the verbs that name instances share.
#include "host/cli/instances.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "host/image/inspect.h"
#include "host/run/control.h"

int sh_each_instance(char **names, size_t count,
                     int (*each)(struct sh_store *, struct sh_instance *, void *,
                                 struct sh_error *),
                     void *context)
{
    struct sh_store store;
    struct sh_error open_error = {0};
    int status = 0;
    if (sh_store_open(&store, &open_error))
        return sh_error_report(&open_error);
    for (size_t i = 0; i < count; i++) {
        struct sh_error err = {0};
        struct sh_instance instance;
        int r = sh_instance_open(&store, names[i], &instance, &err);
        if (!r) {
            r = each(&store, &instance, context, &err);
            sh_instance_close(&instance);
        }
        if (r) {
            int code = sh_error_report(&err);
            status = status ? status : code;
        }
    }
    sh_store_close(&store);
    return status;
}

bool sh_no_such_name(struct sh_store *store, const char *name, struct sh_error *err)
{
    struct sh_image image;
    struct sh_error why = {0};
    int r = sh_image_open(store, name, &image, &why);
    if (!r)
        sh_image_close(&image);
    if (r != -ENOENT)
        return false;
    *err = (struct sh_error){0};
    sh_fail(err, r,
            "there is no instance and no image '%s'; 'shelter ps -a' and 'shelter images' list "
            "those there are",
            name);
    return true;
}

static bool ends_within(struct sh_instance *instance, int64_t ms)
{
    int64_t end = sh_now_ms() + ms;
    for (;;) {
        sh_instance_refresh(instance);
        if (!sh_instance_alive(instance))
            return true;
        if (sh_now_ms() >= end)
            return false;
        usleep(10000);
    }
}

int sh_instance_force_end(struct sh_instance *instance, struct sh_error *err)
{
    struct sh_error ignored = {0};
    struct sh_fifo out = {0};
    struct sh_frame_reader in = {0};
    struct sh_frame_view frame;
    sh_instance_refresh(instance);
    if (!sh_instance_alive(instance))
        return 0;
    cleanup_close int fd = sh_control_connect(instance, &ignored);
    if (fd >= 0) {
        sh_frame_put_u32(&out, SH_CONTROL_STOP, 0, 0, 0);
        if (!sh_control_send(fd, &out))
            (void)sh_control_receive(fd, &in, &frame, 6000);
    }
    sh_fifo_free(&out);
    sh_frames_free(&in);
    if (ends_within(instance, fd < 0 ? 0 : 2000))
        return 0;
    /* It holds the lock and does not answer: its child dies with it. */
    pid_t pid = sh_instance_holder(instance);
    if (pid)
        kill(pid, SIGKILL);
    if (ends_within(instance, 5000))
        return 0;
    return sh_fail(
        err, -EBUSY,
        pid ? "instance %s cannot be ended; its supervisor is process %d"
            : "instance %s cannot be ended: its supervisor is a process of somebody else",
        instance->config.name, (int)pid);
}

void sh_format_span(char *out, size_t out_size, int64_t from, int64_t to)
{
    int64_t s = to > from ? (to - from) / 1000000000 : 0;
    static const struct {
        int64_t seconds;
        const char *name;
    } units[] = {{86400, "day"}, {3600, "hour"}, {60, "minute"}, {1, "second"}};
    size_t u = 0;
    while (u < 3 && s < 2 * units[u].seconds)
        u++;
    long long n = s / units[u].seconds;
    snprintf(out, out_size, "%lld %s%s", n, units[u].name, n == 1 ? "" : "s");
}

char *sh_instance_status_text(const struct sh_instance *i)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t now = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    char span[32];
    switch (i->state.state) {
    case SH_STATE_RUNNING:
        sh_format_span(span, sizeof(span), i->state.started, now);
        return sh_format("running for %s", span);
    case SH_STATE_EXITED:
        sh_format_span(span, sizeof(span), i->state.finished, now);
        return sh_format("exited (%d) %s ago", i->state.exit_code, span);
    default:
        return sh_strdup(sh_state_words[i->state.state]);
    }
}

char *sh_instance_ports_text(const struct sh_instance_config *c)
{
    struct sh_buffer b = {0};
    for (size_t i = 0; i < c->port_count; i++) {
        const struct sh_port *p = &c->ports[i];
        cleanup_free char *one =
            sh_format("%s%s%s%s:%u->%u/%s", i ? ", " : "", strchr(p->host_address, ':') ? "[" : "",
                      p->host_address[0] ? p->host_address : "0.0.0.0",
                      strchr(p->host_address, ':') ? "]" : "", p->host_port, p->guest_port,
                      p->udp ? "udp" : "tcp");
        sh_buffer_add(&b, one, strlen(one));
    }
    sh_buffer_add(&b, "", 1);
    return (char *)b.data;
}

char *sh_instance_command_text(const struct sh_instance_config *c)
{
    struct sh_buffer b = {0};
    for (size_t i = 0; i < c->command.count; i++) {
        if (i)
            sh_buffer_add(&b, " ", 1);
        for (const char *p = c->command.v[i]; *p; p++)
            sh_buffer_add(&b, (unsigned char)*p < 0x20 || *p == 0x7f ? "?" : p, 1);
    }
    sh_buffer_add(&b, "", 1);
    return (char *)b.data;
}

static void add_time(cJSON *root, const char *key, int64_t ns)
{
    char text[32];
    if (!ns) {
        cJSON_AddNullToObject(root, key);
        return;
    }
    sh_format_time(text, sizeof(text), ns / 1000000000);
    cJSON_AddStringToObject(root, key, text);
}

cJSON *sh_instance_json(struct sh_store *store, const struct sh_instance *i)
{
    const struct sh_instance_config *c = &i->config;
    cJSON *root = cJSON_CreateObject();
    cJSON_AddStringToObject(root, "id", c->id);
    cJSON_AddStringToObject(root, "name", c->name);
    cJSON_AddStringToObject(root, "image", c->image);
    cJSON_AddStringToObject(root, "reference", c->reference);
    cJSON_AddStringToObject(root, "state", sh_state_words[i->state.state]);
    if (i->state.state == SH_STATE_EXITED)
        cJSON_AddNumberToObject(root, "exit_code", i->state.exit_code);
    else
        cJSON_AddNullToObject(root, "exit_code");
    if (i->state.error[0])
        cJSON_AddStringToObject(root, "error", i->state.error);
    cJSON_AddStringToObject(root, "tee", c->tee);
    cJSON_AddBoolToObject(root, "simulated", c->simulated);
    cJSON *measurement = cJSON_Duplicate(i->state.measurement, true);
    cJSON_AddItemToObject(root, "measurement", measurement ? measurement : cJSON_CreateNull());
    cJSON_AddStringToObject(root, "launch_digest", c->launch_digest);
    add_time(root, "created", c->created * 1000000000);
    add_time(root, "started", i->state.started);
    add_time(root, "finished", i->state.finished);
    cJSON_AddNumberToObject(root, "pid", i->state.child_pid);
    cJSON_AddNumberToObject(root, "supervisor_pid", i->state.supervisor_pid);
    cJSON_AddNumberToObject(root, "memory", (double)c->memory);
    cJSON_AddNumberToObject(root, "cpus", c->cpus);
    cJSON_AddBoolToObject(root, "network", c->network);
    cJSON_AddBoolToObject(root, "host_loopback", c->host_loopback);
    cJSON_AddBoolToObject(root, "tty", c->tty);
    cJSON_AddBoolToObject(root, "debug", c->debug);
    cJSON_AddBoolToObject(root, "remove", c->remove);
    sh_instance_add_lists(root, c);
    cleanup_free char *folder = sh_format("%s/instances/%s", store->path, c->id);
    cJSON_AddStringToObject(root, "folder", folder);
    return root;
}
