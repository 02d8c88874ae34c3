// SPDX-License-Identifier: Apache-2.0
// Root records: read, chosen, written. A commit is what makes one.
#include "trusted/volume/internal.h"

#define NAME_SIZE (sizeof(VOLUME_NAME) - 1)

int root_wrap(struct volume *v, const uint8_t key[VOLUME_KEY_SIZE])
{
    struct crypt_key k;
    if (v->disk.random_bytes(v->disk.ctx, v->root.key_nonce, sizeof(v->root.key_nonce)))
        return -EIO;
    crypt_expand_derived(&k, key, "wrap", 0);
    crypt_seal(&k, v->root.key_nonce, VOLUME_NAME, NAME_SIZE, v->master, v->root.wrapped,
               sizeof(v->root.wrapped), v->root.key_tag);
    crypt_wipe(&k, sizeof(k));
    return 0;
}

static int open_root(struct disk_root *r, const uint8_t key[VOLUME_KEY_SIZE],
                     uint8_t master[CRYPT_KEY_SIZE], uint8_t *super)
{
    struct crypt_key k;
    crypt_expand_derived(&k, key, "wrap", 0);
    bool good = crypt_open(&k, r->key_nonce, VOLUME_NAME, NAME_SIZE, r->wrapped, master,
                           CRYPT_KEY_SIZE, r->key_tag);
    if (good) {
        crypt_expand_derived(&k, master, "root", 0);
        good = crypt_open(&k, r->nonce, r, WRAP_SIZE, r->super, super, sizeof(r->super), r->tag);
    }
    crypt_wipe(&k, sizeof(k));
    return good ? 0 : -EKEYREJECTED;
}

/* The record that counts: of those that open, the one with the highest number. */
int root_read(struct volume *v, const uint8_t key[VOLUME_KEY_SIZE])
{
    struct disk_root *r = (struct disk_root *)v->io;
    struct super *s = (struct super *)(v->io + BLOCK_SIZE);
    uint8_t master[CRYPT_KEY_SIZE];
    bool found = false, unread = false;
    for (uint64_t i = 0; i < 4; i++) {
        if (v->disk.read_blocks(v->disk.ctx, i / 2 * ROOT_COPY + i % 2, r, 1)) {
            unread = true;
            continue;
        }
        if (open_root(r, key, master, (uint8_t *)s) || (found && s->sequence <= v->super.sequence))
            continue;
        found = true;
        memcpy(&v->super, s, sizeof(v->super));
        memcpy(&v->root, r, sizeof(v->root));
        memcpy(v->master, master, CRYPT_KEY_SIZE);
    }
    crypt_wipe(master, sizeof(master));
    crypt_wipe(s, BLOCK_SIZE);
    return found ? 0 : unread ? -EIO : -EKEYREJECTED;
}

static int root_write(struct volume *v)
{
    struct crypt_key k;
    uint8_t *plain = v->io;
    memset(plain, 0, BLOCK_SIZE);
    memcpy(plain, &v->super, sizeof(v->super));
    if (v->disk.random_bytes(v->disk.ctx, v->root.nonce, sizeof(v->root.nonce)))
        return -EIO;
    crypt_expand_derived(&k, v->master, "root", 0);
    crypt_seal(&k, v->root.nonce, &v->root, WRAP_SIZE, plain, v->root.super, sizeof(v->root.super),
               v->root.tag);
    crypt_wipe(&k, sizeof(k));
    crypt_wipe(plain, BLOCK_SIZE);
    uint64_t slot = v->super.sequence & 1;
    int r = v->disk.write_blocks(v->disk.ctx, slot, &v->root, 1);
    return r ? r : v->disk.write_blocks(v->disk.ctx, ROOT_COPY + slot, &v->root, 1);
}

int root_commit(struct volume *v, bool clean)
{
    if (v->failed)
        return v->failed;
    int r = tree_write(v, 0, CLASS_MAP);
    if (!r)
        r = delta_save(v, clean);
    if (!r)
        r = tree_write(v, CLASS_MAP, CLASSES);
    if (r)
        return volume_fail(v, r, "the disk cannot be written");
    v->super.sequence++;
    v->super.session = v->keys[0].session;
    if (!v->keeps_writer)
        v->super.writer = v->disk.writer;
    v->super.written = v->disk.now_ns(v->disk.ctx);
    v->super.clean = clean;
    if (v->disk.flush_blocks(v->disk.ctx) || root_write(v) || v->disk.flush_blocks(v->disk.ctx))
        return volume_fail(v, -EIO, "the disk cannot be written");
    map_committed(v);
    aside_saved(v);
    log_start(v);
    return 0;
}
