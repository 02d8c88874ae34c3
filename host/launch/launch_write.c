// SPDX-License-Identifier: Apache-2.0
// Writes the launch config in its canonical form: fixed order, one escape, nothing optional.
#include "host/launch/launch_write.h"

#include <errno.h>
#include <string.h>

#include "lib/launch.h"
#include "lib/sha2.h"

static void add_line(struct sh_buffer *out, enum sh_launch_key key, const char *value)
{
    if (!value)
        return;
    sh_buffer_add(out, sh_launch_words[key], strlen(sh_launch_words[key]));
    sh_buffer_add(out, " ", 1);
    for (const char *p = value; *p; p++) {
        char hex[4];
        unsigned char c = (unsigned char)*p;
        if (c >= 0x20 && c <= 0x7e && c != '%' && c != '\'') {
            sh_buffer_add(out, p, 1);
            continue;
        }
        snprintf(hex, sizeof(hex), "%%%02X", c);
        sh_buffer_add(out, hex, 3);
    }
    sh_buffer_add(out, "\n", 1);
}

static void add_list(struct sh_buffer *out, enum sh_launch_key key, const struct sh_strings *list)
{
    for (size_t i = 0; i < list->count; i++)
        add_line(out, key, list->v[i]);
}

static void add_number(struct sh_buffer *out, enum sh_launch_key key, uint64_t value)
{
    char text[24];
    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    add_line(out, key, value ? text : NULL);
}

int sh_launch_write(const struct sh_launch *l, struct sh_buffer *out, uint8_t digest[48],
                    struct sh_error *err)
{
    sh_buffer_add(out, SH_LAUNCH_HEAD, strlen(SH_LAUNCH_HEAD));
    add_list(out, SH_LAUNCH_ARG, &l->args);
    add_list(out, SH_LAUNCH_ENV, &l->env);
    add_line(out, SH_LAUNCH_WORKDIR, l->workdir);
    add_line(out, SH_LAUNCH_USER, l->user);
    add_line(out, SH_LAUNCH_HOSTNAME, l->hostname);
    add_line(out, SH_LAUNCH_TTY, l->tty ? "1" : NULL);
    add_line(out, SH_LAUNCH_STDIN, l->has_stdin ? "1" : NULL);
    add_list(out, SH_LAUNCH_MOUNT, &l->mounts);
    add_list(out, SH_LAUNCH_FILE, &l->files);
    add_line(out, SH_LAUNCH_READONLY, l->read_only ? "1" : NULL);
    add_list(out, SH_LAUNCH_LIMIT, &l->limits);
    add_line(out, SH_LAUNCH_NETWORK, l->network);
    add_list(out, SH_LAUNCH_PORT, &l->ports);
    add_line(out, SH_LAUNCH_BROKER, l->broker);
    add_number(out, SH_LAUNCH_MEMORY, l->memory);
    add_number(out, SH_LAUNCH_CPUS, l->cpus);
    add_line(out, SH_LAUNCH_DEBUG, l->debug ? "1" : NULL);
    sh_buffer_add(out, SH_LAUNCH_TAIL, strlen(SH_LAUNCH_TAIL));
    if (out->size > SH_LAUNCH_SIZE_MAX)
        return sh_fail(err, -E2BIG,
                       "command, environment and files take %zu bytes, at most %u are "
                       "possible; pass large data by a file",
                       out->size, SH_LAUNCH_SIZE_MAX);
    if (sh_launch_check(out->data, out->size))
        return sh_fail(err, -EINVAL, "internal error: the launch config is not canonical");
    sh_sha384(digest, out->data, out->size);
    return 0;
}

void sh_launch_free(struct sh_launch *l)
{
    sh_strings_free(&l->args);
    sh_strings_free(&l->files);
    sh_strings_free(&l->env);
    sh_strings_free(&l->mounts);
    sh_strings_free(&l->limits);
    sh_strings_free(&l->ports);
}
