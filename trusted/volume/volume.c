// SPDX-License-Identifier: Apache-2.0
// Volumes made, opened, closed, and asked about.
#include "trusted/volume/anchor.h"
#include "trusted/volume/internal.h"

#define DIR_MODE 0755u
#define LOG_MIN 64u
#define LOG_MAX 2048u
#define VERSION 2u

static size_t round_up(size_t n)
{
    return (n + BLOCK_SIZE - 1) & ~(size_t)(BLOCK_SIZE - 1);
}

/* The last group must at least hold its part of the map. */
static uint64_t usable_blocks(uint64_t blocks)
{
    if (blocks > BLOCKS_MAX - 1)
        blocks = BLOCKS_MAX - 1;
    uint64_t last = blocks % GROUP_BLOCKS;
    return last < 64 ? blocks - last : blocks;
}

/* The volume's own block at the front, then buffers. */
static struct volume *lay_out(const struct volume_disk *disk, void *memory, size_t size)
{
    uint8_t *at = memory;
    if (size < VOLUME_MEMORY_MIN || (uintptr_t)memory % BLOCK_SIZE)
        return NULL;
    struct volume *v = memory;
    memset(v, 0, sizeof(*v));
    at += round_up(sizeof(*v));
    v->disk = *disk;
    v->io = at;
    at += IO_BLOCKS * BLOCK_SIZE;
    v->pending = at;
    v->memory_size = size;
    v->reason = "";
    return v;
}

/* What depends on how large the volume is. */
static int lay_out_rest(struct volume *v)
{
    uint8_t *at = v->pending + round_up(PENDING_MAX), *end = (uint8_t *)v + v->memory_size;
    uint64_t blocks = usable_blocks(v->disk.blocks); /* it may grow so far */
    size_t groups =
        ((blocks > v->super.blocks ? blocks : v->super.blocks) + GROUP_BLOCKS - 1) / GROUP_BLOCKS;
    v->group_free = (uint16_t *)at;
    at += round_up(groups * sizeof(uint16_t));
    at += round_up(aside_init(v, at, v->memory_size / 3));
    map_init(v);
    int r = node_init(v, at, (size_t)(end - at));
    /* Only where blocks of pointers do not fit in memory all together. */
    v->delta_max = v->super.blocks / FAN > v->node_count / 2 ? v->delta_room : 0;
    return r;
}

void volume_abandon(struct volume *v)
{
    crypt_wipe(v, v->memory_size);
    v->failed = -EIO; /* whoever still has it */
    v->reason = "it is closed";
}

static int fill_super(struct volume *v, uint64_t blocks, const char *name)
{
    struct super *s = &v->super;
    uint64_t log = blocks / 64;
    *s = (struct super){.version = VERSION, .blocks = blocks, .inodes = 1};
    s->log_blocks = (uint32_t)(log < LOG_MIN ? LOG_MIN : log > LOG_MAX ? LOG_MAX : log);
    s->free = blocks - map_fixed(s);
    s->created = v->now_ns = v->disk.now_ns(v->disk.ctx);
    for (size_t i = 0; name[i] && i < sizeof(s->name) - 1; i++)
        s->name[i] = name[i];
    if (v->disk.random_bytes(v->disk.ctx, s->id, sizeof(s->id)) ||
        v->disk.random_bytes(v->disk.ctx, s->hash_key, sizeof(s->hash_key)) ||
        v->disk.random_bytes(v->disk.ctx, v->master, sizeof(v->master)))
        return -EIO;
    return 0;
}

static int make_first(struct volume *v)
{
    struct disk_inode *i;
    struct volume_owner owner = {0, 0};
    for (uint64_t want = INO_ROOT; want <= INO_ORPHANS; want++) {
        uint64_t ino;
        int r = ino_new(v, TYPE_DIR | (want == INO_ROOT ? DIR_MODE : 0), owner, &ino);
        if (!r)
            r = ino_change(v, ino, &i);
        if (r)
            return r;
        i->next = INO_ROOT;
    }
    v->super.files = 0;
    return 0;
}

/* The log's blocks are there before they are needed: a host's file system makes a flush dear for
 * those that are new. */
static int write_log(struct volume *v)
{
    int r = 0;
    memset(v->io, 0, IO_BLOCKS * BLOCK_SIZE);
    for (uint32_t at = 0; !r && at < v->super.log_blocks; at += IO_BLOCKS) {
        uint32_t n = v->super.log_blocks - at < IO_BLOCKS ? v->super.log_blocks - at : IO_BLOCKS;
        r = v->disk.write_blocks(v->disk.ctx, LOG_START + at, v->io, n);
    }
    return r;
}

static int create_volume(const struct volume_disk *disk, const uint8_t key[VOLUME_KEY_SIZE],
                         const char *name, void *memory, size_t size)
{
    uint64_t blocks = usable_blocks(disk->blocks);
    struct volume *v = lay_out(disk, memory, size);
    if (!v || blocks < VOLUME_BLOCKS_MIN)
        return -EINVAL;
    int r = fill_super(v, blocks, name);
    if (!r)
        r = lay_out_rest(v);
    if (!r)
        r = root_wrap(v, key);
    if (!r)
        r = block_new_session(v);
    if (!r)
        r = write_log(v);
    if (!r)
        r = make_first(v);
    if (!r)
        r = root_commit(v, true);
    volume_abandon(v);
    return r;
}

static int judge_super(const struct volume *v)
{
    const struct super *s = &v->super;
    if (s->version != VERSION || s->features)
        return -EPROTO;
    if (s->blocks < VOLUME_BLOCKS_MIN || s->blocks != usable_blocks(s->blocks) ||
        s->log_blocks < LOG_MIN || s->log_blocks > LOG_MAX || s->inodes > s->blocks * INODES)
        return -EIO;
    return s->blocks > v->disk.blocks ? -EOVERFLOW : 0;
}

/* Files that were unlinked while open, when nothing is open yet. */
static int forget_orphans(struct volume *v)
{
    for (;;) {
        uint64_t ino;
        v->step++;
        int r = dir_find_any(v, INO_ORPHANS, &ino);
        if (r <= 0)
            return r;
        struct op op = {.type = OP_FORGET, .a = {ino}, .now = v->disk.now_ns(v->disk.ctx)};
        r = run_op(v, &op);
        if (r)
            return r;
    }
}

static int open_rest(struct volume *v)
{
    bool clean = v->super.clean;
    int r = judge_super(v);
    if (!r)
        r = lay_out_rest(v);
    if (r || (v->read_only && !clean))
        return r ? r : -EROFS;
    if (!v->read_only)
        r = block_new_session(v);
    if (!r)
        r = delta_load(v);
    if (!r)
        r = log_replay(v, clean);
    v->found = v->now;
    if (!r && v->disk.judge_found)
        r = v->disk.judge_found(v->disk.ctx, &v->found);
    if (r || v->read_only)
        return r;
    r = root_commit(v, false);
    return r ? r : forget_orphans(v);
}

int volume_open(const struct volume_disk *disk, const uint8_t key[VOLUME_KEY_SIZE], int flags,
                void *memory, size_t size, struct volume **out)
{
    struct volume *v = lay_out(disk, memory, size);
    if (!v)
        return -EINVAL;
    v->read_only = flags & VOLUME_READ_ONLY;
    v->keeps_writer = flags & VOLUME_KEEP_WRITER;
    int r = root_read(v, key);
    if (!r)
        r = open_rest(v);
    if (r)
        volume_abandon(v);
    *out = r ? NULL : v;
    return r;
}

int volume_close(struct volume *v, struct volume_state *last)
{
    int r = v->read_only ? 0 : root_commit(v, true);
    if (last)
        *last = v->now;
    volume_abandon(v);
    return r;
}

const char *volume_reason(const struct volume *v)
{
    return v->reason;
}

int volume_commit(struct volume *v)
{
    v->step++;
    return v->read_only ? v->failed : root_commit(v, false);
}

uint64_t volume_pending(const struct volume *v)
{
    return v->pending_size + (v->need_commit ? PENDING_MAX : 0);
}

int volume_sync_begin(struct volume *v)
{
    v->step++;
    if (v->failed || !volume_pending(v))
        return v->failed;
    if (v->need_commit)
        return root_commit(v, false);
    int r = log_write(v);
    return r ? r : 1;
}

int volume_sync_end(struct volume *v, int flushed)
{
    return v->failed ? v->failed : log_written(v, flushed);
}

int volume_sync(struct volume *v)
{
    int r = volume_sync_begin(v);
    if (r != 1)
        return r;
    r = v->disk.flush_blocks(v->disk.ctx);
    return volume_sync_end(v, r);
}

void volume_state(const struct volume *v, struct volume_state *out)
{
    *out = v->now;
}

void volume_anchored(struct volume *v, const struct volume_state *state)
{
    v->super.anchored_sequence = state->sequence;
    v->super.anchored_log = state->log_count;
}

void volume_info(const struct volume *v, struct volume_info *out)
{
    const struct super *s = &v->super;
    uint64_t kept = run_reserve(v);
    *out = (struct volume_info){.blocks = s->blocks - map_fixed(s),
                                .free = s->free,
                                .available = s->free > kept ? s->free - kept : 0,
                                .files = s->files};
}

/* To the end of its disk. */
static int grow_volume(struct volume *v)
{
    struct super *s = &v->super;
    uint64_t before = s->blocks - map_fixed(s), blocks = usable_blocks(v->disk.blocks);
    if (blocks <= s->blocks)
        return 0;
    int r = volume_commit(v);
    if (r)
        return r;
    s->blocks = blocks;
    s->free += s->blocks - map_fixed(s) - before;
    map_init(v);
    return volume_commit(v);
}

#define SCAN_BLOCKS 2u /* all zeros: there is no volume yet */

static bool is_blank(const struct volume_disk *disk, void *memory)
{
    const uint8_t *bytes = memory;
    if (disk->read_blocks(disk->ctx, 0, memory, SCAN_BLOCKS))
        return false;
    for (size_t i = 0; i < SCAN_BLOCKS * BLOCK_SIZE; i++) {
        if (bytes[i])
            return false;
    }
    return true;
}

int volume_start(const struct volume_disk *disk, const uint8_t key[VOLUME_KEY_SIZE],
                 const char *name, int flags, void *memory, size_t size, struct volume **out)
{
    int r = 0;
    if (disk->blocks < SCAN_BLOCKS || size < VOLUME_MEMORY_MIN)
        return -EINVAL;
    if (!(flags & VOLUME_READ_ONLY) && is_blank(disk, memory)) {
        r = disk->judge_found ? disk->judge_found(disk->ctx, NULL) : 0;
        if (!r)
            r = create_volume(disk, key, name, memory, size);
    }
    if (!r)
        r = volume_open(disk, key, flags, memory, size, out);
    if (r || flags & VOLUME_READ_ONLY)
        return r;
    r = grow_volume(*out);
    if (r)
        volume_abandon(*out);
    return r;
}

const char *volume_why_not(int r)
{
    return r == -EKEYREJECTED
               ? "its key does not open it: another volume's file, another key, or a "
                 "disk that was changed"
           : r == -EUCLEAN   ? "a record of its log that was acknowledged is damaged; restore it"
           : r == -EOVERFLOW ? "its file is shorter than it was"
           : r == -EPROTO    ? "it was made by another version"
           : r == -EROFS     ? "it was not closed in order: open it for writing before"
           : r == -EINVAL    ? "its file is too small: 16 MiB at least"
           : r == -ENOMEM    ? "it does not fit in the memory of -m"
           : r == -ENOENT    ? "the host brought no file for it (-v NAME:FILE)"
                             : "its disk gives errors or wrong blocks";
}

void volume_count(const struct volume *v, const struct anchor_watch *watch, uint64_t now_ms,
                  uint64_t counts[VOLUME_COUNTS])
{
    struct volume_state now;
    struct volume_info info;
    memset(counts, 0, VOLUME_COUNTS * sizeof(*counts));
    volume_state(v, &now);
    volume_info(v, &info);
    counts[VOLUME_COUNT_SEQUENCE] = now.sequence;
    counts[VOLUME_COUNT_LOG] = now.log_count;
    counts[VOLUME_COUNT_PENDING] = volume_pending(v);
    counts[VOLUME_COUNT_FREE] = info.available * 4096;
    if (!watch || watch->mode == ANCHOR_NONE)
        return;
    counts[VOLUME_COUNT_ACKNOWLEDGED] = watch->acked.sequence;
    counts[VOLUME_COUNT_ACKNOWLEDGED_LOG] = watch->acked.log_count;
    counts[VOLUME_COUNT_SILENT] = now_ms - watch->heard;
    counts[VOLUME_COUNT_AWAY] = watch->away;
    counts[VOLUME_COUNT_LOST] = watch->lost;
}
