// SPDX-License-Identifier: Apache-2.0
// Writes the initramfs: a cpio archive (newc) whose bytes depend on its files' contents alone.
//
//   mkcpio OUT DIR/... NAME=FILE...     "NAME/" is an empty directory, "NAME=FILE" a program
//
// Owner root, mode 0755, time 0 and counted inodes for all; format as in the kernel's
// Documentation/driver-api/early-userspace/buffer-format.rst.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static FILE *out;
static unsigned inode = 1;

static void pad(size_t size)
{
    for (; size % 4; size++)
        putc(0, out);
}

static void entry(const char *name, unsigned mode, const void *data, size_t size)
{
    size_t name_size = strlen(name) + 1;
    fprintf(out, "070701%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X%08X", mode ? inode++ : 0,
            mode, 0u, 0u, S_ISDIR(mode) ? 2u : 1u, 0u, (unsigned)size, 0u, 0u, 0u, 0u,
            (unsigned)name_size, 0u);
    fwrite(name, name_size, 1, out);
    pad(110 + name_size);
    if (size)
        fwrite(data, size, 1, out);
    pad(size);
}

static int program(const char *name, const char *path)
{
    FILE *in = fopen(path, "rb");
    struct stat st;
    void *data = NULL;
    int rc = -1;
    if (in && !fstat(fileno(in), &st) && st.st_size > 0 && st.st_size < 1 << 24 &&
        (data = malloc((size_t)st.st_size)) && fread(data, (size_t)st.st_size, 1, in) == 1) {
        entry(name, S_IFREG | 0755, data, (size_t)st.st_size);
        rc = 0;
    } else {
        perror(path);
    }
    free(data);
    if (in)
        fclose(in);
    return rc;
}

int main(int argc, char **argv)
{
    if (argc < 3 || !(out = fopen(argv[1], "wb"))) {
        fprintf(stderr, "usage: mkcpio OUT NAME/|NAME=FILE ...\n");
        return 1;
    }
    for (int i = 2; i < argc; i++) {
        char *equals = strchr(argv[i], '='), *slash = strrchr(argv[i], '/');
        if (equals) {
            *equals = 0;
            if (program(argv[i], equals + 1))
                return 1;
        } else if (slash && !slash[1]) {
            *slash = 0;
            entry(argv[i], S_IFDIR | 0755, NULL, 0);
        } else {
            fprintf(stderr, "mkcpio: '%s' is neither NAME/ nor NAME=FILE\n", argv[i]);
            return 1;
        }
    }
    entry("TRAILER!!!", 0, NULL, 0);
    if (fclose(out)) {
        perror(argv[1]);
        return 1;
    }
    return 0;
}
