// SPDX-License-Identifier: Apache-2.0
// shelter debug: gdb on an instance in a simulated debug enclave, with the symbols of LibOS and
// program where they are.
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "host/base/temp.h"
#include "host/cli/cli.h"
#include "host/store/base_files.h"
#include "host/image/extract.h"
#include "host/store/store.h"
#include "host/run/control.h"

/* What gdb must know of the simulated processor: it lives on signals, and FS is not what
 * libthread_db expects. */
static const char script_head[] =
    "set pagination off\n"
    "set confirm off\n"
    "set auto-load libthread-db off\n"
    "set auto-solib-add off\n"
    "set mem inaccessible-by-default off\n"
    "handle SIGSEGV SIGILL SIGBUS SIGFPE SIGSYS SIGUSR1 SIGUSR2 nostop "
    "noprint pass\n";

struct session {
    struct sh_instance *instance;
    struct sh_image *image;
    int root_fd, folder_fd;
    char *folder; /* for the program's files */
    struct sh_buffer script;
};

__attribute__((format(printf, 2, 3))) static void send_line(struct session *s, const char *format,
                                                            ...)
{
    char line[2048];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(line, sizeof(line), format, ap);
    va_end(ap);
    if (n > 0 && (size_t)n < sizeof(line))
        sh_buffer_add(&s->script, line, (size_t)n);
}

/* How far the file was moved: its mapping that begins at `start` shows it from `offset` on. */
static bool load_bias(int fd, uint64_t start, uint64_t offset, uint64_t *bias)
{
    Elf64_Ehdr h;
    if (sh_pread_all(fd, &h, sizeof(h), 0) || memcmp(h.e_ident, ELFMAG, SELFMAG) ||
        h.e_phentsize != sizeof(Elf64_Phdr) || h.e_phnum > 64)
        return false;
    for (unsigned i = 0; i < h.e_phnum; i++) {
        Elf64_Phdr p;
        if (sh_pread_all(fd, &p, sizeof(p), (off_t)(h.e_phoff + i * sizeof(p))))
            return false;
        if (p.p_type == PT_LOAD && (p.p_offset & ~0xfffull) == offset) {
            *bias = start - (p.p_vaddr & ~0xfffull);
            return true;
        }
    }
    return false;
}

/* The name in our folder: the path's, flat. */
static void flat_name(const char *path, char *out, size_t size)
{
    size_t n = 0;
    for (path += *path == '/'; *path && n + 1 < size; path++)
        out[n++] = *path == '/' || (unsigned char)*path <= ' ' ? '_' : *path;
    out[n] = 0;
}

static int add_file(struct session *s, const char *path, uint64_t nid, uint64_t start,
                    uint64_t offset, struct sh_error *err)
{
    char name[256];
    uint64_t bias;
    flat_name(path, name, sizeof(name));
    cleanup_close int fd =
        openat(s->folder_fd, name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return sh_fail_errno(err, -errno, "cannot write %s/%s", s->folder, name);
    int r = sh_extract(s->root_fd, s->image->manifest.root_size, nid, fd, err);
    if (!r && load_bias(fd, start, offset, &bias))
        send_line(s, "add-symbol-file \"%s/%s\" -o %#llx\n", s->folder, name,
                  (unsigned long long)bias);
    return r;
}

/* A line of /proc/self/maps: START-END PERM OFFSET DEV INODE PATH. */
static int add_mapping(struct session *s, const char *line, struct sh_error *err)
{
    unsigned long long start, end, offset, nid;
    char perm[5], dev[32], path[257] = "";
    static char last[257];
    int n = sscanf(line, "%llx-%llx %4s %llx %31s %llu %256s", &start, &end, perm, &offset, dev,
                   &nid, path);
    if (n < 6)
        return sh_fail(err, -EBADMSG,
                       "the enclave describes its memory in a way that cannot be read");
    if (n < 7 || path[0] != '/' || !nid || !strcmp(path, last))
        return 0;
    struct sh_error no_file = {0}; /* one that the program made is none of the image's */
    memcpy(last, path, sizeof(last));
    int r = add_file(s, path, nid, start, offset, &no_file);
    return r && r != -ENOENT ? sh_fail(err, r, "%s", no_file.text) : 0;
}

/* Ours with line numbers, if it is the one that the image has; else the image's. */
static void add_enclave(struct session *s)
{
    uint8_t ours[48], theirs[48];
    struct sh_error ignored = {0};
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
    exe[n > 0 ? n : 0] = 0;
    char *slash = strrchr(exe, '/');
    if (slash)
        *slash = 0;
    cleanup_free char *debug = sh_format("%s/build/enclave.debug", exe);
    cleanup_free char *built = sh_format("%s/build/base/enclave", exe);
    bool same = !access(debug, R_OK) && !sh_digest_file(AT_FDCWD, built, ours, &ignored) &&
                !sh_digest_file(s->image->dir_fd, "base/enclave", theirs, &ignored) &&
                !memcmp(ours, theirs, sizeof(ours));
    if (same)
        send_line(s, "add-symbol-file \"%s\"\n", debug);
    else
        send_line(s, "add-symbol-file \"%s/base/enclave\"\n", s->image->path);
}

static int describe_enclave(struct session *s, struct sh_error *err)
{
    cleanup_free char *maps = NULL;
    int r = sh_control_request(s->instance, SH_FRAME_MAPS, NULL, 0, &maps, err);
    if (r)
        return r;
    sh_buffer_add(&s->script, script_head, strlen(script_head));
    send_line(s, "attach %d\n", s->instance->state.child_pid);
    add_enclave(s);
    for (char *line = maps, *next; !r && line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = 0;
        r = add_mapping(s, line, err);
    }
    return r;
}

static int run_gdb(struct session *s, char **arguments, int count, struct sh_error *err)
{
    cleanup_free char *path = sh_format("%s/gdb", s->folder);
    int r = sh_write_file(s->folder_fd, "gdb", s->script.data, s->script.size, 0600, err);
    if (r)
        return r;
    char **argv = sh_alloc(((size_t)count + 5) * sizeof(*argv));
    argv[0] = (char *)(uintptr_t) "gdb";
    argv[1] = (char *)(uintptr_t) "-q";
    argv[2] = (char *)(uintptr_t) "-x";
    argv[3] = path;
    memcpy(argv + 4, arguments, (size_t)count * sizeof(*argv));
    execvp("gdb", argv);
    r = -errno;
    free(argv);
    return r == -ENOENT ? sh_fail(err, r, "gdb is not there; install it (Debian: gdb)")
                        : sh_fail_errno(err, r, "cannot start gdb");
}

static int check_instance(const struct sh_instance *i, struct sh_error *err)
{
    const struct sh_instance_config *c = &i->config;
    const struct sh_backend *backend;
    if (sh_backend_find(c->tee, -1, &backend, err))
        return -ENOENT;
    if (!backend->debuggable)
        return sh_fail(
            err, -ENOTSUP,
            "instance %s runs in %s; a debugger can look into simulated enclaves only, use "
            "run --debug --tee sgx-sim",
            c->name, c->tee);
    if (!sh_instance_alive(i))
        return sh_fail(err, -ESRCH, "instance %s is not running", c->name);
    if (!c->debug)
        return sh_fail(
            err, -EPERM,
            "instance %s was started without --debug; its image needs --allow debug for that",
            c->name);
    return 0;
}

static int debug_instance(const char *reference, bool print, char **arguments, int count,
                          struct sh_error *err)
{
    struct sh_store store;
    struct sh_instance instance;
    struct sh_image image;
    struct session s = {.instance = &instance, .image = &image, .root_fd = -1, .folder_fd = -1};
    int r = sh_store_open(&store, err);
    if (!r)
        r = sh_instance_open(&store, reference, &instance, err);
    if (!r)
        r = check_instance(&instance, err);
    if (!r)
        r = sh_image_open(&store, instance.config.image, &image, err);
    if (r)
        return r; /* the process ends here, and with it what is open */
    s.folder = sh_format("%s/instances/%s/debug", store.path, instance.config.id);
    mkdirat(instance.dir_fd, "debug", 0700);
    s.folder_fd = openat(instance.dir_fd, "debug", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    s.root_fd = openat(image.dir_fd, "root.img", O_RDONLY | O_CLOEXEC);
    if (s.folder_fd < 0 || s.root_fd < 0)
        return sh_fail_errno(err, -errno, "cannot open the instance's folder or its root image");
    r = describe_enclave(&s, err);
    if (!r && print)
        fwrite(s.script.data, 1, s.script.size, stdout);
    else if (!r)
        r = run_gdb(&s, arguments, count, err);
    sh_buffer_free(&s.script);
    free(s.folder);
    return r;
}

int cmd_debug(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_debug, argc, argv);
    struct sh_error err = {0};
    bool print = false;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_debug_option)o) {
        case SH_debug_print:
            print = true;
            break;
        case SH_debug_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    char **rest = c.args + 1;
    int count = c.count - 1;
    if (count && !strcmp(rest[0], "--")) {
        rest++;
        count--;
    } else if (count) {
        return sh_cli_usage(
            "debug", "unexpected argument '%s'; gdb's own arguments stand behind --", rest[0]);
    }
    return debug_instance(c.args[0], print, rest, count, &err) ? sh_error_report(&err) : 0;
}
