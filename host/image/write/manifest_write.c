// SPDX-License-Identifier: Apache-2.0
// Writes the manifest: records in ascending order of tag.
#include <errno.h>
#include <string.h>

#include "host/image/input/config.h"
#include "host/image/settings.h"
#include "lib/bytes.h"

static void add_record(struct sh_buffer *b, uint16_t tag, const void *data, size_t size)
{
    uint8_t head[8] = {0};
    sh_put_le16(head, tag);
    sh_put_le32(head + 4, (uint32_t)size);
    sh_buffer_add(b, head, sizeof(head));
    sh_buffer_add(b, data, size);
}

static void add_text(struct sh_buffer *b, uint16_t tag, const char *s)
{
    if (s && *s)
        add_record(b, tag, s, strlen(s));
}

static void add_list(struct sh_buffer *b, uint16_t tag, const struct sh_strings *l)
{
    for (size_t i = 0; i < l->count; i++)
        add_record(b, tag, l->v[i], strlen(l->v[i]));
}

static void add_u32(struct sh_buffer *b, uint16_t tag, uint32_t v)
{
    uint8_t d[4];
    sh_put_le32(d, v);
    add_record(b, tag, d, sizeof(d));
}

static void add_u64(struct sh_buffer *b, uint16_t tag, uint64_t v)
{
    uint8_t d[8];
    sh_put_le64(d, v);
    add_record(b, tag, d, sizeof(d));
}

static void add_limits(struct sh_buffer *b, const struct sh_config *c)
{
    for (size_t i = 0; i < c->limit_count; i++) {
        uint8_t d[24] = {0};
        sh_put_le32(d, c->limits[i].resource);
        sh_put_le64(d + 8, c->limits[i].soft);
        sh_put_le64(d + 16, c->limits[i].hard);
        add_record(b, SH_TAG_LIMIT, d, sizeof(d));
    }
}

static void add_mounts(struct sh_buffer *b, const struct sh_config *c)
{
    for (size_t i = 0; i < c->mount_count; i++) {
        struct sh_buffer d = {0};
        uint8_t head[12];
        sh_put_le64(head, c->mounts[i].size);
        sh_put_le32(head + 8, c->mounts[i].mode);
        sh_buffer_add(&d, head, sizeof(head));
        sh_buffer_add(&d, c->mounts[i].path, strlen(c->mounts[i].path));
        add_record(b, SH_TAG_MOUNT, d.data, d.size);
        sh_buffer_free(&d);
    }
}

static void add_host_mounts(struct sh_buffer *b, const struct sh_config *c)
{
    for (size_t i = 0; i < c->host_mount_count; i++) {
        struct sh_buffer d = {0};
        uint8_t flags[4];
        sh_put_le32(flags, c->host_mounts[i].cover ? SH_HOST_MOUNT_COVER : 0);
        sh_buffer_add(&d, flags, sizeof(flags));
        sh_buffer_add(&d, c->host_mounts[i].path, strlen(c->host_mounts[i].path));
        add_record(b, SH_TAG_HOST_MOUNT, d.data, d.size);
        sh_buffer_free(&d);
    }
}

static void add_volumes(struct sh_buffer *b, const struct sh_config *c)
{
    for (size_t i = 0; i < c->volume_count; i++) {
        const struct sh_config_volume *v = &c->volumes[i];
        struct sh_buffer d = {0};
        uint8_t head[16];
        sh_put_le64(head, v->size);
        sh_put_le32(head + 8, v->flags);
        sh_put_le32(head + 12, (uint32_t)strlen(v->name));
        sh_buffer_add(&d, head, sizeof(head));
        sh_buffer_add(&d, v->name, strlen(v->name));
        sh_buffer_add(&d, v->path, strlen(v->path));
        add_record(b, SH_TAG_VOLUME, d.data, d.size);
        sh_buffer_free(&d);
    }
}

static void add_data(struct sh_buffer *b, const struct sh_config *c,
                     const struct sh_manifest_files *files)
{
    for (size_t i = 0; i < c->data_count; i++) {
        const struct sh_config_data *o = &c->data[i];
        struct sh_buffer d = {0};
        uint8_t head[12];
        sh_put_le64(head, files->data[i].size);
        sh_put_le32(head + 8, (uint32_t)strlen(o->name));
        sh_buffer_add(&d, files->data[i].hash, sizeof(files->data[i].hash));
        sh_buffer_add(&d, head, sizeof(head));
        sh_buffer_add(&d, o->name, strlen(o->name));
        sh_buffer_add(&d, o->path, strlen(o->path));
        add_record(b, SH_TAG_DATA, d.data, d.size);
        sh_buffer_free(&d);
    }
}

static void add_ports(struct sh_buffer *b, const struct sh_config *c)
{
    for (size_t i = 0; i < c->port_count; i++) {
        uint8_t d[3];
        sh_put_le16(d, c->ports[i].port);
        d[2] = c->ports[i].protocol;
        add_record(b, SH_TAG_PORT, d, sizeof(d));
    }
}

int sh_manifest_write(const struct sh_config *c, const struct sh_manifest_files *files,
                      struct sh_buffer *out, struct sh_error *err)
{
    struct sh_manifest check;
    sh_buffer_add(out, SH_MANIFEST_MAGIC "\1\0\0\0\0\0\0\0", 16);
    add_record(out, SH_TAG_ROOT_HASH, files->root_hash, 32);
    add_u64(out, SH_TAG_ROOT_SIZE, files->root_size);
    if (files->sites_size) {
        add_record(out, SH_TAG_SITES_HASH, files->sites_hash, 32);
        add_u64(out, SH_TAG_SITES_SIZE, files->sites_size);
    }
    add_list(out, SH_TAG_ENTRYPOINT, &c->entrypoint);
    add_list(out, SH_TAG_COMMAND, &c->command);
    add_list(out, SH_TAG_ENV, &c->env);
    add_text(out, SH_TAG_WORKDIR, c->workdir);
    add_text(out, SH_TAG_USER, c->user);
    add_text(out, SH_TAG_HOSTNAME, c->hostname);
    if (c->stop_signal)
        add_u32(out, SH_TAG_STOP_SIGNAL, c->stop_signal);
    add_limits(out, c);
    add_mounts(out, c);
    add_ports(out, c);
    add_text(out, SH_TAG_NETWORK, c->network);
    add_text(out, SH_TAG_AGENT, c->agent);
    add_text(out, SH_TAG_BROKER, c->broker);
    if (c->broker_key.size)
        add_record(out, SH_TAG_BROKER_KEY, c->broker_key.data, c->broker_key.size);
    add_list(out, SH_TAG_SECRET, &c->secrets);
    if (c->policy)
        add_u64(out, SH_TAG_POLICY, c->policy);
    if (c->memory)
        add_u64(out, SH_TAG_MEMORY, c->memory);
    if (c->cpus)
        add_u32(out, SH_TAG_CPUS, c->cpus);
    add_host_mounts(out, c);
    add_volumes(out, c);
    add_data(out, c, files);
    for (size_t i = 0; i < c->container_count; i++)
        add_record(out, SH_TAG_CONTAINER, c->containers[i].data, c->containers[i].size);
    if (out->size > SH_MANIFEST_SIZE_MAX)
        return sh_fail(err, -E2BIG,
                       "command, environment and settings take %zu bytes; a manifest holds %u",
                       out->size, SH_MANIFEST_SIZE_MAX);
    sh_put_le32(out->data + 12, (uint32_t)out->size);
    if (sh_manifest_parse(&check, out->data, out->size))
        return sh_fail(err, -EINVAL,
                       "a setting is too long, empty or not of its form (directories begin with "
                       "'/', a host name has at most 64 bytes, a user 255, a URL 1023)");
    struct sh_settings settings;
    cleanup_free void *arena = NULL;
    return sh_settings_read(&check, NULL, 0, &settings, &arena, err); /* what a TEE would refuse */
}
