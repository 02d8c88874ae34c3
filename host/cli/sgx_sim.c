// SPDX-License-Identifier: Apache-2.0
// shelter sgx-sim: an unmodified program that uses SGX, on the simulated processor.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#include "host/attest/aesm_serve.h"
#include "host/attest/sim_tee.h"
#include "host/base/beside.h"
#include "host/cli/cli.h"
#include "host/sgx/foreign/fault.h"
#include "host/sgx/foreign/settings.h"
#include "host/sgx/sim/sgxsim.h"
#include "host/store/store.h"

#define EPC_DEFAULT (1ull << 30)

/* The file that execvp would take. Owned by the caller; NULL with errno set. */
static char *find_program(const char *name)
{
    const char *path = getenv("PATH");
    char one[4096];
    if (strchr(name, '/'))
        return access(name, X_OK) ? NULL : realpath(name, NULL);
    for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
        size_t n = strcspn(p, ":");
        int size = snprintf(one, sizeof(one), "%.*s/%s", (int)n, n ? p : ".", name);
        if (size > 0 && (size_t)size < sizeof(one) && !access(one, X_OK))
            return realpath(one, NULL);
        p += n + (p[n] == ':');
    }
    errno = ENOENT;
    return NULL;
}

/* A script is its interpreter's first argument. `room`: of two more pointers than argv has. */
static char **take_script(char **program, char **argv, int argc, char **room)
{
    static char line[256];
    char *interpreter, *argument, **to = room;
    cleanup_close int fd = open(*program, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? 0 : read(fd, line, sizeof(line) - 1);
    if (n < 3 || line[0] != '#' || line[1] != '!')
        return argv;
    line[n] = 0;
    line[strcspn(line, "\n")] = 0;
    interpreter = strtok_r(line + 2, " \t", &argument);
    if (!interpreter)
        return argv;
    argument += strspn(argument, " \t");
    *to++ = interpreter;
    if (*argument)
        *to++ = argument;
    *to++ = *program;
    for (int i = 1; i <= argc; i++)
        *to++ = argv[i];
    *program = realpath(interpreter, NULL);
    return room;
}

/* --- what the program's processes share: a folder with the file of the EPC and the quoting
 * service's socket, and a process that ends with the program and takes it away --- */

static _Noreturn void serve(int listener, int program, const char *sim_tee,
                            const struct sh_sim_settings *s)
{
    char folder[SH_SIM_SOCKET_MAX];
    struct pollfd end = {.fd = program, .events = POLLIN};
    setsid();
    if (listener >= 0)
        (void)sh_aesm_serve(listener, program, sim_tee);
    while (poll(&end, 1, -1) < 0 && errno == EINTR)
        ;
    memcpy(folder, s->epc, sizeof(folder));
    *strrchr(folder, '/') = 0;
    if (listener >= 0)
        unlink(s->aesm);
    unlink(s->epc);
    rmdir(folder);
    _exit(0);
}

static int listen_at(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof(a)) && !listen(fd, 64))
        return fd;
    int r = -errno;
    close(fd);
    return r;
}

static int start_service(const char *sim_tee, bool aesm, struct sh_sim_settings *s,
                         struct sh_error *err)
{
    const char *tmp = getenv("TMPDIR");
    char folder[SH_SIM_SOCKET_MAX - sizeof("/socket")];
    if (!tmp ||
        snprintf(folder, sizeof(folder), "%s/shelter-sim-XXXXXX", tmp) >= (int)sizeof(folder))
        snprintf(folder, sizeof(folder), "/tmp/shelter-sim-XXXXXX");
    int r = aesm ? sh_sim_tee_make(sim_tee, err) : 0;
    if (r)
        return r;
    if (!mkdtemp(folder))
        return sh_fail_errno(err, -errno, "cannot create a folder for the simulated processor");
    snprintf(s->epc, sizeof(s->epc), "%s/epc", folder);
    if (aesm)
        snprintf(s->aesm, sizeof(s->aesm), "%s/socket", folder);
    cleanup_close int listener = aesm ? listen_at(s->aesm) : -1;
    cleanup_close int program = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if ((aesm && listener < 0) || program < 0)
        return sh_fail_errno(err, aesm && listener < 0 ? listener : -errno,
                             "cannot create the AESM socket");
    pid_t child = fork();
    if (child < 0)
        return sh_fail_errno(err, -errno, "cannot start the AESM service");
    if (child == 0) { /* its child is nobody's, so the program never waits for it */
        if (fork() == 0)
            serve(listener, program, sim_tee, s);
        _exit(0);
    }
    waitpid(child, NULL, 0);
    return 0;
}

static int set_up(struct sh_sim_settings *s, bool aesm, struct sh_error *err)
{
    struct sh_store store;
    int r = sh_store_open(&store, err);
    if (r)
        return r;
    cleanup_free char *key = sh_format("%s/%s", store.path, SH_STORE_FUSE_KEY);
    cleanup_free char *sim_tee = sh_format("%s/%s", store.path, SH_STORE_SIM_TEE);
    sh_store_close(&store);
    if (strlen(key) >= sizeof(s->key))
        return sh_fail(err, -ENAMETOOLONG, "the store's path is too long: %s", key);
    memcpy(s->key, key, strlen(key));
    r = sgxsim_power_on(key);
    if (r)
        return sh_fail_errno(err, r,
                             "cannot start the simulated SGX processor with the fuse key %s", key);
    return start_service(sim_tee, aesm, s, err);
}

static int run_program(struct sh_sim_settings *s, bool aesm, char **argv, int argc)
{
    struct sh_error err = {0};
    char line[SH_SIM_ENVIRONMENT_MAX];
    cleanup_free char **room = sh_alloc(((size_t)argc + 3) * sizeof(*room));
    char *program = find_program(argv[0]);
    if (program)
        argv = take_script(&program, argv, argc, room);
    cleanup_free char *monitor =
        sh_find_beside("sgx-sim", "SHELTER_SGX_SIM_PROGRAM", "sgx-sim", &err);
    if (!monitor)
        return sh_error_report(&err);
    if (!program) {
        int e = errno;
        fprintf(stderr, "shelter: cannot run %s: %s\n", argv[0], strerror(e));
        return e == ENOENT ? 127 : SH_EXIT_NOT_RUN;
    }
    if (strlen(program) >= sizeof(s->exe))
        return sh_cli_usage("sgx-sim", "the program's path is too long");
    memcpy(s->exe, program, strlen(program));
    if (set_up(s, aesm, &err))
        return sh_error_report(&err);
    if (sh_sim_settings_write(s, line, sizeof(line)) < 0 || putenv(line)) {
        sh_fail(&err, -E2BIG, "the paths in the settings are too long");
        return sh_error_report(&err);
    }
    execv(monitor, argv);
    sh_fail_errno(&err, -errno, "cannot run %s", monitor);
    return sh_error_report(&err);
}

/* The file of the counts, which every process below appends to: not being able to is told now. */
static int take_counts(struct sh_sim_settings *s, const char *file)
{
    cleanup_free char *here = *file == '/' ? NULL : getcwd(NULL, 0);
    if (snprintf(s->counts, sizeof(s->counts), "%s%s%s", here ? here : "", here ? "/" : "", file) >=
        (int)sizeof(s->counts))
        return sh_cli_usage("sgx-sim", "--counts: the path is too long");
    cleanup_close int fd = open(s->counts, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0)
        return sh_cli_usage("sgx-sim", "--counts %s: %s", file, strerror(errno));
    return 0;
}

int cmd_sgx_sim(int argc, char **argv)
{
    static struct sh_sim_settings s = {.cpu = "sapphire-rapids", .epc_bytes = EPC_DEFAULT};
    struct sh_cli c = sh_cli_start(SH_VERB_sgx_sim, argc, argv);
    bool aesm = true;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_sgx_sim_option)o) {
        case SH_sgx_sim_cpu:
            if (strlen(c.value) >= sizeof(s.cpu) || !sgxsim_cpu_known(c.value))
                return sh_cli_usage("sgx-sim",
                                    "--cpu %s: there are icelake, sapphire-rapids, emerald, "
                                    "client and sgx1",
                                    c.value);
            memset(s.cpu, 0, sizeof(s.cpu));
            memcpy(s.cpu, c.value, strlen(c.value));
            break;
        case SH_sgx_sim_epc:
            if (sh_parse_size(c.value, &s.epc_bytes) || s.epc_bytes < 1 << 20 ||
                s.epc_bytes > 1ull << 40 || s.epc_bytes % 4096)
                return sh_cli_usage("sgx-sim", "--epc %s: write a size from 1M to 1T", c.value);
            break;
        case SH_sgx_sim_strict:
            s.strict = true;
            break;
        case SH_sgx_sim_counts:
            if (take_counts(&s, c.value))
                return SH_EXIT_FAILURE;
            break;
        case SH_sgx_sim_fault: {
            struct sh_sim_fault faults[SH_SIM_FAULTS];
            if (strlen(c.value) >= sizeof(s.faults) || sh_sim_faults_read(c.value, faults) <= 0)
                return sh_cli_usage("sgx-sim",
                                    "--fault %s: write WHAT[:N]=RESULT, as init=EIO or eenter:3=PF",
                                    c.value);
            memcpy(s.faults, c.value, strlen(c.value) + 1);
            break;
        }
        case SH_sgx_sim_no_aesm:
            aesm = false;
            break;
        case SH_sgx_sim_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    return run_program(&s, aesm, c.args, c.count);
}
