// SPDX-License-Identifier: Apache-2.0
// The table of back ends, in the order in which `--tee auto` tries them.
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "host/launch/enclave/enclave.h"
#include "host/launch/qemu/parts.h"

/* Real ones first. Among them a machine before an enclave, and likewise of the simulated. */
static const struct sh_backend *const backends[] = {
    &sh_qemu_tdx.backend, &sh_qemu_snp.backend,     &sh_qemu_csv.backend,
    &sh_enclave_sgx,      &sh_qemu_tdx_sim.backend, &sh_enclave_sgx_sim,
};

#define BACKEND_COUNT (sizeof(backends) / sizeof(backends[0]))

const struct sh_backend *sh_backend_at(size_t index)
{
    return index < BACKEND_COUNT ? backends[index] : NULL;
}

static int check_image(const struct sh_backend *b, int image_fd, struct sh_error *err)
{
    return image_fd < 0 ? 0 : b->check_image(image_fd, err);
}

/* Where nothing is usable, the first simulated one that the image has files for: its `prepare` says
 * what to install. */
static const struct sh_backend *find_automatic(int image_fd)
{
    const struct sh_backend *last = NULL;
    for (size_t i = 0; i < BACKEND_COUNT; i++) {
        const struct sh_backend *b = backends[i];
        struct sh_error ignored = {0};
        if (check_image(b, image_fd, &ignored))
            continue;
        if (b->is_automatic ? b->is_automatic() : !b->probe(&ignored))
            return b;
        if (b->simulated && !last)
            last = b;
    }
    return last ? last : backends[BACKEND_COUNT - 1];
}

int sh_backend_find(const char *name, int image_fd, const struct sh_backend **backend,
                    struct sh_error *err)
{
    if (!strcmp(name, "auto")) {
        *backend = find_automatic(image_fd);
        return check_image(*backend, image_fd, err);
    }
    for (size_t i = 0; i < BACKEND_COUNT; i++)
        if (!strcmp(name, backends[i]->name)) {
            *backend = backends[i];
            return check_image(*backend, image_fd, err);
        }
    return sh_fail(err, -ENOENT,
                   "there is no TEE '%s'; use auto, tdx, snp, csv, sgx, tdx-sim or sgx-sim", name);
}

void sh_tee_warn_simulated(const char *name)
{
    char text[128];
    snprintf(text, sizeof(text),
             "%.32s is a simulated TEE: it protects nothing and is for development only", name);
    sh_log_line("warning", text);
}

int sh_predict_image(const struct sh_image *image, const struct sh_predict *what, cJSON **result,
                     struct sh_error *err)
{
    const struct sh_backend *backend;
    int r = sh_backend_find(what->tee, image->dir_fd, &backend, err);
    return r ? r : backend->predict(backend, image, what, result, err);
}

void sh_launch_warn_shares(const struct sh_launch_spec *spec)
{
    struct stat st;
    for (size_t i = 0; !geteuid() && i < spec->mount_count; i++) {
        const struct sh_mount *m = &spec->mounts[i];
        if (!m->read_only && !stat(m->source, &st) && !st.st_uid && !(st.st_mode & S_IWOTH))
            fprintf(stderr,
                    "shelter: warning: %s belongs to root, so that the inside cannot write there; "
                    "give it to an ordinary user (chown), or share it read-only (:ro)\n",
                    m->source);
    }
}

void sh_launch_data(const struct sh_launch_spec *spec, struct sh_strings *files)
{
    struct sh_data_file data;
    for (size_t i = 0; sh_image_data(&spec->image->manifest, i, &data); i++) {
        size_t n = strlen(data.own), k = 0, count = spec->data ? spec->data->count : 0;
        while (k < count && (strncmp(spec->data->v[k], data.own, n) || spec->data->v[k][n] != '='))
            k++;
        if (k < count)
            sh_strings_add(files, spec->data->v[k] + n + 1);
        else
            sh_strings_addf(files, "%s/%s", spec->image->path, data.name);
    }
}
