// SPDX-License-Identifier: Apache-2.0
// Pods in one machine: which image, which container, and how its sandbox hears of the first.
#include "host/oci/pod.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "host/base/temp.h"
#include "host/image/settings.h"
#include "host/oci/named.h"
#include "lib/users.h"
#include "verifier/base/json_read.h"

#define ASK_MAX 65536
#define START_SECONDS 120 /* to prepare a machine */

/* The first of these annotations that is there. */
static const char *first_of(const struct oci_bundle *b, const char *const *names, size_t count)
{
    const char *text = NULL;
    for (size_t i = 0; !text && i < count; i++)
        text = oci_annotation(b, names[i]);
    return text;
}

int oci_pod_find(const struct oci_bundle *b, struct oci_pod *pod, struct sh_error *err)
{
    static const char *const names[] = {"io.shelter.container", "io.kubernetes.cri.container-name",
                                        "io.kubernetes.container.name"};
    *pod = (struct oci_pod){.image = b->sandbox ? NULL : oci_annotation(b, "io.shelter.pod")};
    if (!pod->image)
        return 0;
    if (oci_annotation(b, "io.shelter.image"))
        return sh_fail(err, -EINVAL,
                       "the annotations io.shelter.pod and io.shelter.image name two images: the "
                       "containers of a pod share one");
    pod->container = first_of(b, names, sizeof(names) / sizeof(*names));
    if (!pod->container)
        return sh_fail(err, -EINVAL,
                       "which container of the pod's image is this? The annotation "
                       "io.shelter.container says so");
    return 0;
}

/* --- what is asked for beside what is built --- */

static int refuse_difference(const struct oci_pod *pod, const char *what, const char *is,
                             struct sh_error *err)
{
    return sh_fail(err, -EPERM,
                   "container %s: the pod's image says %s, and the engine asks for %s: leave it "
                   "out, or build the image again",
                   pod->container, what, is);
}

/* Is it the user that the image names, by the files of the container's own root? */
static bool is_named_user(const char *text, const char *user, const char *rootfs)
{
    static const char *const files[] = {"passwd", "group"};
    uint8_t *data[2] = {NULL, NULL};
    size_t size[2] = {0, 0};
    struct sh_error ignored = {0};
    struct sh_user u;
    char own[32] = "";
    for (int i = 0; i < 2; i++) {
        cleanup_free char *path = sh_format("%s/etc/%s", rootfs, files[i]);
        struct stat st;
        if (!lstat(path, &st) && S_ISREG(st.st_mode))
            (void)sh_read_file(AT_FDCWD, path, 1 << 20, &data[i], &size[i], &ignored);
    }
    if (!sh_user_resolve(&u, user, data[0] ? (char *)data[0] : "", size[0],
                         data[1] ? (char *)data[1] : "", size[1]))
        snprintf(own, sizeof(own), "%u:%u", u.uid, u.gid);
    free(data[0]);
    free(data[1]);
    return *own && oci_named_user(text, own);
}

static int check_process(const struct oci_pod *pod, const struct sh_exec *built,
                         const struct oci_process *p, const char *rootfs, struct sh_error *err)
{
    const char *text = built->args;
    bool same = p->args.count == built->head.arg_count;
    for (size_t i = 0; same && i < p->args.count; i++, text += strlen(text) + 1)
        same = !strcmp(text, p->args.v[i]);
    if (!same)
        return refuse_difference(pod, "which command runs", "another", err);
    for (size_t i = 0; i < p->env.count; i++) {
        bool known = oci_named_engine_variable(p->env.v[i]);
        text = built->env;
        for (size_t k = 0; !known && k < built->head.env_count; k++, text += strlen(text) + 1)
            known = !strcmp(text, p->env.v[i]);
        if (!known)
            return refuse_difference(pod, "which environment it has", p->env.v[i], err);
    }
    if (strcmp(p->workdir, "/") && strcmp(p->workdir, built->workdir))
        return refuse_difference(pod, "its directory", p->workdir, err);
    if (!oci_named_user(p->user, "0:0") && !oci_named_user(p->user, built->user) &&
        !is_named_user(p->user, built->user, rootfs))
        return refuse_difference(pod, "its user", p->user, err);
    return 0;
}

/* Memory that the engine wants at "PATH:OPTIONS": the image has it there already, of this container
 * or of all. */
static int check_memory(const struct oci_pod *pod, const struct sh_settings *s, const char *text,
                        struct sh_error *err)
{
    cleanup_free char *path = sh_format("%.*s", (int)strcspn(text, ":"), text);
    cleanup_free char *own = sh_format(SH_CONTAINERS_DIR "/%s%s", pod->container, path);
    for (size_t i = 0; i < s->tmpfs_count; i++)
        if (!strcmp(s->tmpfs[i].path, own) || !strcmp(s->tmpfs[i].path, path))
            return 0;
    return sh_fail(err, -EPERM,
                   "container %s: memory at %s is not the image's; build it with --tmpfs %s, or "
                   "with --tmpfs %s for all containers",
                   pod->container, path, own, path);
}

int oci_pod_check(struct oci_pod *pod, const struct oci_bundle *b, struct sh_error *err)
{
    struct sh_store store;
    struct sh_image image;
    struct sh_settings s;
    cleanup_free void *arena = NULL;
    const struct sh_container *c = NULL;
    int r = sh_store_open(&store, err);
    if (r)
        return r;
    r = sh_image_open(&store, pod->image, &image, err);
    if (r) {
        sh_store_close(&store);
        return r;
    }
    memcpy(pod->id, image.id, sizeof(pod->id));
    r = sh_settings_read(&image.manifest, NULL, 0, &s, &arena, err);
    for (size_t i = 0; !r && i < s.container_count; i++)
        if (!strcmp(s.containers[i].name, pod->container))
            c = &s.containers[i];
    if (!r && !c)
        r = sh_fail(err, -ENOENT, "the image %s has no container %s (build --container)",
                    pod->image, pod->container);
    if (!r)
        r = check_process(pod, &c->run, &b->process, b->rootfs, err);
    for (size_t i = 0; !r && i < b->bind_count; i++)
        r = sh_fail(err, -EPERM,
                    "container %s: %s is a folder or file of the host, and a pod in one machine "
                    "takes none",
                    pod->container, b->binds[i].target);
    for (size_t i = 0; !r && i < b->tmpfs.count; i++)
        r = check_memory(pod, &s, b->tmpfs.v[i], err);
    sh_image_close(&image);
    sh_store_close(&store);
    return r;
}

/* --- its sandbox --- */

/* podman names no sandbox, but whose namespaces a container joins. */
static char *sandbox_of_process(const struct oci_runtime *rt, const char *path)
{
    struct sh_strings ids = {0};
    struct sh_error ignored = {0};
    char *found = NULL;
    int pid = 0;
    if (!path || sscanf(path, "/proc/%d/ns/", &pid) != 1 || oci_container_list(rt, &ids, &ignored))
        return NULL;
    for (size_t i = 0; !found && i < ids.count; i++) {
        struct oci_container c = {.dir_fd = -1, .lock_fd = -1};
        if (!oci_container_open(rt, ids.v[i], false, &c, &ignored) && oci_container_pid(&c) == pid)
            found = sh_strdup(ids.v[i]);
        oci_container_close(&c);
    }
    sh_strings_free(&ids);
    return found;
}

static char *find_sandbox(const struct oci_runtime *rt, const struct oci_bundle *b)
{
    static const char *const names[] = {"io.kubernetes.cri.sandbox-id",
                                        "io.kubernetes.cri-o.SandboxID"};
    const char *id = first_of(b, names, sizeof(names) / sizeof(*names));
    if (id)
        return sh_strdup(id);
    id = sandbox_of_process(rt, b->uts_path);
    return id ? (char *)id : sandbox_of_process(rt, b->network_path);
}

static struct sockaddr_un address_of(const struct oci_container *sandbox)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/pod", sandbox->dir_fd);
    return a;
}

struct answer {
    int32_t code;
    char text[1024]; /* the sentence, or the instance's id */
};

/* Nothing of the sandbox's own says which machine: the first container does. */
static int ask_machine(const struct oci_runtime *rt, const struct oci_pod *pod,
                       const struct oci_bundle *b, const struct oci_container *sandbox,
                       struct sh_error *err)
{
    static const char *const sizes[] = {"io.shelter.memory", "io.shelter.cpus"};
    struct sockaddr_un a = address_of(sandbox);
    struct timeval limit = {.tv_sec = START_SECONDS};
    struct answer answer;
    const char *tee = oci_annotation(b, "io.shelter.tee"),
               *pod_memory = oci_annotation(b, "io.kubernetes.cri.sandbox-memory");
    cJSON *ask = cJSON_CreateObject();
    cJSON_AddStringToObject(ask, "image", pod->image);
    if (tee || rt->tee)
        cJSON_AddStringToObject(ask, "tee", tee ? tee : rt->tee);
    if (oci_annotation(b, "io.shelter.broker"))
        cJSON_AddStringToObject(ask, "broker", oci_annotation(b, "io.shelter.broker"));
    if (b->resolver)
        cJSON_AddStringToObject(ask, "resolver", b->resolver);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++)
        if (oci_annotation(b, sizes[i]))
            cJSON_AddStringToObject(ask, sizes[i], oci_annotation(b, sizes[i]));
    if (pod_memory && strcmp(pod_memory, "0") && !oci_annotation(b, sizes[0]))
        cJSON_AddStringToObject(ask, sizes[0], pod_memory);
    cleanup_free char *text = cJSON_PrintUnformatted(ask);
    cJSON_Delete(ask);
    cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)))
        return sh_fail_errno(err, -errno, "the pod's sandbox %s does not answer", sandbox->id);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (send(fd, text, strlen(text), MSG_NOSIGNAL) < 0 ||
        recv(fd, &answer, sizeof(answer), 0) != sizeof(answer))
        return sh_fail(err, -EIO, "the pod's sandbox %s does not say that its machine starts",
                       sandbox->id);
    answer.text[sizeof(answer.text) - 1] = 0;
    return answer.code ? sh_fail(err, answer.code, "%s", answer.text) : 0;
}

/* A tag may mean another image by now, or two containers may name two. */
static int check_machine(const struct oci_pod *pod, const char *machine, struct sh_error *err)
{
    struct sh_store store;
    struct sh_instance instance;
    int r = sh_store_open(&store, err);
    if (r)
        return r;
    r = sh_instance_open_id(&store, machine, &instance, err);
    if (!r && strcmp(instance.config.image, pod->id))
        r = sh_fail(err, -EINVAL,
                    "the pod's machine runs the image %.12s, and %s is %.12s now: a pod has one "
                    "image from its first container on",
                    instance.config.image, pod->image, pod->id);
    if (!r)
        sh_instance_close(&instance);
    sh_store_close(&store);
    return r;
}

int oci_pod_machine(const struct oci_runtime *rt, const struct oci_pod *pod,
                    const struct oci_bundle *b, char **instance, struct sh_error *err)
{
    struct oci_container sandbox = {.dir_fd = -1, .lock_fd = -1};
    cleanup_free char *id = find_sandbox(rt, b);
    if (!id)
        return sh_fail(err, -EINVAL,
                       "io.shelter.pod is for the containers of a pod, and this one is in none");
    int r = oci_container_open(rt, id, true, &sandbox, err); /* one asks at a time */
    if (!r && !oci_container_pid(&sandbox))
        r = sh_fail(err, -ESRCH, "the pod's sandbox %s has ended", id);
    if (!r && !(*instance = oci_pod_instance(&sandbox)))
        r = ask_machine(rt, pod, b, &sandbox, err);
    if (!r && !*instance && !(*instance = oci_pod_instance(&sandbox)))
        r = sh_fail(err, -EIO, "the pod's sandbox %s has no machine", id);
    oci_container_close(&sandbox);
    return r ? r : check_machine(pod, *instance, err);
}

/* --- in the sandbox's process --- */

int oci_pod_listen(const struct oci_container *sandbox, struct sh_error *err)
{
    struct sockaddr_un a = address_of(sandbox);
    cleanup_close int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) || chmod(a.sun_path, 0600) ||
        listen(fd, 4))
        return sh_fail_errno(err, -errno, "cannot listen in %s", sandbox->path);
    return sh_take_fd(&fd);
}

cJSON *oci_pod_accept(int listen_fd, int *fd)
{
    static char text[ASK_MAX];
    struct ucred who = {0};
    socklen_t size = sizeof(who);
    struct timeval limit = {.tv_sec = 5};
    cleanup_close int got = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (got < 0 || getsockopt(got, SOL_SOCKET, SO_PEERCRED, &who, &size) || who.uid != geteuid())
        return NULL;
    (void)setsockopt(got, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    ssize_t n = recv(got, text, sizeof(text) - 1, 0);
    text[n > 0 ? n : 0] = 0;
    *fd = sh_take_fd(&got);
    return sv_json_read_text(text, NULL, 0);
}

int oci_pod_answer(int fd, const struct oci_container *sandbox, int code, const char *text)
{
    struct sh_error err = {0};
    struct answer answer = {.code = code};
    if (!code)
        code = sh_write_passing(sandbox->dir_fd, "machine", text, strlen(text), 0600, &err);
    answer.code = code;
    snprintf(answer.text, sizeof(answer.text), "%s", err.text[0] ? err.text : text);
    (void)send(fd, &answer, sizeof(answer), MSG_NOSIGNAL);
    close(fd);
    return code;
}

char *oci_pod_instance(const struct oci_container *sandbox)
{
    struct sh_error ignored = {0};
    uint8_t *text = NULL;
    size_t size;
    if (sh_read_file(sandbox->dir_fd, "machine", 256, &text, &size, &ignored) || !size) {
        free(text);
        return NULL;
    }
    char *id = sh_format("%.*s", (int)size, (char *)text);
    free(text);
    return id;
}
