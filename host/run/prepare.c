// SPDX-License-Identifier: Apache-2.0
// From options, or from a stopped instance, to a supervisor that runs it.
#include "host/run/prepare.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <shelter/boot.h>

#include "host/base/descriptor.h"
#include "host/base/utf8.h"
#include "host/image/settings.h"
#include "host/run/allowed.h"
#include "host/run/broker_address.h"
#include "host/run/copy_in.h"
#include "host/run/pool.h"
#include "host/run/ports.h"
#include "host/run/volumes.h"
#include "host/run/relay.h"
#include "host/run/terminal.h"
#include "host/launch/launch_write.h"
#include "lib/hex.h"

void sh_warn_simulated(const struct sh_instance_config *config)
{
    if (config->simulated)
        sh_tee_warn_simulated(config->tee);
}

/* The counts and traces of an enclave that the image keeps to itself. */
static int check_outputs(const struct sh_run_options *o, uint64_t requests, struct sh_error *err)
{
    if (o->stats && !o->debug && sh_request_need(requests, SH_POLICY_STATS, "--stats", err))
        return -EPERM;
    if (o->trace && !o->debug && sh_request_need(requests, SH_POLICY_TRACE, "--trace", err))
        return -EPERM;
    return 0;
}

/* A file that the child will write to, opened here as the user who names it: the child gets it as a
 * descriptor, whatever the name comes to mean. Its name there. */
static int open_output(const char *path, int *fd, char **name, struct sh_error *err)
{
    cleanup_close int first = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    *fd = first < 0 ? -1 : fcntl(first, F_DUPFD_CLOEXEC, 3); /* none that a supervisor gives away */
    if (*fd < 0)
        return sh_fail_errno(err, -errno, "cannot write %s", path);
    *name = sh_format("/proc/self/fd/%d", *fd);
    return 0;
}

/* --stats and --trace, once the back end has agreed to them. */
static int make_outputs(struct sh_prepared *p, const struct sh_run_options *o, struct sh_error *err)
{
    int r = 0;
    if (o->stats)
        r = open_output(o->stats, &p->spec.output_fds[0], &p->stats_file, err);
    if (!r && o->trace_file)
        r = open_output(o->trace_file, &p->spec.output_fds[1], &p->trace_file, err);
    if (o->stats)
        p->spec.stats_file = p->stats_file;
    if (o->trace_file)
        p->spec.trace_file = p->trace_file;
    return r;
}

/* What the launch config must say of the argv: nothing where it is the image's own. -c replaces the
 * whole command; plain arguments replace the image's command and keep its entrypoint; --entrypoint
 * replaces the entrypoint and drops the command. */
static void choose_command(const struct sh_run_options *o, const struct sh_settings *built,
                           struct sh_strings *args)
{
    if (!o->entrypoint && !o->command.count)
        return;
    if (o->entrypoint && *o->entrypoint)
        sh_strings_add(args, o->entrypoint);
    for (size_t i = 0; !o->entrypoint && !o->has_command_text && i < built->entrypoint_count; i++)
        sh_strings_add(args, built->args.items[i]);
    for (size_t i = 0; i < o->command.count; i++)
        sh_strings_add(args, o->command.v[i]);
}

/* Fills the config of a new instance with what is not in the launch config. */
static int describe_instance(const struct sh_run_options *o, struct sh_instance_config *c,
                             struct sh_error *err)
{
    c->name = o->name ? sh_strdup(o->name) : NULL;
    c->reference = sh_strdup(o->image);
    c->boot = o->boot;
    if (o->firmware && !(c->firmware = realpath(o->firmware, NULL)))
        return sh_fail_errno(err, -errno, "cannot read the firmware %s", o->firmware);
    c->remove = o->remove;
    c->require_confinement = o->require_confinement;
    c->ports = sh_alloc((o->port_count + 1) * sizeof(*c->ports));
    c->mounts = sh_alloc((o->mount_count + 1) * sizeof(*c->mounts));
    for (size_t i = 0; i < o->port_count; i++)
        c->ports[c->port_count++] = o->ports[i];
    for (size_t i = 0; i < o->mount_count; i++) {
        const struct sh_mount *from = &o->mounts[i];
        c->mounts[c->mount_count++] = (struct sh_mount){.source = sh_strdup(from->source),
                                                        .target = sh_strdup(from->target),
                                                        .read_only = from->read_only};
    }
    /* One of a pool gets its ports when it is taken. */
    return o->count ? 0 : sh_ports_check(c->ports, c->port_count, err);
}

/* -v. What the image names no place for can still be copied in, as it is now, and only read. */
static int describe_mounts(const struct sh_run_options *o, const struct sh_backend *backend,
                           const struct sh_manifest *image, struct sh_launch *l,
                           struct sh_error *err)
{
    int r = 0;
    for (size_t i = 0; !r && i < o->mount_count; i++) {
        const struct sh_mount *m = &o->mounts[i];
        cleanup_free char *tag = sh_format(SH_BOOT_SHARE_TAG "%zu", i);
        if (!backend->copies || !m->read_only || sh_settings_place(image, m->target))
            sh_strings_addf(&l->mounts, SH_LAUNCH_MOUNT_FORMAT, tag, m->read_only ? "ro" : "rw",
                            m->target);
        else
            r = sh_copy_in(m->source, m->target, &l->files, err);
    }
    return r;
}

/* What the options ask for, where the image does not say it already. Strings are the options'. */
static int describe_launch(const struct sh_run_options *o, const struct sh_settings *built,
                           const struct sh_backend *backend, const struct sh_manifest *image,
                           struct sh_launch *l, struct sh_error *err)
{
    bool network = o->network ? strcmp(o->network, "none") : built->outside;
    if (!network && (o->port_count || o->broker))
        return sh_fail(err, -EINVAL,
                       "%s needs a network, and the image says it has none; add "
                       "--network user",
                       o->port_count ? "-p" : "-i");
    choose_command(o, built, &l->args);
    for (size_t i = 0; i < o->env.count; i++)
        sh_strings_add(&l->env, o->env.v[i]);
    for (size_t i = 0; i < o->files.count; i++)
        sh_strings_add(&l->files, o->files.v[i]);
    for (size_t i = 0; i < o->limits.count; i++)
        sh_strings_add(&l->limits, o->limits.v[i]);
    l->workdir = o->workdir;
    l->user = o->user;
    l->hostname = o->hostname;
    l->has_stdin = !o->detach;
    l->tty = !o->detach && sh_run_tty(o);
    l->read_only = o->read_only;
    l->network = !o->network               ? NULL
                 : !network                ? "none"
                 : strchr(o->network, '/') ? o->network
                                           : "dhcp";
    l->memory = o->memory ? o->memory : built->memory ? built->memory : SH_LAUNCH_MEMORY_DEFAULT;
    l->memory = (l->memory + (1 << 20) - 1) >> 20 << 20;
    l->cpus = o->cpus ? o->cpus : built->cpus ? built->cpus : SH_LAUNCH_CPUS_DEFAULT;
    l->debug = o->debug;
    if (l->memory < SH_LAUNCH_MEMORY_MIN)
        return sh_fail(err, -EINVAL, "too little memory; an instance needs at least %lluM: use -m",
                       SH_LAUNCH_MEMORY_MIN >> 20);
    for (size_t i = 0; i < o->port_count; i++)
        sh_strings_addf(&l->ports, SH_LAUNCH_PORT_FORMAT,
                        sh_protocol_name(o->ports[i].udp ? SH_UDP : SH_TCP),
                        o->ports[i].guest_port);
    if (o->publish_all && network) {
        sh_strings_addf(&l->ports, "%s " SH_LAUNCH_PORT_ALL, sh_protocol_name(SH_TCP));
        sh_strings_addf(&l->ports, "%s " SH_LAUNCH_PORT_ALL, sh_protocol_name(SH_UDP));
    }
    return describe_mounts(o, backend, image, l, err);
}

/* The rest of the instance's config: as it will be inside. */
static int describe_effect(const struct sh_run_options *o, const struct sh_settings *s,
                           const struct sh_manifest *m, struct sh_instance_config *c,
                           struct sh_error *err)
{
    if (!s->args.count && !s->container_count)
        return sh_fail(err, -EINVAL, "the image has no command; give one: shelter run %s COMMAND",
                       o->image);
    for (size_t i = 0; i < s->args.count; i++) { /* for people, and for JSON */
        cleanup_free char *clean = sh_utf8_clean(s->args.items[i], strlen(s->args.items[i]));
        sh_strings_add(&c->command, clean);
    }
    c->memory = s->memory;
    c->cpus = s->cpus;
    c->network = s->outside;
    c->host_loopback = s->outside && o->network && !strcmp(o->network, "host-loopback");
    c->debug = s->debug;
    c->tty = s->terminal;
    c->stdin_open = s->input;
    c->stop_signal = s->stop_signal;
    c->requests = s->requests;
    c->signals = s->signals;
    for (size_t i = 0; i < c->mount_count; i++) {
        bool shared = false;
        for (size_t k = 0; k < s->share_count; k++)
            shared |= !strcmp(c->mounts[i].target, s->shares[k].path);
        c->mounts[i].copied = !shared;
    }
    int r = sh_volumes_match(s, m, &o->volumes, c, err);
    return r ? r : check_outputs(o, s->requests, err);
}

/* What `c` says, as a back end reads it. */
static int describe_spec(struct sh_prepared *p, const struct sh_backend *backend,
                         const struct sh_instance_config *c, struct sh_error *err)
{
    p->spec = (struct sh_launch_spec){
        .backend = backend,
        .image = &p->image,
        .store_path = p->store->path,
        .name = c->name,
        .memory = c->memory,
        .cpus = c->cpus,
        .network = c->network,
        .egress.host_loopback = c->host_loopback,
        .debug = c->debug,
        .require_confinement = c->require_confinement,
        .tty = c->tty,
        .port_count = c->port_count,
        .mounts = c->mounts,
        .mount_count = c->mount_count,
        .volumes = &c->volumes,
        .data = &c->data,
        .boot = c->boot,
        .firmware = c->firmware,
        .channel_fd = -1,
        .service_fd = -1,
        .network_fd = -1,
        .tap_fd = -1,
        .output_fds = {-1, -1},
    };
    if (c->broker)
        p->spec.egress.broker = sh_broker_end(c->broker);
    free(p->inner_ports);
    p->spec.ports = p->inner_ports = sh_alloc((c->port_count + 1) * sizeof(*p->inner_ports));
    int r = sh_relay_inner(c->ports, c->port_count, p->inner_ports, &p->spec.port_count, err);
    if (r)
        return r;
    if (c->tty)
        sh_terminal_size(&p->spec.rows, &p->spec.columns);
    if (sh_unhex(p->spec.manifest_digest, 48, p->image.id))
        return sh_fail(err, -EBADMSG, "image id '%s' is not a digest", p->image.id);
    (void)sh_unhex(p->spec.launch_digest, 48, c->launch_digest);
    return 0;
}

/* The rest, once there is an instance: its config is the one that stays. */
static void name_instance(struct sh_prepared *p)
{
    const struct sh_instance_config *c = &p->instance.config;
    p->instance_path = sh_format("%s/instances/%s", p->store->path, c->id);
    p->spec.instance_path = p->instance_path;
    p->spec.name = c->name;
    p->spec.mounts = c->mounts;
    p->spec.volumes = &c->volumes;
    p->spec.data = &c->data;
    p->spec.firmware = c->firmware;
}

static int write_new_files(struct sh_prepared *p, const struct sh_buffer *launch,
                           struct sh_error *err)
{
    int dir = p->instance.dir_fd;
    cleanup_close int fd = openat(dir, "launch", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : sh_write_all(fd, launch->data, launch->size);
    if (r)
        return sh_fail_errno(err, r, "cannot write the launch config");
    if (!p->spec.backend->write_files)
        return 0;
    struct sh_view manifest = {p->image.manifest_bytes, p->image.manifest_size};
    struct sh_view text = {launch->data, launch->size};
    return p->spec.backend->write_files(dir, manifest, text, err);
}

/* Command, environment and the rest as config and launch config; nothing is made yet. */
static int describe_all(struct sh_prepared *p, const struct sh_run_options *o,
                        const struct sh_backend *backend, struct sh_instance_config *c,
                        struct sh_buffer *launch, struct sh_error *err)
{
    struct sh_launch l = {0};
    struct sh_settings built, s;
    uint8_t digest[48];
    const struct sh_manifest *m = &p->image.manifest;
    cleanup_free char *broker = NULL;
    cleanup_free void *own = NULL, *arena = NULL;
    int r = sh_settings_read(m, NULL, 0, &built, &own, err);
    if (!r)
        r = describe_launch(o, &built, backend, m, &l, err);
    if (!r && o->broker && !(l.broker = broker = sh_broker_url(o->broker, true, err)))
        r = -EINVAL;
    if (!r)
        r = sh_launch_write(&l, launch, digest, err);
    if (!r)
        r = sh_settings_read(m, launch->data, launch->size, &s, &arena, err);
    if (!r)
        r = describe_instance(o, c, err);
    if (!r && s.container_count && !backend->start_network)
        r = sh_fail(err, -ENOTSUP,
                    "the image has containers that share a VM, and %s has none: choose another TEE",
                    backend->name);
    if (!r)
        r = describe_effect(o, &s, m, c, err);
    if (!r && broker)
        c->broker = sh_strdup(broker);
    sh_launch_free(&l);
    if (r)
        return r;
    memcpy(c->image, p->image.id, sizeof(c->image));
    c->tee = sh_strdup(backend->name);
    c->simulated = backend->simulated;
    sh_hex(c->launch_digest, digest, sizeof(digest));
    return 0;
}

/* Everything that can fail for want of something on this host fails before there is an instance. */
static int prepare_spec(struct sh_prepared *p, const struct sh_run_options *o,
                        struct sh_instance_config *c, struct sh_buffer *launch,
                        struct sh_error *err)
{
    const struct sh_backend *backend;
    int r = sh_backend_find(o->tee ? o->tee : "auto", p->image.dir_fd, &backend, err);
    if (!r)
        r = describe_all(p, o, backend, c, launch, err);
    if (!r)
        r = describe_spec(p, backend, c, err);
    if (!r) {
        p->spec.publish_all = o->publish_all;
        /* An enclave's sockets are made there; a machine has a loopback of its own. */
        p->spec.egress.host_loopback |= o->pod_loopback && !backend->start_network;
        p->spec.resolver = o->resolver;
        p->spec.stats_file = o->stats;
        p->spec.trace_file = o->trace_file ? o->trace_file : o->trace ? "" : NULL;
        r = backend->prepare(&p->spec, err);
    }
    return r ? r : make_outputs(p, o, err);
}

static int make_instance(struct sh_prepared *p, const struct sh_run_options *o,
                         struct sh_error *err)
{
    struct sh_instance_config c = {0};
    struct sh_buffer launch = {0};
    int r = prepare_spec(p, o, &c, &launch, err);
    if (!r && o->from_pool)
        p->pool_fd = sh_pool_claim(p->store, &p->spec, c.id);
    if (!r) {
        r = sh_instance_create(p->store, &c, &p->instance, &p->lock_fd, err);
        p->instance_open = !r;
    }
    if (!r) {
        name_instance(p);
        r = write_new_files(p, &launch, err);
    }
    sh_instance_config_free(&c);
    sh_buffer_free(&launch);
    return r;
}

int sh_prepare_new(struct sh_store *store, const struct sh_run_options *o, struct sh_prepared *p,
                   struct sh_error *err)
{
    *p = (struct sh_prepared){.store = store, .lock_fd = -1, .pool_fd = -1, .is_new = true};
    int r = sh_image_open(store, o->image, &p->image, err);
    p->image_open = !r;
    return r ? r : make_instance(p, o, err);
}

int sh_prepare_pool(struct sh_store *store, const struct sh_run_options *o, struct sh_prepared *p,
                    struct sh_buffer *launch, struct sh_error *err)
{
    *p = (struct sh_prepared){
        .store = store, .lock_fd = -1, .pool_fd = -1, .instance.dir_fd = -1, .is_new = true};
    int r = sh_image_open(store, o->image, &p->image, err);
    p->image_open = !r;
    p->instance_open = true; /* its config */
    return r ? r : prepare_spec(p, o, &p->instance.config, launch, err);
}

int sh_prepared_adopt(struct sh_prepared *p, const char *id, int lock_fd, uint16_t rows,
                      uint16_t columns, struct sh_error *err)
{
    struct sh_instance made;
    p->lock_fd = lock_fd;
    int r = sh_instance_open_id(p->store, id, &made, err);
    if (r)
        return r;
    sh_instance_close(&p->instance);
    p->instance = made;
    p->instance_open = true;
    const struct sh_instance_config *c = &p->instance.config;
    free(p->inner_ports);
    p->spec.ports = p->inner_ports = sh_alloc((c->port_count + 1) * sizeof(*p->inner_ports));
    p->spec.rows = rows;
    p->spec.columns = columns;
    free(p->instance_path);
    name_instance(p);
    return sh_relay_inner(c->ports, c->port_count, p->inner_ports, &p->spec.port_count, err);
}

int sh_prepare_again(struct sh_store *store, struct sh_instance *instance, struct sh_prepared *p,
                     struct sh_error *err)
{
    *p = (struct sh_prepared){
        .store = store, .lock_fd = -1, .pool_fd = -1, .instance = *instance, .instance_open = true};
    *instance = (struct sh_instance){.dir_fd = -1};
    const struct sh_instance_config *c = &p->instance.config;
    const struct sh_backend *backend;
    int r = sh_instance_lock(&p->instance, &p->lock_fd);
    if (r)
        return sh_fail(err, r, "instance %s is already running", c->name);
    r = sh_image_open(store, c->image, &p->image, err);
    p->image_open = !r;
    if (!r)
        r = sh_backend_find(c->tee, p->image.dir_fd, &backend, err);
    if (!r)
        r = sh_ports_check(p->instance.config.ports, c->port_count, err);
    if (!r)
        r = describe_spec(p, backend, c, err);
    if (!r)
        name_instance(p);
    return r ? r : backend->prepare(&p->spec, err);
}

/* Until the supervisor knows more; also takes back "exited" of an earlier life. */
static int save_starting(struct sh_prepared *p, struct sh_error *err)
{
    cJSON_Delete(p->instance.state.measurement);
    p->instance.state = (struct sh_instance_state){.state = SH_STATE_STARTING};
    int r = sh_instance_save_state(p->instance.dir_fd, &p->instance.state);
    return r ? sh_fail_errno(err, r, "cannot write the instance's state") : 0;
}

struct sh_launch_plan sh_prepared_plan(struct sh_prepared *p)
{
    return (struct sh_launch_plan){.store = p->store,
                                   .instance = &p->instance,
                                   .lock_fd = p->lock_fd,
                                   .image_fd = p->image.dir_fd,
                                   .spec = &p->spec,
                                   .discard_failed = p->is_new};
}

/* Hands the instance to the one of a pool that was taken for it. */
static int give_to_pool(struct sh_prepared *p, bool attach, bool input)
{
    const struct sh_pool_take take = {attach, input, p->spec.rows, p->spec.columns};
    int r = p->pool_fd < 0 ? -ENOENT : sh_send_with_fd(p->pool_fd, &take, sizeof(take), p->lock_fd);
    if (r)
        return r;
    close(p->lock_fd);
    p->lock_fd = -1;
    return sh_take_fd(&p->pool_fd);
}

int sh_prepared_start(struct sh_prepared *p, bool attach, bool input, int *client_fd,
                      struct sh_error *err)
{
    struct sh_launch_plan plan = sh_prepared_plan(p);
    int r = save_starting(p, err);
    if (r)
        return r;
    *client_fd = give_to_pool(p, attach, input);
    if (*client_fd >= 0)
        return 0;
    r = sh_supervisor_start(&plan, attach, input, client_fd, err);
    p->lock_fd = plan.lock_fd;
    return r;
}

int sh_prepared_become(struct sh_prepared *p, int first_fd, bool attach, bool input)
{
    struct sh_launch_plan plan = sh_prepared_plan(p);
    struct sh_error err = {0};
    if (save_starting(p, &err))
        return sh_error_report(&err);
    return sh_supervisor_become(&plan, first_fd, attach, input);
}

void sh_prepared_free(struct sh_prepared *p)
{
    struct sh_error ignored = {0};
    if (p->lock_fd >= 0) { /* never handed to a supervisor */
        if (p->is_new && p->instance_open)
            sh_instance_remove(p->store, p->instance.config.id, &ignored);
        close(p->lock_fd);
    }
    if (p->instance_open)
        sh_instance_close(&p->instance);
    if (p->image_open)
        sh_image_close(&p->image);
    if (p->spec.backend)
        p->spec.backend->release(&p->spec);
    for (size_t i = 0; i < 2; i++) {
        if (p->spec.output_fds[i] > 2)
            close(p->spec.output_fds[i]);
    }
    if (p->pool_fd >= 0)
        close(p->pool_fd);
    free(p->inner_ports);
    free(p->instance_path);
    free(p->stats_file);
    free(p->trace_file);
}
