// SPDX-License-Identifier: Apache-2.0
// /dev/attestation: reports and quotes as files, under the names that SGX programs know.
//
//   user_report_data  rw  64 bytes to bind; a write replaces them, shorter ones end with zeros
//   target_info       rw  TARGETINFO for whom `report` is made (SDM 35.17), 512 bytes
//   my_target_info    r   this enclave's own, for others
//   report            r   REPORT over user_report_data for target_info (SDM 35.15)
//   quote             r   a quote over user_report_data
//   attestation_type  r   "dcap", or "none" where there is no TEE
//   keys/_sgx_mrenclave  r  16 bytes, root's: what this enclave seals with on this machine. Unless
//   the
//                         image is locked, the launch config is part of it: another command, which
//                         the host may choose there, gets another key. There is no key by MRSIGNER:
//                         the signer is the machine's, and what it signs next would have it too
//
// What is read is made when the file is opened. The data is the workload's own choice: it is the
// image's, not the host's, whose requests are hashed apart (docs/attestation.md).
#include "lib/settings.h"
#include "trusted/libos/fs/file.h"
#include "trusted/libos/mm/mm.h"
#include <shelter/sgx.h>

enum entry { USER_DATA, TARGET, MY_TARGET, REPORT, QUOTE, TYPE, SEAL };
#define FLAT SEAL /* those before it stand in the folder itself */

static const struct {
    const char *name;
    uint32_t mode, size; /* size as stat shows it; of what is made: the most */
} entries[] = {
    [USER_DATA] = {"user_report_data", 0666, 64},
    [TARGET] = {"target_info", 0666, sizeof(struct sgx_targetinfo)},
    [MY_TARGET] = {"my_target_info", 0444, sizeof(struct sgx_targetinfo)},
    [REPORT] = {"report", 0444, SGX_REPORT_SIZE},
    [QUOTE] = {"quote", 0444, PORT_QUOTE_MAX},
    [TYPE] = {"attestation_type", 0444, 4},
    [SEAL] = {"_sgx_mrenclave", 0400, 16},
};

static uint8_t user_data[64];
static struct sgx_targetinfo target;
static bool available;

static void *entry_setting(enum entry e)
{
    return e == USER_DATA ? (void *)user_data : e == TARGET ? (void *)&target : NULL;
}

static long my_target(uint8_t *out)
{
    struct sgx_report r;
    struct sgx_targetinfo t = {0};
    long n = port_report(user_data, NULL, &r, sizeof(r));
    if (n < 0)
        return n;
    memcpy(t.mrenclave, r.mrenclave, sizeof(t.mrenclave));
    t.attributes = r.attributes;
    t.cet_attributes = r.cet_attributes;
    t.miscselect = r.miscselect;
    t.config_svn = r.config_svn;
    memcpy(t.configid, r.configid, sizeof(t.configid));
    memcpy(out, &t, sizeof(t));
    return sizeof(t);
}

static long make_quote(uint8_t *out)
{
    uint8_t data[64];
    memcpy(data, user_data, sizeof(data));
    los_unlock(); /* a quoting service may take its time */
    long n = port_quote(data, out, PORT_QUOTE_MAX);
    call_relock();
    return n;
}

static long make_content(enum entry e, uint8_t *out)
{
    switch (e) {
    case MY_TARGET:
        return my_target(out);
    case REPORT:
        return port_report(user_data, &target, out, SGX_REPORT_SIZE);
    case QUOTE:
        return make_quote(out);
    case TYPE:
        memcpy(out, available ? "dcap" : "none", 4);
        return 4;
    case SEAL: {
        int r = port_seal_key(!settings.locked, out);
        return r ? r : 16;
    }
    default:
        return -EINVAL;
    }
}

/* What was made at open. */
struct content {
    long size;
    uint8_t data[];
};

static long attestation_read(struct file *f, struct io *io, uint64_t offset)
{
    enum entry e = (enum entry)(uintptr_t)f->inode->data;
    const struct content *c = f->data;
    const uint8_t *data = c ? c->data : entry_setting(e);
    uint64_t size = c ? (uint64_t)c->size : entries[e].size;
    if (!data || offset >= size)
        return 0;
    size_t n = MIN(io->left, size - offset);
    int r = io_put(io, data + offset, n);
    return r ? r : (long)n;
}

static long attestation_write(struct file *f, struct io *io, uint64_t offset)
{
    enum entry e = (enum entry)(uintptr_t)f->inode->data;
    uint8_t buf[sizeof(struct sgx_targetinfo)] = {0};
    size_t n = io->left;
    if (!entry_setting(e))
        return -EACCES;
    if (offset || n > entries[e].size)
        return -EINVAL;
    int r = io_get(io, buf, n);
    if (r)
        return r;
    memcpy(entry_setting(e), buf, entries[e].size);
    return (long)n;
}

static void attestation_release(struct file *f)
{
    struct content *c = f->data;
    if (c)
        memset(c->data, 0, (size_t)c->size);
    los_free(c);
}

static const struct file_ops ops = {
    .read = attestation_read,
    .write = attestation_write,
    .release = attestation_release,
};

static int attestation_open(struct file *f)
{
    enum entry e = (enum entry)(uintptr_t)f->inode->data;
    if (!entry_setting(e)) {
        struct content *c = los_alloc(sizeof(*c) + entries[e].size);
        if (!c)
            return -ENOMEM;
        c->size = make_content(e, c->data);
        if (c->size < 0) {
            int r = (int)c->size;
            los_free(c);
            return r;
        }
        f->data = c;
    }
    f->ops = &ops;
    return 0;
}

static const struct inode_ops inode_ops = {.open = attestation_open};

static int make_entry(size_t e, struct inode **out, bool *keep)
{
    struct inode *i = inode_new(FS_PROC, S_IFREG | entries[e].mode);
    if (!i)
        return -ENOMEM;
    i->uid = i->gid = 0;
    i->size = e == QUOTE ? 0 : entries[e].size;
    i->ops = &inode_ops;
    i->data = (void *)e;
    *keep = true;
    *out = i;
    return 0;
}

static int keys_lookup(struct dentry *dir, const char *name, struct inode **out, bool *keep)
{
    return strcmp(name, entries[SEAL].name) ? -ENOENT : make_entry(SEAL, out, keep);
}

static int keys_list(struct dentry *dir, struct listing *l)
{
    const char *name = entries[SEAL].name;
    return listing_add(l, name, strlen(name), (1ull << 43) + SEAL, 8);
}

static const struct inode_ops keys_ops = {.lookup = keys_lookup, .list = keys_list};

static int make_keys(struct inode **out, bool *keep)
{
    struct inode *i = inode_new(FS_PROC, S_IFDIR | 0555);
    if (!i)
        return -ENOMEM;
    i->uid = i->gid = 0;
    i->ops = &keys_ops;
    *keep = true;
    *out = i;
    return 0;
}

/* Made when somebody looks. */
static int attestation_lookup(struct dentry *dir, const char *name, struct inode **out, bool *keep)
{
    if (available && !strcmp(name, "keys"))
        return make_keys(out, keep);
    for (size_t e = available ? 0 : TYPE; e < FLAT; e++)
        if (!strcmp(entries[e].name, name))
            return make_entry(e, out, keep);
    return -ENOENT;
}

static int attestation_list(struct dentry *dir, struct listing *l)
{
    int r = 0;
    for (size_t e = available ? 0 : TYPE; !r && e < FLAT; e++)
        r = listing_add(l, entries[e].name, strlen(entries[e].name), (1ull << 43) + e, 8);
    return r || !available ? r : listing_add(l, "keys", 4, (1ull << 43) + ARRAY_COUNT(entries), 4);
}

static const struct inode_ops folder_ops = {
    .lookup = attestation_lookup,
    .list = attestation_list,
};

int attestation_init(struct dentry *dev)
{
    struct sgx_report r;
    available = port_report(user_data, NULL, &r, sizeof(r)) > 0;
    struct inode *i = inode_new(FS_PROC, S_IFDIR | 0555);
    if (!i)
        return -ENOMEM;
    i->ops = &folder_ops;
    return tree_put(dev, "attestation", i);
}
