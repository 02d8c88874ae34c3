// SPDX-License-Identifier: Apache-2.0
// Inodes, names, open files and descriptors.
//
// There is one tree of names. Its nodes are made when somebody looks, from the image's erofs, and
// then stay: what is written lives in them (a page written hides the image's page, a node without
// inode hides the image's name). /proc, /dev and tmpfs are branches of the same tree.
//
// Ownership: inodes, dentries, files and descriptor tables are counted. Who gets one in *out, or
// from a function called _new, _make, _copy, _get or _of_image, owns one reference and gives it
// back by the _put of its kind. "Takes the reference" says that the caller's goes over, also where
// the call fails. What is "not counted" lasts until the caller waits or, where it shares the lock,
// touches the program's memory.
//
// Units: sizes, offsets and positions are bytes (`size` of a name without its NUL), pages have 4
// KiB.
//
// Errors are -errno, those of Linux for the call that it serves; a function that returns a pointer
// has NULL for "no memory" unless it says more. Locks: libos.h, base/lock.h; "may wait" is said of
// what gives the lock up meanwhile, and so is every access to a program's memory (io_put, io_get,
// user_*), which may bring pages in.
#ifndef LIBOS_FILE_H
#define LIBOS_FILE_H

#include "trusted/libos/base/mode.h"
#include "trusted/libos/base/radix.h"
#include "trusted/libos/fs/erofs.h"
#include "trusted/libos/fs/outside.h"
#include "trusted/libos/libos.h"

/* Flags of open(2) that <asm/fcntl.h> has under other names on other machines. */
#include <linux/fcntl.h>
#define O_LARGEFILE_BIT 0100000u

struct dentry;
struct file;
struct inode;
struct text;

struct time {
    int64_t s;
    uint32_t ns;
};

/* Where a call's bytes come from or go to: one or more ranges of the program, or of the LibOS. */
struct io_vec {
    uint64_t addr, size;
};
struct io {
    const struct io_vec *vec;
    uint64_t at;   /* in vec[0] */
    uint64_t left; /* of all ranges */
    bool inside;   /* LibOS memory */
    bool lost;     /* nobody wants the bytes (MSG_TRUNC of TCP): they have no place */
};
/* One range; *v is the caller's and outlives it. `inside`: LibOS memory, which is not checked. */
struct io io_one(struct io_vec *v, uint64_t addr, uint64_t size, bool inside);
/* Moves exactly size bytes, at most io->left, to the program, and goes on behind them. 0; -EFAULT:
 * then some of them may have been moved and `io` is to be used no more. May wait. */
int io_put(struct io *io, const void *from, size_t size);
/* Likewise, from the program. 0 or -EFAULT. */
int io_get(struct io *io, void *to, size_t size);
/* Likewise, zeros to the program. 0 or -EFAULT. */
int io_zero(struct io *io, size_t size);
/* How many of the next `size` bytes can be used so (PORT_R: io_get, PORT_W: io_put), and stay so
 * until the big lock is given up. The caller may be alone afterwards, as mm_ready says. */
size_t io_usable(const struct io *io, size_t size, int access);
/* Makes the next bytes usable for access, at most *size and within a page; *size becomes how many.
 * 0 or -EFAULT. May wait. */
int io_ready(struct io *io, int access, uint64_t *size);

enum fs_kind { FS_ROOT, FS_DATA, FS_TMP, FS_PROC, FS_VOLUME, FS_SHARE, FS_NONE };

struct mount; /* fs/mounted.h */

/* fs/listing.c: what a directory's listing is gathered in. */
struct listing {
    struct listed {
        char *name;
        uint64_t ino;
        uint8_t type;   /* DT_* */
    } * *parts;         /* LISTING_PART each: one allocation would not hold a large directory */
    size_t count, room; /* room: of parts */
};
#define LISTING_PART 128u
static inline struct listed *listing_at(const struct listing *l, size_t i)
{
    return &l->parts[i / LISTING_PART][i % LISTING_PART];
}
/* Copies the name. 0 or -ENOMEM; what was gathered stays, for listing_free. */
int listing_add(struct listing *l, const char *name, size_t size, uint64_t ino, uint8_t type);
/* Frees what it holds, not *l, which is empty then. */
void listing_free(struct listing *l);

/* What a kind of inode does. Any member but those that its type needs may be NULL. */
struct inode_ops {
    /* Directories: the inode of a name that the tree does not hold yet. `keep`: the tree may. */
    /* 0 and a reference in *out, -ENOENT, -EIO, -ENOMEM. */
    int (*lookup)(struct dentry *dir, const char *name, struct inode **out, bool *keep);
    int (*list)(struct dentry *dir, struct listing *l);
    /* Links: text; and, for those of /proc, the file that they stand for. */
    long (*readlink)(struct inode *i, char *buf, size_t size); /* its length, no NUL; -errno */
    struct file *(*follow)(struct inode *i);                   /* counted; NULL: it is gone */
    /* Before an open file is made. May replace f->ops. */
    int (*open)(struct file *f);
    /* What is kept elsewhere: times as they are there; and nobody refers to it any more. */
    void (*refresh)(struct inode *i);
    void (*ended)(struct inode *i);
};

/* What a kind of open file does; a NULL member is what Linux answers where there is none (EINVAL,
 * ENOTTY, ready). A file is not freed while one of these runs. read and write may wait, the others
 * do not. */
struct file_ops {
    /* Bytes moved (0: the end), or -errno where none were; offset is ignored by streams. */
    long (*read)(struct file *f, struct io *io, uint64_t offset);
    long (*write)(struct file *f, struct io *io, uint64_t offset);
    uint32_t (*poll)(struct file *f); /* POLL* now */
    long (*ioctl)(struct file *f, uint64_t request, uint64_t arg);
    void (*release)(struct file *f); /* nobody refers to it any more; frees f->data */
    void (*tell)(const struct file *f, struct text *t); /* for /proc/PID/fdinfo; alone */
    /* What others see of its end, with the big lock shared; release comes later. False: it did
     * nothing. */
    bool (*leave)(struct file *f);
    int64_t (*seek)(struct file *f, int64_t offset, int whence);
    const char *name; /* of what has no path: "pipe", "anon_inode:[eventfd]" */
    bool stream;      /* no offset: pread and lseek are ESPIPE */
    bool pipe;        /* pipe_* work with it */
    bool unwatched;   /* epoll refuses it */
    bool shared;      /* read, write and poll do with the big lock shared */
};

struct inode {
    const struct inode_ops *ops;
    enum fs_kind fs;
    uint32_t refs; /* atomic */
    uint64_t ino;
    uint32_t mode, uid, gid, nlink, rdev;
    uint64_t size;
    struct time atime, mtime, ctime, btime; /* btime: of files in memory */
    struct lock lock;                       /* RANK_INODE: of the times */
    /* image */
    bool magic; /* a link that stands for what it names (/proc/PID/exe), however it is named */
    bool has_lower;
    struct erofs_node lower;
    uint64_t lower_size; /* bytes of the image's data still visible */
    /* tree */
    struct radix pages;  /* where each is that was written or mapped shared: mm/object.c */
    struct list maps;    /* struct area.mapped */
    struct turn writing; /* of who changes contents; who reads needs none */
    bool written;        /* it is no longer as the image has it, or may not be */
    uint64_t page_count;
    char *target;
    struct list flocks; /* fs/lock.c */
    struct list ranges;
    struct lease *leases; /* fs/lease.c */
    struct wait_queue flock_wait;
    struct wait_queue wait; /* of the object behind: pipe, socket name */
    void *data;             /* of the kind: proc entry, pipe, bound socket */
    uint32_t seals;         /* F_SEAL_*; F_SEAL_SEAL where nobody asked for sealing */
    struct list xattrs;     /* fs/xattr.c */
    struct list watches;    /* fs/inotify.c */
    bool linkable;          /* of O_TMPFILE: linkat may give it a name */
    struct mount *mount;    /* where it is kept; NULL: in memory, or the image */
    uint64_t id;
};

/* An extended attribute (fs/xattr.c). */
struct xattr {
    struct list node;
    size_t size;
    uint8_t *value;
    char name[];
};

struct dentry {
    struct list hash;    /* bucket, or itself */
    struct list sibling; /* of parent's children */
    struct list children;
    struct dentry *parent;
    struct inode *inode; /* NULL: the image's name is hidden */
    uint32_t refs;       /* atomic */
    bool kept;           /* in the tree: holds a reference of its own */
    bool root;           /* .. stays here */
    char *name;
};

/* What looks at an open file, and ends with it. */
struct watcher {
    struct list node;                  /* of file.watchers */
    void (*forget)(struct watcher *w); /* takes it out and frees it; does not wait */
};

struct file {
    const struct file_ops *ops;
    struct inode *inode;   /* may be NULL: pipes, sockets, eventfd ... */
    struct dentry *dentry; /* likewise */
    uint32_t refs, flags;  /* refs: atomic; O_* */
    uint64_t offset;
    struct turn position;    /* of who reads or writes at `offset` */
    struct outside *outside; /* what the host holds of it; NULL: nothing */
    void *data;
    struct listing *listing;
    struct wait_queue *wait;         /* woken when poll's answer may have changed; may be NULL */
    struct list watchers;            /* epoll's entries for this file: struct watcher */
    void (*unwatch)(struct file *f); /* ends them beside others; NULL: they are forgotten alone. */
    struct list ending;              /* of those that nobody refers to any more */
    bool quiet;                      /* it is left to file_reap; atomic */
    uint64_t left;                   /* los_time() when a reference was given back; atomic */
    bool locked;                     /* holds a flock */
    bool made;                       /* by the open that it came from (F_CREATED_QUERY) */
    bool ranged;                     /* locked a range as an open file (OFD) */
    int32_t owner_type, owner, owner_signal; /* of fcntl: whom O_ASYNC signals, and how */
    uint32_t owner_uid, owner_euid;          /* who said so */
    struct watcher *async;                   /* fs/async.c; NULL: no signals */
};

/* fs/inode.c: of the caller's user and group, nlink as its type has it; NULL: no memory. */
void inode_init(void);
/* Counted once, of the caller's fsuid and fsgid and of now; NULL: no memory. */
struct inode *inode_new(enum fs_kind fs, uint32_t mode);
/* In a directory: with umask, and what setgid on the directory means. */
struct inode *inode_make(const struct inode *dir, uint32_t mode);
bool in_group(uint32_t gid); /* is the calling process's */
long inode_link_text(struct inode *i, char *buf,
                     size_t size); /* NUL-terminated; its length or -errno */
/* May whoever has this user, group and capabilities do all of mask (R_OK 4, W_OK 2, X_OK 1)? */
bool inode_allowed_as(const struct inode *i, int mask, uint32_t uid, uint32_t gid, uint64_t caps);
struct inode *inode_of_image(uint64_t nid); /* NULL: error; the same for the same nid */
/* One reference more. */
void inode_get(struct inode *i);
/* The last one frees it; an image's inode that has a name keeps what was changed. With the lock
 * held exclusively. */
void inode_put(struct inode *i);
bool inode_allowed(const struct inode *i, int mask); /* R_OK 4, W_OK 2, X_OK 1 */
/* Nobody writes there: the image's data; where the settings say so, its root. */
bool inode_is_fixed(const struct inode *i);
/* 0, -EACCES, or -EROFS: files, folders and links of what is fixed are not written. */
int inode_judge(const struct inode *i, int mask);
void inode_touch(struct inode *i, bool content);      /* ctime, and mtime */
uint64_t device_of(const struct inode *i);            /* st_dev */
void inode_times(struct inode *i, struct time to[3]); /* atime, mtime, ctime */
/* The real time, as the host says it. */
struct time time_now(void);

/* fs/data.c: contents of regular files: pages of their own over the image's or the mount's.
 * Reading beyond the end is 0 bytes, writing fills the gap with a hole. -EIO: a block is not what
 * the image's hash tree says; -ENOSPC: no memory, or none that files may take; -EPERM: sealed;
 * -EFAULT. May wait for the program's pages. Moved in pieces, between which others get the big
 * lock. */
#define PIECE_SIZE (128ul << 10)
/* Bytes read, at most io->left; those before an error count. */
long data_read(struct inode *i, struct io *io, uint64_t offset);
/* Likewise. -EFBIG and SIGXFSZ beyond RLIMIT_FSIZE. Whoever calls it has i->writing. */
long data_write(struct inode *i, struct io *io, uint64_t offset);
/* Sets the size: what was behind it is zeros from now on. -EFBIG, -EPERM, -ENOSPC. */
int data_truncate(struct inode *i, uint64_t size);
int data_page(struct inode *i, uint64_t index,
              void *buf); /* the whole page, into PAGE_SIZE bytes */
int data_punch(struct inode *i, uint64_t start, uint64_t end); /* a hole, size unchanged */
int data_limit(const struct inode *i, uint64_t end); /* RLIMIT_FSIZE: -EFBIG and SIGXFSZ */
/* What a change does to the bits, and the attribute, that give rights away. */
void data_drop_rights(struct inode *i);
void data_drop_capability(struct inode *i);                       /* alone */
int data_allocate(struct inode *i, uint64_t start, uint64_t end); /* pages, size unchanged */
/* The first data or hole at or behind offset; -ENXIO behind the end. */
int64_t data_seek(struct inode *i, uint64_t offset, bool hole);
uint64_t data_blocks(const struct inode *i); /* of 512 bytes */
extern const struct file_ops regular_ops;
extern const struct file_ops directory_ops; /* fs/open.c: which are not read */

/* fs/tree.c: names. A dentry holds its parent and its inode; one that is `kept` holds itself until
 * it is unlinked. -ENOENT, -EEXIST, -ENOMEM, -EIO. None waits. */
extern struct dentry *root_dentry;
/* The root, from the image. Once. 0, -EIO, -ENOMEM. */
int tree_init(void);
/* Not yet in the tree. Takes i's reference (NULL: the name is hidden); copies the name. */
struct dentry *dentry_new(struct dentry *parent, const char *name, size_t size, struct inode *i);
/* One reference more. */
void dentry_get(struct dentry *d);
/* The last one frees it, and gives its parent and inode back, as many as there are above it.
 * Exclusively. */
void dentry_put(struct dentry *d);
/* size is at most EROFS_NAME_MAX; asks the directory's kind where the tree does not know. */
int dentry_lookup(struct dentry *dir, const char *name, size_t size, struct dentry **out);
/* A new name of i, which gets a reference more; who counts links is the caller. */
int dentry_link(struct dentry *dir, const char *name, size_t size, struct inode *i);
void dentry_unlink(struct dentry *d); /* which is in the tree; open files keep its inode */
/* To another name, which nothing has; whoever holds d (open files, children) sees the new one. */
int dentry_move(struct dentry *d, struct dentry *dir, const char *name);
int dentry_swap(struct dentry *a, struct dentry *b); /* names and places */
/* Adds what the directory has, without . and ..; *l is the caller's, also on an error. */
int dentry_list(struct dentry *dir, struct listing *l);
bool dentry_removed(const struct dentry *d); /* it has no name any more */
/* As the caller sees it from its root; its length; buf ends with NUL. */
int dentry_path(struct dentry *d, char *buf, size_t size);
/* Has it no names? false and *error: that could not be read. */
bool dentry_empty(struct dentry *dir, int *error);
/* Is it `top`, or somewhere below it? */
bool dentry_below(struct dentry *d, struct dentry *top);
int tree_mkdir(const char *path, uint32_t mode,
               struct dentry **out); /* at start-up, with parents */
/* i at this name, instead of what is there. Takes the reference; NULL is -ENOMEM. */
int tree_put(struct dentry *dir, const char *name, struct inode *i);

/* fs/mount.c: while the LibOS starts. A directory at a path, instead of what the image has there;
 * parents are made. Takes the reference; NULL is -ENOMEM. -EBUSY: it is the root. */
int tree_mount(const char *path, struct inode *i);
/* A file in memory, of the current user, in a directory that is made where it lacks; replaces. */
int tree_put_file(const char *directory, const char *name, uint32_t mode, const void *data,
                  size_t size);

/* fs/path.c: from a path to a dentry, with the caller's rights at each step. 0: *w is to be ended
 * by walk_end; else it holds nothing. -ENOENT, -ENOTDIR, -EACCES, -ELOOP (40 links), -ENAMETOOLONG,
 * -EXDEV (WALK_BENEATH and the like), -EBADF (dirfd), -EFAULT (walk_user), -ENOMEM. Does not wait
 * but in walk_user. */
#define WALK_FOLLOW 1    /* the last component, if a link */
#define WALK_PARENT 2    /* result is the directory; last name in .last */
#define WALK_DIRECTORY 4 /* must be one */
/* openat2's */
#define WALK_NO_XDEV 8
#define WALK_NO_MAGIC 16
#define WALK_NO_LINKS 32
#define WALK_BENEATH 64
#define WALK_IN_ROOT 128
struct walk {
    struct dentry *dentry;         /* result, counted; with WALK_PARENT the directory */
    char last[EROFS_NAME_MAX + 1]; /* WALK_PARENT: "" if the path ends in . or .. or / */
    bool slash;                    /* it ended with a slash */
    unsigned dots;                 /* WALK_PARENT: it ended in . (1) or .. (2) */
    struct file *file;             /* the link of /proc stood for this file, counted */
};
/* From dirfd, or from the root where the path is absolute. The path is the LibOS's. */
int walk_path(int dirfd, const char *path, int flags, struct walk *w);
/* A relative path starts at `base`. */
int walk_from(struct dentry *base, const char *path, int flags, struct walk *w);
int walk_start(int dirfd, const char *path, struct dentry **out); /* counted */
/* Likewise, of a path in the program's memory. */
int walk_user(int dirfd, uint64_t path, int flags, struct walk *w);
/* Gives the references of *w back; harmless twice. */
void walk_end(struct walk *w);
/* The calling process's working directory. Not counted. */
struct dentry *cwd_dentry(void);
void cwd_set(struct dentry *d);     /* takes a reference */
struct dentry *fs_root(void);       /* the caller's; not counted */
void fs_root_set(struct dentry *d); /* takes a reference */

/* fs/open.c: open files. file_new: one reference, no inode. The last file_put releases; where that
 * ends further files (sockets queued in sockets) they end one after another, not in one another.
 * Who shares the lock when a file ends of which nobody hears leaves it to file_reap, which is
 * called alone, before each call that is so: so what somebody else found and did not count stays.
 */
struct file *file_new(const struct file_ops *ops, uint32_t flags);
/* One reference more; also with the lock shared. */
void file_get(struct file *f);
/* One less. The last one makes the call alone: what was read from the program's memory is old then.
 */
void file_put(struct file *f);
/* Ends those that were left; the lock is held exclusively. (Of files of which nobody hears those
 * end before that which nobody can have seen any more: los_oldest.) */
void file_reap(void);
/* With checks; *offset moves unless the file is a stream. Bytes, 0 at the end; -EBADF, -EINVAL,
 * -EISDIR, and what its kind says. May wait. */
long file_read(struct file *f, struct io *io, uint64_t *offset);
/* Likewise; at the end with O_APPEND. -ENOSPC, -EFBIG, -EPIPE. */
long file_write(struct file *f, struct io *io, uint64_t *offset);
/* A file of size 0 that no directory has; 0 or -errno. */
int file_new_memory(const char *name, size_t size, struct file **out);
uint32_t file_flags(const struct file *f); /* as programs see them */
/* Was it opened for reading, and not with O_PATH? */
bool file_can_read(const struct file *f);
/* Likewise for writing. */
bool file_can_write(const struct file *f);
/* Has it pages that mmap can show? */
bool file_can_map(const struct file *f);
bool file_map_source(struct file *f, int prot);                 /* false: as good as anonymous */
int file_read_page(struct file *f, uint64_t offset, void *buf); /* -EIO behind the end */
/* `size` bytes at `offset` into memory of the LibOS: how many, or -errno of data_read. */
long file_read_at(struct file *f, uint64_t offset, void *buf, size_t size);
/* Its name for /proc, always ended by NUL; "?" where that does not fit. */
void file_path(struct file *f, char *buf, size_t size);

/* fs/openat.c: with the caller's rights; may wait (a FIFO). -EACCES, -EISDIR, -EROFS, -ENXIO,
 * -ENOMEM and the others of open(2). 0 and one reference in *out. */
int file_open_dentry(struct dentry *d, uint32_t flags, struct file **out);
/* By a path of the LibOS's, from the calling process's root. *out: one reference. */
int file_open(const char *path, uint32_t flags, uint32_t mode, struct file **out);
/* With O_RDONLY, of the LibOS: a program's file, which needs the right to execute it alone. */
#define OPEN_EXEC (1u << 30)

/* fs/ready.c: POLL* that f is ready for now, of its kind and of what the host said. */
uint32_t file_poll(struct file *f);

/* fs/lock_fcntl.c: F_GETLK and its kin (fcntl(2)); arg: the program's struct flock. May wait. 0,
 * -EAGAIN, -EDEADLK, -ENOLCK, -EINVAL, -EFAULT, -ERESTARTSYS. */
long lock_fcntl(struct file *f, int command, uint64_t arg);

/* fs/lock.c: what ends with a descriptor, and with an open file. */
bool lock_is_held(const struct file *f); /* of a range, by anybody */
/* A descriptor of f is closed: the calling process's POSIX locks on its inode go. */
void lock_closed(struct file *f);
/* fs/proc_locks.c: what of t's process is held by it. */
void lock_tell(const struct file *f, struct text *t);
/* f ends: so do its flock and its OFD locks; who waits for them wakes. Exclusively. */
void lock_release(struct file *f);

/* fs/lease.c, alone. Before somebody opens or truncates i: those who have a lease that does not go
 * with it are told, and waited for. -EAGAIN: not waited; -ERESTARTSYS. The caller counts i. */
int lease_break(struct inode *i, bool write, bool wait);

/* fs/aio.c: the contexts of a process that ends, or executes another program, end too. */
struct process;
/* Does not wait; who waits for an event of theirs wakes. */
void aio_end(const struct process *p);

/* fs/async.c: SIGIO, or F_SETSIG's, to f's owner whenever it may have become ready. fd is what the
 * signal tells. 0 or -ENOMEM. */
int async_set(int fd, struct file *f, bool on);
/* To f's owner, of descriptor fd: SIGIO, or F_SETSIG's with this si_code and si_band. */
void async_signal(struct file *f, int fd, int code, int band);
/* F_SETOWN_EX: type 0 thread, 1 process, 2 group. -EINVAL, -ESRCH. */
int file_set_owner(struct file *f, int type, int id);
/* Is there somebody to be told? Without the lock. */
bool async_is_due(void);
void async_tell(void); /* those that woke since: at the end of a call, and before sleep */

/* fs/fd.c: the calling process's descriptors, but where a table is named. -EBADF, -EMFILE
 * (RLIMIT_NOFILE), -ENOMEM. */
/* Not counted; valid while the lock is held without waiting, and without touching the program's
 * memory where it is shared. */
struct file *fd_file(int fd);
/* Nobody else uses the calling process's table. */
bool fd_alone(void);
/* Keeps f, of the calling process's table, while it is used: counts it, unless nobody else could
 * close it. */
bool fd_hold(struct file *f);
/* Ends fd_hold, with what it answered. */
void fd_release(struct file *f, bool held);
struct file *fd_any(int fd); /* likewise, and also those that only name a place (O_PATH) */
struct file *fd_file_of(const struct fd_table *t, int fd); /* likewise, of another process */
uint32_t fd_flags_of(const struct fd_table *t, int fd);    /* O_CLOEXEC among them; it is open */
int fd_install(struct file *f, bool cloexec, int lowest);  /* takes the reference, also on error */
/* -EBADF. The file may end; its POSIX locks do. */
int fd_close(int fd);
/* Those with FD_CLOEXEC, when another program begins. */
void fd_close_exec(void);
int fd_next_of(const struct fd_table *t, int from); /* the first open descriptor >= from, or -1 */
struct fd_table *fd_table_new(void);                /* empty; NULL: no memory */
struct fd_table *fd_table_copy(const struct fd_table *from); /* the same files; likewise */
/* t if nobody shares it, else a copy in its place; NULL: no memory, and t is as it was. */
struct fd_table *fd_table_own(struct fd_table *t);
/* One reference more; returns t. */
struct fd_table *fd_table_get(struct fd_table *t);
/* At the end of the calling process: its descriptors, unless another shares them, and its locks. */
void fd_close_all(void);
void fd_table_put(struct fd_table *t); /* the last one closes them */

/* fs/dev.c, fs/stdio.c, fs/proc.c, fs/pipe.c, fs/attestation.c */
/* The folder `attestation` in `dev`, at the start; its files make a report when they are opened
 * (docs/sgx.md). 0, -ENOMEM. */
int attestation_init(struct dentry *dev);
/* /dev and the directories that programs expect, at the start. 0 or -errno. */
int dev_init(void);
/* Makes f, whose inode is a character device, what its number says. 0, -ENXIO, what the device has
 * against it. */
int dev_open(struct file *f);
/* Descriptors 0 to 2 of the first process, as the settings have them. 0 or -errno. */
int stdio_init(void);
/* fs/passing.c: the ports may use a handle of the host's so from now on (false: too many are), or
 * no more. */
bool stdio_let_pass(int32_t handle, bool write);
/* Also of handles that never passed. */
void stdio_bar(int32_t handle, bool write);
/* A stream of the host's, at a handle that it names and that is nobody else's; given back with the
 * file. 0, -EIO, -ENOMEM. */
int stdio_open_handle(int32_t handle, bool write, struct file **out);
void stdio_give(uint32_t uid); /* the terminal to its user */
void stdio_resize(void);       /* the host's terminal may have another size */
void stdio_end(void);          /* everything ends: what was written is with the host */
/* /proc and /sys, at the start. 0 or -errno. */
int proc_init(void);
/* The process whose directory in /proc it is, or 0. Never fails. */
int proc_process_of(const struct inode *i);
/* The text of /proc/self/maps, cut to fit: its length, or -ENOMEM. */
long proc_maps(char *out, size_t size);
/* Makes f one end of its inode's pipe; waits for the other one. -ENXIO, -ERESTARTSYS, -ENOMEM. */
int fifo_open(struct file *f);
/* For splice. What is peeked at stays until it is consumed, and no other reader gets it meanwhile.
 * > 0, 0 at the end, -EAGAIN, -ERESTARTSYS. */
long pipe_peek(struct file *f, void *buf, size_t size, bool wait);
/* At most what was peeked at; ends the peek. */
void pipe_consume(struct file *f, uint64_t size);
long pipe_room(struct file *f, bool wait); /* bytes, or -EPIPE and SIGPIPE, -EAGAIN, -ERESTARTSYS */
/* Waits for room until all is in, also with O_NONBLOCK. Bytes, or -EPIPE, -ERESTARTSYS, -EFAULT
 * where none are. */
long pipe_put_all(struct file *f, struct io *io);
/* F_GETPIPE_SZ, F_SETPIPE_SZ: the pipe's size in bytes; -EBADF: f is no pipe; -EBUSY, -EINVAL,
 * -EPERM, -ENOMEM. */
long pipe_fcntl(struct file *f, int command, uint64_t arg);

#endif
