// SPDX-License-Identifier: Apache-2.0
// Reads a saved image. The file may be hostile: only known members, in order, of bounded size;
// nothing gets into the store unless its digests are those of its identity.
#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "host/base/temp.h"
#include "host/image/budget.h"
#include "host/store/base_files.h"
#include "host/image/write/reference.h"
#include "host/base/progress.h"
#include "host/store/signature.h"
#include "host/store/sink.h"
#include "host/store/store_tags.h"
#include "host/image/write/reference_read.h"
#include "host/image/transfer.h"
#include "lib/hex.h"
#include "lib/sha2.h"
#include "verifier/measure/sgx.h"
#include "verifier/base/json.h"
#include "verifier/base/json_read.h"

#define HEAD_MAX (64u << 10)
#define REFERENCE_MAX (1u << 20)
#define BASE_MAX (256u << 20)
#define TAGS_MAX 256

struct loader {
    struct archive *archive;
    const char *name;
    struct sh_work *work;
    struct sh_progress *progress;
    struct sh_error *err;
    const struct sh_strings *firmware;
    cJSON *head;
    uint8_t *manifest_bytes;
    struct sh_manifest manifest;
    struct sh_budget budget;
};

static int refuse_image(struct loader *l, const char *why)
{
    return sh_fail(l->err, -EBADMSG, "%s is refused: %s", l->name, why);
}

static int archive_failed(struct loader *l)
{
    const char *why = archive_error_string(l->archive);
    return sh_fail(l->err, -EBADMSG, "%s is damaged or not a saved image: %s", l->name,
                   why ? why : "unknown error");
}

/* The next member, which must have this name. */
static int next_member(struct loader *l, const char *name, uint64_t max, uint64_t *size)
{
    struct archive_entry *e;
    int a = archive_read_next_header(l->archive, &e);
    if (a == ARCHIVE_EOF)
        return sh_fail(l->err, -EBADMSG, "%s is truncated or not a saved image: %s is missing",
                       l->name, name);
    if (a < ARCHIVE_WARN)
        return archive_failed(l);
    const char *got = archive_entry_pathname(e);
    if (!got || strcmp(got, name) || archive_entry_hardlink(e) ||
        archive_entry_filetype(e) != AE_IFREG)
        return sh_fail(l->err, -EBADMSG, "%s is refused: it has '%.60s' where %s should be",
                       l->name, got ? got : "", name);
    if (archive_entry_size(e) < 0 || (uint64_t)archive_entry_size(e) > max)
        return sh_fail(l->err, -EBADMSG, "%s is refused: its %s is too large", l->name, name);
    *size = (uint64_t)archive_entry_size(e);
    return 0;
}

static int read_member(struct loader *l, const char *name, size_t max, uint8_t **data, size_t *size)
{
    uint64_t n;
    int r = next_member(l, name, max, &n);
    if (r)
        return r;
    *data = sh_alloc((size_t)n + 1);
    *size = (size_t)n;
    if (archive_read_data(l->archive, *data, (size_t)n) == (la_ssize_t)n)
        return 0;
    free(*data);
    *data = NULL;
    return archive_failed(l);
}

/* Copies a member into the work folder; `size` is what it must have, 0: up to BASE_MAX. */
static int copy_member(struct loader *l, const char *name, uint64_t want)
{
    uint64_t size;
    int r = next_member(l, name, want ? want : BASE_MAX, &size);
    if (r)
        return r;
    if (want && size != want)
        return sh_fail(l->err, -EBADMSG, "%s is refused: its %s is truncated", l->name, name);
    cleanup_free char *what = sh_format("%s: %s", l->name, name);
    r = sh_budget_claim(&l->budget, size, size, what, l->err);
    if (r)
        return r;
    cleanup_close int fd =
        openat(l->work->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, want ? 0644 : 0444);
    if (fd < 0)
        return sh_fail_errno(l->err, -errno, "cannot write into the store");
    cleanup_free uint8_t *buffer = sh_alloc(1 << 18);
    for (uint64_t at = 0; at < size;) {
        size_t n = size - at < 1 << 18 ? (size_t)(size - at) : 1 << 18;
        la_ssize_t got = archive_read_data(l->archive, buffer, n);
        if (got <= 0)
            return archive_failed(l);
        l->budget.input = (uint64_t)archive_filter_bytes(l->archive, -1);
        r = sh_budget_expand(&l->budget, (uint64_t)got, what, l->err);
        if (r)
            return r;
        /* Zeros become holes again. */
        bool zero = !buffer[0] && !memcmp(buffer, buffer + 1, (size_t)got - 1);
        r = zero ? 0 : sh_pwrite_all(fd, buffer, (size_t)got, (off_t)at);
        if (r)
            return sh_fail_errno(l->err, r, "cannot write into the store");
        at += (uint64_t)got;
        sh_progress_show(l->progress, "loading", at, size);
    }
    if (ftruncate(fd, (off_t)size))
        return sh_fail_errno(l->err, -errno, "cannot write into the store");
    return 0;
}

/* --- what the members must say --- */

static int read_head(struct loader *l, char id[SH_ID_TEXT_SIZE], struct sh_strings *tags)
{
    cleanup_free uint8_t *data = NULL;
    size_t size;
    int r = read_member(l, "shelter.json", HEAD_MAX, &data, &size);
    if (r)
        return r;
    l->head = sv_json_read(data, size, SV_JSON_VALUES_MAX, NULL, 0);
    const cJSON *version = sv_json_get(l->head, "version"), *tag;
    const char *text = sv_json_string(l->head, "id");
    uint8_t raw[SH_ID_SIZE];
    if (!cJSON_IsNumber(version) || version->valuedouble != 1)
        return refuse_image(l, "it is of a version that this Shelter does not know");
    if (!text || sh_unhex(raw, sizeof(raw), text))
        return refuse_image(l, "it has no image id");
    sh_hex(id, raw, sizeof(raw));
    cJSON_ArrayForEach(tag, sv_json_get(l->head, "tags"))
    {
        struct sh_error ignored = {0};
        const char *name = cJSON_GetStringValue(tag);
        cleanup_free char *full = name ? sh_tag_full(name, &ignored) : NULL;
        if (!full || strcmp(full, name) || tags->count == TAGS_MAX)
            return refuse_image(l, "its tags are not valid");
        sh_strings_add(tags, full);
    }
    return 0;
}

static int read_manifest(struct loader *l, const char *id)
{
    uint8_t digest[SH_ID_SIZE];
    char text[SH_ID_TEXT_SIZE];
    size_t size;
    int r = read_member(l, "manifest", SH_MANIFEST_SIZE_MAX, &l->manifest_bytes, &size);
    if (r)
        return r;
    sh_sha384(digest, l->manifest_bytes, size);
    sh_hex(text, digest, sizeof(digest));
    if (strcmp(text, id))
        return refuse_image(l, "its manifest does not have the image's digest; it was changed");
    if (sh_manifest_parse(&l->manifest, l->manifest_bytes, size))
        return refuse_image(l, "its manifest is not well formed");
    return sh_write_file(l->work->dir_fd, "manifest", l->manifest_bytes, size, 0644, l->err);
}

/* reference.json must be about this image and these base files. */
static int check_reference(struct loader *l, const cJSON *reference, const char *id)
{
    const char *image = sv_json_string(reference, "image");
    const cJSON *base = sv_json_get(reference, "base");
    if (!image || strcmp(image, id))
        return refuse_image(l, "its reference values are of another image");
    for (size_t i = 0; i < SH_BASE_COUNT; i++) {
        uint8_t digest[48];
        char text[97];
        cleanup_free char *path = sh_format("base/%s", sh_base_names[i]);
        const char *want = sv_json_string(base, sh_base_names[i]);
        if (!sh_base_has(l->work->dir_fd, i))
            continue; /* read_base took it if the reference values name one */
        int r = sh_digest_file(l->work->dir_fd, path, digest, l->err);
        if (r)
            return r;
        sh_hex(text, digest, sizeof(digest));
        if (!want || strcmp(want, text))
            return refuse_image(
                l, "its kernel or initramfs is not the one its reference values are of");
    }
    return 0;
}

/* What the reference says of the signed enclave; NULL: the image has none. */
static const cJSON *enclave_of(const cJSON *reference)
{
    const cJSON *o;
    cJSON_ArrayForEach(o, sv_json_get(reference, "references"))
    {
        const cJSON *m = sv_json_get(o, "measurement");
        if (sv_json_string(m, "mrsigner") && sv_json_string(m, "mrenclave"))
            return m;
    }
    return NULL;
}

/* SIGSTRUCT: of this enclave (whose MRENCLAVE is held against the files before), by this key. */
static int check_signatures(struct loader *l, const cJSON *enclave)
{
    static const char *const names[] = {SH_SIGNATURE, SH_SIGNATURE_DEBUG};
    for (size_t i = 0; i < 2; i++) {
        struct sgx_sigstruct css;
        uint8_t mrsigner[32];
        char signer[65], measurement[65];
        int r = sh_signature_read(l->work->dir_fd, names[i], &css, l->err);
        if (r)
            return r;
        sgx_mrsigner(&css, mrsigner);
        sh_hex(signer, mrsigner, sizeof(mrsigner));
        sh_hex(measurement, css.enclave_hash, sizeof(css.enclave_hash));
        if (strcmp(measurement, sv_json_string(enclave, "mrenclave")))
            return refuse_image(l, "its enclave's signature is of another enclave");
        if (strcmp(signer, sv_json_string(enclave, "mrsigner")) ||
            sgx_sigstruct_check_format(&css) || sgx_sigstruct_check_signature(&css))
            return refuse_image(
                l, "its enclave's signature is not good, or not by the key its reference "
                   "values name");
    }
    return 0;
}

/* Only values that its files give get into the store. */
static int write_reference(struct loader *l, const cJSON *claimed, const char *id)
{
    cJSON *reference;
    size_t left_out;
    struct sh_error why = {0};
    int r = sh_reference_compute(l->work->dir_fd, id, l->firmware, claimed, &reference, &left_out,
                                 &why);
    if (r)
        return refuse_image(l, why.text);
    sh_reference_note(left_out);
    cleanup_free char *text = cJSON_Print(reference);
    cJSON_Delete(reference);
    return sh_write_file(l->work->dir_fd, "reference.json", text, strlen(text), 0644, l->err);
}

static int read_base(struct loader *l, const char *id)
{
    cleanup_free uint8_t *data = NULL;
    size_t size;
    int r = read_member(l, "reference.json", REFERENCE_MAX, &data, &size);
    if (r)
        return r;
    cJSON *reference = sv_json_read(data, size, SV_JSON_VALUES_MAX, NULL, 0);
    const cJSON *base = sv_json_get(reference, "base");
    if (mkdirat(l->work->dir_fd, "base", 0755))
        r = sh_fail_errno(l->err, -errno, "cannot write into the store");
    for (size_t i = 0; !r && i < SH_BASE_COUNT; i++) {
        cleanup_free char *path = sh_format("base/%s", sh_base_names[i]);
        if (cJSON_HasObjectItem(base, sh_base_names[i]))
            r = copy_member(l, path, 0);
    }
    /* Whoever saved it had it signed or not; the reference values name who did. */
    const cJSON *enclave = enclave_of(reference);
    if (!r && enclave)
        r = copy_member(l, SH_SIGNATURE, sizeof(struct sgx_sigstruct));
    if (!r && enclave)
        r = copy_member(l, SH_SIGNATURE_DEBUG, sizeof(struct sgx_sigstruct));
    if (!r)
        r = check_reference(l, reference, id);
    if (!r)
        r = write_reference(l, reference, id);
    if (!r && enclave)
        r = check_signatures(l, enclave);
    cJSON_Delete(reference);
    return r;
}

/* A file with its hash tree, every block of both checked. */
static int read_verity(struct loader *l, const char *name, uint64_t data_size,
                       const uint8_t want[SH_VERITY_DIGEST])
{
    struct sh_verity v;
    uint8_t root[SH_VERITY_DIGEST];
    if (data_size % SH_VERITY_BLOCK || sh_verity_init(&v, data_size / SH_VERITY_BLOCK))
        return refuse_image(l, "its manifest is not well formed");
    int r = copy_member(l, name, v.total_blocks * SH_VERITY_BLOCK);
    if (r)
        return r;
    cleanup_close int fd = openat(l->work->dir_fd, name, O_RDONLY | O_CLOEXEC);
    struct sh_error inner = {0};
    r = fd < 0 ? -errno : sh_verity_file(fd, v.data_blocks, true, root, &inner);
    if (r == -EBADMSG || (!r && memcmp(root, want, sizeof(root))))
        return sh_fail(l->err, -EBADMSG,
                       "%s is refused: its %s does not have the digest that its manifest says",
                       l->name, name);
    return r ? sh_fail(l->err, r, "%s", inner.text) : 0;
}

static int read_all(struct loader *l, char id[SH_ID_TEXT_SIZE], struct sh_strings *tags)
{
    struct archive_entry *e;
    struct sh_data_file data;
    int r = read_head(l, id, tags);
    if (!r)
        r = read_manifest(l, id);
    if (!r)
        r = read_base(l, id);
    if (!r)
        r = read_verity(l, "root.img", l->manifest.root_size, l->manifest.root_hash);
    if (!r && l->manifest.has_sites)
        r = read_verity(l, "sites.bin", l->manifest.sites_size, l->manifest.sites_hash);
    for (size_t i = 0; !r && sh_image_data(&l->manifest, i, &data); i++) {
        r = read_verity(l, data.name, data.size, data.root);
        if (!r)
            r = sh_base_share_file(l->work->store->dir_fd, l->work->dir_fd, data.name, l->err);
    }
    if (!r && archive_read_next_header(l->archive, &e) != ARCHIVE_EOF)
        r = refuse_image(l, "there is more in it than one image");
    return r;
}

/* Tags that the caller asked for move; those that the file brings do not: whoever wrote the file
 * must not decide what a name means here. tags: those that it has now. */
static int set_tags(struct sh_store *store, const struct sh_strings *wanted, const char *id,
                    struct sh_strings *tags, struct sh_error *err)
{
    struct sh_strings set = {0};
    char old[SH_ID_TEXT_SIZE];
    size_t wanted_count = wanted ? wanted->count : 0;
    int r = 0;
    for (size_t i = 0; !r && i < wanted_count; i++) {
        sh_strings_add(&set, wanted->v[i]);
        r = sh_store_tag(store, wanted->v[i], id, err);
    }
    for (size_t i = 0; !r && !wanted_count && i < tags->count; i++) {
        if (!sh_store_read_tag(store, tags->v[i], old) && strcmp(old, id)) {
            fprintf(
                stderr,
                "shelter: note: %s points to image %.12s here and stays there; --tag %s moves it\n",
                tags->v[i], old, tags->v[i]);
            continue;
        }
        sh_strings_add(&set, tags->v[i]);
        r = sh_store_tag(store, tags->v[i], id, err);
    }
    sh_strings_free(tags);
    *tags = set;
    return r;
}

int sh_image_load(struct sh_store *store, int fd, const char *name,
                  const struct sh_strings *firmware, const struct sh_strings *wanted,
                  uint64_t max_size, struct sh_progress *progress, char id[SH_ID_TEXT_SIZE],
                  struct sh_strings *tags, struct sh_error *err)
{
    struct sh_work work;
    struct loader l = {
        .name = name, .firmware = firmware, .work = &work, .progress = progress, .err = err};
    int r = sh_work_begin(store, &work, err);
    if (r)
        return r;
    sh_budget_start(&l.budget, max_size, work.dir_fd);
    l.archive = archive_read_new();
    archive_read_support_format_tar(l.archive);
    archive_read_support_filter_gzip(l.archive);
    archive_read_support_filter_zstd(l.archive);
    archive_read_support_filter_xz(l.archive);
    if (archive_read_open_fd(l.archive, fd, 1 << 17) < ARCHIVE_WARN)
        r = archive_failed(&l);
    if (!r)
        r = read_all(&l, id, tags);
    if (!r)
        r = sh_base_share(store->dir_fd, work.dir_fd, err);
    if (!r)
        r = sh_work_install(&work, id, false, err);
    if (!r)
        r = set_tags(store, wanted, id, tags, err);
    archive_read_free(l.archive);
    cJSON_Delete(l.head);
    free(l.manifest_bytes);
    sh_work_end(&work);
    return r;
}
