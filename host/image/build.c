// SPDX-License-Identifier: Apache-2.0
// From inputs to an image: tree, root image, manifest, base files, reference values, store.
#include "host/image/build.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>

#include "host/base/split.h"
#include "host/base/temp.h"
#include "host/store/base_files.h"
#include "host/image/write/erofs.h"
#include "host/image/input/fetch.h"
#include "host/image/input/files.h"
#include "host/image/input/folder.h"
#include "host/image/input/oci.h"
#include "host/base/progress.h"
#include "host/image/write/reference.h"
#include "host/store/signature.h"
#include "host/image/write/sites.h"
#include "host/image/input/tar.h"
#include "lib/hex.h"
#include "lib/sha2.h"

#define AGENT_PATH "/usr/local/bin/attestation-agent"

void sh_build_free(struct sh_build *b)
{
    free(b->tag);
    free(b->rootfs);
    free(b->image);
    free(b->context);
    free(b->containerfile);
    free(b->decryption_key);
    sh_strings_free(&b->files);
    sh_strings_free(&b->containers);
    free(b->agent);
    free(b->base);
    free(b->enclave_key);
    sh_strings_free(&b->firmware);
    sh_config_free(&b->config);
}

/* --- the root file system --- */

static int add_agent(struct sh_tree *tree, const char *file, struct sh_config *config,
                     struct sh_error *err)
{
    if (access(file, R_OK))
        return sh_fail(
            err, -errno,
            "cannot open the agent %s: %s; 'make install' puts Shelter's own at " AGENT_PATH
            ", and without -a it is there anyway",
            file, strerror(errno));
    cleanup_free char *argument = sh_format("%s:" AGENT_PATH, file);
    cleanup_free char *path = NULL;
    int r = sh_files_add(tree, argument, &path, err);
    if (!r)
        sh_config_set(&config->agent, path);
    return r;
}

/* What another tool brings, by way of a layout that goes when it was read. */
static int read_fetched(const struct sh_build *b, struct sh_tree *tree, struct sh_config *config,
                        int work_fd, struct sh_progress *progress, struct sh_error *err)
{
    cleanup_free char *layout = sh_format("oci:/proc/self/fd/%d/" SH_FETCH_FOLDER, work_fd);
    int r = b->context ? sh_fetch_containerfile(b->containerfile, b->context, work_fd, err)
                       : sh_fetch_registry(b->image, b->decryption_key, work_fd, err);
    if (!r)
        r = sh_oci_read(layout, tree, config, work_fd, progress, err);
    (void)sh_remove_tree(work_fd, SH_FETCH_FOLDER);
    return r;
}

static int fill_tree(const struct sh_build *b, struct sh_tree *tree, struct sh_config *config,
                     int work_fd, struct sh_progress *progress, struct sh_error *err)
{
    int r = 0;
    if (b->rootfs && (b->image || b->context))
        return sh_fail(err, -EINVAL, "give a root file system or an OCI image, not both");
    struct stat st;
    if (b->rootfs && !stat(b->rootfs, &st) && S_ISDIR(st.st_mode))
        r = sh_folder_read(tree, b->rootfs, progress, err);
    else if (b->rootfs)
        r = sh_tar_rootfs(tree, b->rootfs, progress, err);
    else if (b->context || (b->image && !strncmp(b->image, "docker://", 9)))
        r = read_fetched(b, tree, config, work_fd, progress, err);
    else if (b->image)
        r = sh_oci_read(b->image, tree, config, work_fd, progress, err);
    if (!r && b->rootfs)
        r = sh_tar_refuse_image(tree, b->rootfs, err);
    tree->layer++;
    tree->strict_links = false;
    for (size_t i = 0; !r && i < b->files.count; i++) {
        cleanup_free char *path = NULL;
        r = sh_files_add(tree, b->files.v[i], &path, err);
        if (!r && path && !config->command.count && !b->rootfs && !b->image && !b->context)
            sh_strings_add(&config->command, path);
    }
    if (!r && b->agent)
        r = add_agent(tree, b->agent, config, err);
    if (!r)
        r = sh_files_skeleton(tree, !b->rootfs && !b->image && !b->context, err);
    return r;
}

/* --- containers of a pod in one machine --- */

int sh_build_container(struct sh_build *b, const char *text, struct sh_error *err)
{
    size_t name = strcspn(text, "=");
    if (!text[name] || !sh_volume_name_ok(text, name) || strchr(" ", text[name + 1]))
        return sh_fail(err, -EINVAL,
                       "--container %.60s: write NAME=INPUT or 'NAME=INPUT PROGRAM ARG...'; a name "
                       "has up to 32 letters, digits, _ and -",
                       text);
    for (size_t i = 0; i < b->containers.count; i++)
        if (!strncmp(b->containers.v[i], text, name + 1))
            return sh_fail(err, -EEXIST, "two containers have the name %.*s", (int)name, text);
    if (b->containers.count == SH_CONTAINERS_MAX)
        return sh_fail(err, -E2BIG, "an image has at most %u containers", SH_CONTAINERS_MAX);
    sh_strings_add(&b->containers, text);
    return 0;
}

static void add_strings(struct sh_buffer *b, const struct sh_strings *l)
{
    for (size_t i = 0; i < l->count; i++)
        sh_buffer_add(b, l->v[i], strlen(l->v[i]) + 1);
}

/* What its manifest record says (SH_TAG_CONTAINER). */
static void add_record(struct sh_config *to, const char *name, const struct sh_config *c)
{
    const char *workdir = c->workdir ? c->workdir : "/", *user = c->user ? c->user : "";
    uint8_t head[10] = {0};
    sh_put_le16(head + 2, (uint16_t)(c->entrypoint.count + c->command.count));
    sh_put_le16(head + 4, (uint16_t)c->env.count);
    to->containers =
        sh_realloc_array(to->containers, to->container_count + 1, sizeof(*to->containers));
    struct sh_buffer *b = &to->containers[to->container_count++];
    *b = (struct sh_buffer){0};
    sh_buffer_add(b, name, strlen(name) + 1);
    sh_buffer_add(b, head, sizeof(head));
    add_strings(b, &c->entrypoint);
    add_strings(b, &c->command);
    add_strings(b, &c->env);
    sh_buffer_add(b, workdir, strlen(workdir) + 1);
    sh_buffer_add(b, user, strlen(user) + 1);
}

/* Its input becomes a folder of the root, as if that were the root. */
static int add_container(const char *text, struct sh_tree *tree, struct sh_config *config,
                         int work_fd, struct sh_progress *progress, struct sh_error *err)
{
    struct sh_inode *whole = tree->root, *all = NULL, *own = NULL;
    cleanup_free char *name = sh_format("%.*s", (int)strcspn(text, "="), text);
    const char *input = text + strlen(name) + 1, *program = strchr(input, ' ');
    cleanup_free char *source =
        program ? sh_format("%.*s", (int)(program - input), input) : sh_strdup(input);
    bool oci = !strncmp(source, "oci:", 4) || !strncmp(source, "oci-archive:", 12) ||
               !strncmp(source, "docker-archive:", 15) || !strncmp(source, "docker://", 9);
    struct sh_build b = {.image = oci ? source : NULL, .rootfs = oci ? NULL : source};
    struct sh_config c = {0};
    struct sh_strings words = {0};
    int r = sh_tree_add_folder(tree, whole, SH_CONTAINERS_DIR + 1, &all, err);
    if (!r)
        r = sh_tree_add_folder(tree, all, name, &own, err);
    if (r)
        return r;
    tree->layer++;
    tree->root = own->parent = own; /* no link of it leads out */
    r = fill_tree(&b, tree, &c, work_fd, progress, err);
    tree->root = whole;
    own->parent = all;
    if (!r && program)
        r = sh_split(program, &words, err);
    if (!r && words.count) {
        sh_strings_free(&c.entrypoint);
        sh_config_list(&c.command, words.v, words.count);
    }
    if (!r && !c.entrypoint.count && !c.command.count)
        r = sh_fail(err, -EINVAL,
                    "container %s names no command; write --container '%s=%s PROGRAM ARG...'", name,
                    name, source);
    if (!r)
        add_record(config, name, &c);
    if (!r && c.stop_signal)
        config->container_stops |= 1ull << (c.stop_signal - 1);
    sh_strings_free(&words);
    sh_config_free(&c);
    return r;
}

/* An engine that is told that a signal does not arrive may never end the container. */
static int check_stop_signals(const struct sh_config *c, struct sh_error *err)
{
    for (uint32_t number = 1; number <= 64; number++) {
        if (!(c->container_stops >> (number - 1) & 1) || number == SIGTERM || number == SIGINT ||
            number == SIGKILL || number == c->stop_signal)
            continue;
        if (number != SIGQUIT && number != SIGHUP && number != SIGUSR1 && number != SIGUSR2)
            return sh_fail(err, -ENOTSUP,
                           "a container asks to be stopped by signal %u, which does not reach a "
                           "container in its pod's machine; use an image that stops by TERM or "
                           "QUIT",
                           number);
        if (!(c->policy & SH_POLICY_SIGNAL))
            return sh_fail(
                err, -EPERM,
                "a container is stopped by signal %u, which the host may not send: build "
                "with --stop-signal %u or --allow signal",
                number, number);
    }
    return 0;
}

/* --- settings --- */

static void merge_text(char **to, const char *from)
{
    if (from)
        sh_config_set(to, from);
}

static void merge_list(struct sh_strings *to, const struct sh_strings *from)
{
    if (from->v)
        sh_config_list(to, from->v, from->count);
}

/* What was said in the build file or on the command line goes over what the input said. */
static int merge_config(struct sh_config *to, const struct sh_config *from, struct sh_error *err)
{
    int r = 0;
    if (from->entrypoint.v)
        sh_strings_free(&to->command); /* it was meant for the other entry point */
    merge_list(&to->entrypoint, &from->entrypoint);
    merge_list(&to->command, &from->command);
    merge_list(&to->secrets, &from->secrets);
    for (size_t i = 0; !r && i < from->env.count; i++)
        r = sh_config_env(to, from->env.v[i], err);
    merge_text(&to->workdir, from->workdir);
    merge_text(&to->user, from->user);
    merge_text(&to->hostname, from->hostname);
    merge_text(&to->network, from->network);
    merge_text(&to->broker, from->broker);
    to->broker_key.size = 0;
    sh_buffer_add(&to->broker_key, from->broker_key.data, from->broker_key.size);
    if (from->stop_signal)
        to->stop_signal = from->stop_signal;
    to->cpus = from->cpus;
    to->memory = from->memory;
    to->policy = from->policy;
    for (size_t i = 0; i < from->limit_count; i++) {
        to->limits = sh_realloc_array(to->limits, to->limit_count + 1, sizeof(*to->limits));
        to->limits[to->limit_count++] = from->limits[i];
    }
    for (size_t i = 0; i < from->mount_count; i++) {
        to->mounts = sh_realloc_array(to->mounts, to->mount_count + 1, sizeof(*to->mounts));
        to->mounts[to->mount_count] = from->mounts[i];
        to->mounts[to->mount_count++].path = sh_strdup(from->mounts[i].path);
    }
    for (size_t i = 0; !r && i < from->volume_count; i++) {
        const struct sh_config_volume *v = &from->volumes[i];
        to->volumes = sh_realloc_array(to->volumes, to->volume_count + 1, sizeof(*v));
        to->volumes[to->volume_count++] =
            (struct sh_config_volume){sh_strdup(v->name), sh_strdup(v->path), v->size, v->flags};
    }
    for (size_t i = 0; !r && i < from->data_count; i++) {
        const struct sh_config_data *d = &from->data[i];
        cleanup_free char *text = sh_format("%s:%s:name=%s", d->folder, d->path, d->name);
        r = sh_config_data(to, text, err);
    }
    for (size_t i = 0; !r && i < from->host_mount_count; i++) {
        cleanup_free char *place = sh_format("%s%s", from->host_mounts[i].path,
                                             from->host_mounts[i].cover ? ":cover" : "");
        r = sh_config_host_mount(to, place, err);
    }
    for (size_t i = 0; !r && i < from->port_count; i++) {
        cleanup_free char *port =
            sh_format("%u/%s", from->ports[i].port, sh_protocol_name(from->ports[i].protocol));
        r = sh_config_port(to, port, err);
    }
    return r;
}

/* A folder of the host hides what is below it; through a symbolic link it would do so elsewhere. */
static int check_host_mount(const struct sh_tree *tree, const struct sh_config_host_mount *m,
                            struct sh_error *err)
{
    const struct sh_inode *at = tree->root;
    for (const char *p = m->path; *p;) {
        size_t n = strcspn(++p, "/");
        cleanup_free char *name = sh_format("%.*s", (int)n, p);
        struct sh_entry *e = sh_tree_entry((struct sh_inode *)at, name);
        if (!e)
            return 0;
        if (!S_ISDIR(e->inode->mode))
            return sh_fail(err, -ENOTDIR, "--mount %s: %.*s is not a folder in the image", m->path,
                           (int)(p + n - m->path), m->path);
        at = e->inode;
        p += n;
    }
    if (at->entry_count && !m->cover)
        return sh_fail(
            err, -ENOTEMPTY,
            "--mount %s: a folder of the host would hide what the image has there; if it "
            "may, write --mount %s:cover",
            m->path, m->path);
    return 0;
}

/* A host that may choose the broker or LD_PRELOAD would own the secrets. */
static int check_secrets(struct sh_config *c, struct sh_error *err)
{
    if (!c->secrets.count)
        return 0;
    if (!c->broker_key.size)
        return sh_fail(err, -EINVAL,
                       "secrets need the key broker's public key in the image: --broker-key FILE");
    if (c->broker && !strncmp(c->broker, "http://", 7))
        return sh_fail(
            err, -EINVAL,
            "an http broker cannot show the key that the image pins: --broker https://…");
    c->policy |= SH_POLICY_LOCK;
    return 0;
}

/* --- the image --- */

static int write_root(struct sh_tree *tree, int dir_fd, struct sh_progress *progress,
                      struct sh_manifest_files *files, struct sh_error *err)
{
    struct sh_erofs_result result;
    struct stat spool;
    /* All that waits in the spool is written once more. */
    if (!fstat(tree->spool_fd, &spool) &&
        sh_budget_space(tree->budget, (uint64_t)spool.st_blocks * 512, "the root image", err))
        return -ENOSPC;
    cleanup_close int fd = openat(dir_fd, "root.img", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return sh_fail_errno(err, -errno, "cannot create the root image in the store");
    int r = sh_erofs_write(tree, fd, progress, &result, err);
    if (r)
        return r;
    files->root_size = result.root_size;
    memcpy(files->root_hash, result.root_hash, sizeof(files->root_hash));
    return sh_sites_write(tree, dir_fd, progress, &files->sites_size, files->sites_hash, err);
}

/* A folder as it is there, in a file of its own; the store keeps one copy of each content. */
static int write_data(const struct sh_config *config, size_t number, struct sh_work *work,
                      struct sh_budget *budget, struct sh_progress *progress,
                      struct sh_manifest_files *files, struct sh_error *err)
{
    const struct sh_config_data *d = &config->data[number];
    struct sh_tree tree = {0};
    struct sh_erofs_result result;
    cleanup_free char *name = sh_format("data-%s.img", d->name);
    int r = sh_tree_init(&tree, work->dir_fd, err);
    tree.budget = budget;
    if (!r)
        r = sh_folder_read(&tree, d->folder, progress, err);
    cleanup_close int fd =
        r ? -1 : openat(work->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (!r && fd < 0)
        r = sh_fail_errno(err, -errno, "cannot create %s in the store", name);
    if (!r)
        r = sh_erofs_write(&tree, fd, progress, &result, err);
    sh_tree_free(&tree);
    if (r)
        return r;
    files->data[number].size = result.root_size;
    memcpy(files->data[number].hash, result.root_hash, sizeof(result.root_hash));
    return sh_base_share_file(work->store->dir_fd, work->dir_fd, name, err);
}

static int write_manifest(const struct sh_config *config, const struct sh_manifest_files *files,
                          int dir_fd, char id[SH_ID_TEXT_SIZE], struct sh_error *err)
{
    uint8_t digest[SH_ID_SIZE];
    struct sh_buffer manifest = {0};
    int r = sh_manifest_write(config, files, &manifest, err);
    if (!r)
        r = sh_write_file(dir_fd, "manifest", manifest.data, manifest.size, 0644, err);
    if (!r) {
        sh_sha384(digest, manifest.data, manifest.size);
        sh_hex(id, digest, sizeof(digest));
    }
    sh_buffer_free(&manifest);
    return r;
}

static int build_image(const struct sh_build *b, struct sh_work *work, const char *base,
                       struct sh_progress *progress, char id[SH_ID_TEXT_SIZE], struct sh_error *err)
{
    struct sh_tree tree = {0};
    struct sh_config config = {0};
    struct sh_manifest_files files = {0};
    struct sh_budget budget;
    sh_budget_start(&budget, b->max_size, work->dir_fd);
    int r = sh_tree_init(&tree, work->dir_fd, err);
    tree.budget = &budget;
    if (!r)
        r = fill_tree(b, &tree, &config, work->dir_fd, progress, err);
    for (size_t i = 0; !r && i < b->containers.count; i++)
        r = add_container(b->containers.v[i], &tree, &config, work->dir_fd, progress, err);
    if (!r)
        r = merge_config(&config, &b->config, err);
    if (config.container_count) /* the host starts them, and chooses nothing else */
        config.policy |= SH_POLICY_LOCK;
    if (!r)
        r = check_stop_signals(&config, err);
    if (!r)
        r = check_secrets(&config, err);
    for (size_t i = 0; !r && i < config.host_mount_count; i++)
        r = check_host_mount(&tree, &config.host_mounts[i], err);
    if (!r)
        r = write_root(&tree, work->dir_fd, progress, &files, err);
    sh_tree_free(&tree);
    for (size_t i = 0; !r && i < config.data_count; i++)
        r = write_data(&config, i, work, &budget, progress, &files, err);
    if (!r)
        r = write_manifest(&config, &files, work->dir_fd, id, err);
    if (!r)
        r = sh_base_copy(base, work->store->dir_fd, work->dir_fd, err);
    if (!r)
        r = sh_signature_make(work->store, work->dir_fd, b->enclave_key, id, err);
    if (!r)
        r = sh_reference_write(work->dir_fd, id, &b->firmware, err);
    sh_config_free(&config);
    return r;
}

int sh_build_run(const struct sh_build *b, char id[SH_ID_TEXT_SIZE], struct sh_error *err)
{
    struct sh_store store;
    struct sh_work work = {.dir_fd = -1};
    struct sh_progress progress;
    cleanup_free char *tag = b->tag ? sh_tag_full(b->tag, err) : NULL;
    if (b->tag && !tag)
        return -EINVAL;
    cleanup_free char *base = sh_base_find(b->base, err);
    if (!base)
        return -ENOENT;
    int r = sh_store_open(&store, err);
    if (r)
        return r;
    sh_progress_start(&progress, b->quiet);
    r = sh_work_begin(&store, &work, err);
    if (!r)
        r = build_image(b, &work, base, &progress, id, err);
    bool enclave_only = !r && !sh_base_has(work.dir_fd, 0);
    if (!r)
        r = sh_work_install(&work, id, true, err);
    if (!r && tag)
        r = sh_store_tag(&store, tag, id, err);
    sh_progress_end(&progress);
    if (!r && enclave_only && !b->quiet)
        fprintf(
            stderr,
            "shelter: note: the guest kernel is not built, so this image runs in enclaves only; "
            "for machines run 'make tools' and build it again\n");
    sh_work_end(&work);
    sh_store_close(&store);
    return r;
}
