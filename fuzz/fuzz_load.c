// SPDX-License-Identifier: Apache-2.0
// Saved images that lie: whatever the members say, either a sentence, or an image that opens.
// Nothing stays in the store's tmp/.
//
// Input: records of kind (which member, or any name), u16 size, content.
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "host/image/transfer.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct sh_store store;
static char folder[] = "/dev/shm/fuzz-load.XXXXXX";

static void remove_store(void)
{
    sh_remove_tree(AT_FDCWD, folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct sh_error err = {0};
    if (!mkdtemp(folder) || setenv("SHELTER_STORE", folder, 1) || sh_store_open(&store, &err))
        abort();
    atexit(remove_store);
    return 0;
}

static int make_archive(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"shelter.json", "manifest",     "reference.json",
                                        "base/vmlinux", "base/bzImage", "base/initramfs",
                                        "root.img",     "sites.bin",    "../out"};
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    struct archive *a = archive_write_new();
    archive_write_set_format_ustar(a);
    archive_write_open_fd(a, fd);
    for (size_t at = 0; at + 3 <= size;) {
        size_t n = (size_t)(data[at + 1] | data[at + 2] << 8);
        n = n > size - at - 3 ? size - at - 3 : n;
        struct archive_entry *e = archive_entry_new();
        archive_entry_set_pathname(e, names[data[at] % 9]);
        archive_entry_set_filetype(e, data[at] & 0x80 ? AE_IFIFO : AE_IFREG);
        archive_entry_set_size(e, data[at] & 0x80 ? 0 : (la_int64_t)n);
        archive_write_header(a, e);
        archive_write_data(a, data + at + 3, n);
        archive_entry_free(e);
        at += 3 + n;
    }
    archive_write_close(a);
    archive_write_free(a);
    lseek(fd, 0, SEEK_SET);
    return fd;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char id[SH_ID_TEXT_SIZE];
    struct sh_error err = {0};
    struct sh_strings tags = {0}, report = {0};
    int fd = make_archive(data, size);
    if (sh_image_load(&store, fd, "fuzz", NULL, NULL, 0, NULL, id, &tags, &err)) {
        if (!err.text[0])
            abort();
    } else {
        struct sh_image image;
        if (sh_image_open(&store, id, &image, &err))
            abort();
        sh_image_close(&image);
        sh_store_remove(&store, id, true, &report, &err);
    }
    cleanup_free char *path = sh_format("%s/tmp", folder);
    cleanup_closedir DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir));)
        if (e->d_name[0] != '.')
            abort();
    sh_strings_free(&tags);
    sh_strings_free(&report);
    close(fd);
    return 0;
}
