// SPDX-License-Identifier: Apache-2.0
// shelter generate kube|quadlet: an instance as Kubernetes and systemd with podman would run it.
#include <errno.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "host/cli/cli.h"
#include "host/cli/instances.h"
#include "host/image/settings.h"

/* As JSON writes it, which YAML reads too. */
static char *quote_text(const char *text)
{
    cJSON *string = cJSON_CreateString(text);
    char *quoted = cJSON_PrintUnformatted(string);
    cJSON_Delete(string);
    return quoted;
}

static void print_pair(const char *before, const char *text)
{
    cleanup_free char *quoted = quote_text(text);
    printf("%s%s\n", before, quoted);
}

/* NAME=FILE of a volume: its file, and where the image has it. */
static const char *find_volume(const struct sh_settings *s, const char *pair, const char **file)
{
    size_t n = strcspn(pair, "=");
    *file = pair + n + !!pair[n];
    *file += !strncmp(*file, "ro:", 3) ? 3 : 0;
    for (size_t i = 0; i < s->volume_count; i++)
        if (!strncmp(s->volumes[i].name, pair, n) && !s->volumes[i].name[n])
            return s->volumes[i].path;
    return NULL;
}

static void print_kube(const struct sh_instance_config *c, const struct sh_settings *s)
{
    const char *file, *path;
    char name[64];
    size_t n = 0;
    for (const char *p = c->name; *p && n < sizeof(name) - 1; p++) { /* a label of DNS */
        char letter = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
        bool good = (letter >= 'a' && letter <= 'z') || (letter >= '0' && letter <= '9');
        name[n] = good ? letter : n ? '-' : 'x';
        n++;
    }
    name[n] = 0;
    printf("apiVersion: v1\nkind: Pod\nmetadata:\n  name: \"%s\"\n  annotations:\n", name);
    print_pair("    io.shelter.image: ", c->reference);
    print_pair("    io.shelter.tee: ", c->tee);
    if (c->broker)
        print_pair("    io.shelter.broker: ", c->broker);
    printf("spec:\n  runtimeClassName: shelter\n  automountServiceAccountToken: false\n"
           "  enableServiceLinks: false\n  containers:\n    - name: \"%s\"\n",
           name);
    print_pair("      image: ", c->reference);
    printf("      command:\n");
    for (size_t i = 0; i < c->command.count; i++)
        print_pair("        - ", c->command.v[i]);
    printf("      resources:\n        limits:\n          memory: \"%llu\"\n          cpu: \"%u\"\n",
           (unsigned long long)c->memory, c->cpus);
    for (size_t i = 0; i < c->port_count; i++)
        printf("%s        - containerPort: %u\n          hostPort: %u\n          protocol: %s\n",
               i ? "" : "      ports:\n", c->ports[i].guest_port, c->ports[i].host_port,
               c->ports[i].udp ? "UDP" : "TCP");
    for (size_t i = 0; i < c->volumes.count; i++)
        if ((path = find_volume(s, c->volumes.v[i], &file))) {
            printf("%s        - name: \"volume-%zu\"\n", i ? "" : "      volumeMounts:\n", i);
            print_pair("          mountPath: ", path);
        }
    for (size_t i = 0; i < c->volumes.count; i++)
        if (find_volume(s, c->volumes.v[i], &file)) {
            printf("%s    - name: \"volume-%zu\"\n      hostPath:\n", i ? "" : "  volumes:\n", i);
            print_pair("        path: ", file);
        }
}

static void print_quadlet(const struct sh_instance_config *c, const struct sh_settings *s)
{
    const char *file, *path;
    printf("[Unit]\nDescription=%s in a TEE\n\n[Container]\nContainerName=%s\n"
           "Rootfs=/var/empty\nGlobalArgs=--runtime shelter\n"
           "Annotation=io.shelter.image=%s\nAnnotation=io.shelter.tee=%s\n",
           c->name, c->name, c->reference, c->tee);
    if (c->broker)
        printf("Annotation=io.shelter.broker=%s\n", c->broker);
    printf("Annotation=io.shelter.memory=%llu\nAnnotation=io.shelter.cpus=%u\n",
           (unsigned long long)c->memory, c->cpus);
    for (size_t i = 0; i < c->port_count; i++) {
        const struct sh_port *p = &c->ports[i];
        bool six = strchr(p->host_address, ':');
        printf("PublishPort=%s%s%s%s%u:%u%s\n", six ? "[" : "", p->host_address, six ? "]" : "",
               *p->host_address ? ":" : "", p->host_port, p->guest_port, p->udp ? "/udp" : "");
    }
    for (size_t i = 0; i < c->volumes.count; i++)
        if ((path = find_volume(s, c->volumes.v[i], &file)))
            printf("Volume=%s:%s\n", file, path);
    printf("Exec=");
    for (size_t i = 0; i < c->command.count; i++) {
        cleanup_free char *quoted = quote_text(c->command.v[i]);
        printf("%s%s", i ? " " : "", quoted);
    }
    printf("\n\n[Install]\nWantedBy=multi-user.target\n");
}

static int generate_one(struct sh_store *store, struct sh_instance *instance, void *kube,
                        struct sh_error *err)
{
    struct sh_image image;
    struct sh_settings s;
    cleanup_free void *arena = NULL;
    int r = sh_image_open(store, instance->config.image, &image, err);
    if (r)
        return r;
    r = sh_settings_read(&image.manifest, NULL, 0, &s, &arena, err);
    if (!r)
        (*(bool *)kube ? print_kube : print_quadlet)(&instance->config, &s);
    sh_image_close(&image);
    return r;
}

int cmd_generate(int argc, char **argv)
{
    struct sh_cli c = sh_cli_plain(SH_VERB_generate, argc, argv);
    if (c.status >= 0)
        return c.status;
    bool kube = !strcmp(c.args[0], "kube");
    if (!kube && strcmp(c.args[0], "quadlet"))
        return sh_cli_usage("generate", "'%s' is neither kube nor quadlet", c.args[0]);
    return sh_each_instance(c.args + 1, 1, generate_one, &kube);
}
