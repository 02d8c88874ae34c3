// SPDX-License-Identifier: Apache-2.0
// Telling inotify what happens to files. Without watches each of these is one comparison.
#ifndef LIBOS_NOTIFY_H
#define LIBOS_NOTIFY_H

#include "trusted/libos/fs/file.h"

/* The bits of inotify(7). */
#define NOTIFY_ACCESS 0x1u
#define NOTIFY_MODIFY 0x2u
#define NOTIFY_ATTRIB 0x4u
#define NOTIFY_CLOSE_WRITE 0x8u
#define NOTIFY_CLOSE 0x10u /* of what was not open for writing */
#define NOTIFY_OPEN 0x20u
#define NOTIFY_MOVED_FROM 0x40u
#define NOTIFY_MOVED_TO 0x80u
#define NOTIFY_CREATE 0x100u
#define NOTIFY_DELETE 0x200u
#define NOTIFY_DELETE_SELF 0x400u
#define NOTIFY_MOVE_SELF 0x800u
#define NOTIFY_RENAME 0x10000000u /* within a directory: of F_NOTIFY alone */

/* F_NOTIFY of a directory: DN_*; 0 ends it. 0 or -ENOMEM. */
long notify_signals(int fd, struct file *f, uint32_t what);

bool notify_wanted(void);     /* does anybody watch anything? */
uint32_t notify_cookie(void); /* one for both halves of a move */
/* To the watches of the directory, by name. */
void notify_name(struct dentry *d, uint32_t what, uint32_t cookie);
/* To the watches of the file itself. */
void notify_inode(struct inode *i, uint32_t what);
/* Both. */
void notify_dentry(struct dentry *d, uint32_t what);
void notify_file(struct file *f, uint32_t what);
/* Nothing names or uses the file any more: its watches end. */
void notify_gone(struct inode *i);

/* Events that wait to be read, of one inotify; and what it watches. */
struct notify_event {
    struct list node;
    int32_t wd;
    uint32_t mask, cookie;
    uint32_t name_size; /* with its NULs, as the program sees it; 0: none */
    char name[];
};

struct notify_instance {
    struct list events, watches;
    uint32_t event_count, watch_count, bytes;
    int32_t next_wd;
    struct wait_queue wait;
};

struct notify_watch {
    struct list of_inode, of_instance;
    struct notify_instance
        *instance;          /* NULL: it is `file`'s (F_NOTIFY), whose owner is signalled */
    struct watcher watcher; /* of file */
    struct file *file;
    int fd;
    struct inode *inode; /* not counted: the watch goes when it goes */
    int32_t wd;
    uint32_t mask;
};

extern uint32_t notify_watches; /* of all instances */
/* Ends a watch and frees it; tell: its instance hears IN_IGNORED. */
void notify_remove(struct notify_watch *w, bool tell);

#endif
