// SPDX-License-Identifier: Apache-2.0
// Programs that the host starts beside the workload. What it sends was judged by nobody before.
//
// The control thread copies the request and makes a process with one thread; that thread loads the
// program as any exec does, so that the control thread only waits. The image's own API server
// (`build -a`) starts in the same way, before the workload, and nobody asks for its end.
#include "trusted/libos/entry/session.h"

#include <asm/signal.h>

#include "lib/bytes.h"
#include "lib/exec.h"
#include "lib/settings.h"
#include "trusted/libos/agent/agent.h"
#include "trusted/libos/proc/program.h"
#include "trusted/libos/fs/console.h"
#include "trusted/libos/proc/proc.h"
#include "trusted/libos/signal/signal.h"

struct session {
    struct list node;
    uint32_t id;
    int32_t handles[3];
    uint8_t *bytes; /* the request; until the program runs */
    uint64_t pages;
    struct sh_exec x; /* in bytes */
    enum session_kind { SESSION_PROGRAM, SESSION_COPY, SESSION_API } kind;
    struct tty *tty; /* NULL: pipes */
    struct process *process;
    struct wait_queue wait; /* of who asked */
    bool asked;             /* who asked still looks at it, and frees it if it has ended */
    bool done;              /* `result` is known */
    long result;
    const char *why;
};

static struct list sessions = {&sessions, &sessions};

static long refuse_session(char *out, size_t size, long error, const char *why)
{
    fmt(out, size, "%s", why);
    return error;
}

static struct session *session_find(uint32_t id)
{
    list_each(struct session, s, &sessions, node) {
        if (s->id == id)
            return s;
    }
    return NULL;
}

static void session_free(struct session *s)
{
    list_remove(&s->node);
    if (s->bytes)
        pages_free(s->bytes, s->pages);
    los_free(s);
}

/* ---- in the new process ---- */

static int enter_directory(const struct session *s)
{
    struct walk w;
    const char *path = s->kind != SESSION_PROGRAM ? "/"
                       : *s->x.workdir            ? s->x.workdir
                                                  : settings.workdir;
    int r = walk_path(AT_FDCWD, path, WALK_FOLLOW | WALK_DIRECTORY, &w);
    if (!r)
        cwd_set(w.dentry);
    return r;
}

static int open_terminal(struct session *s)
{
    struct file *f;
    int r = s->tty ? file_open_dentry(s->tty->name, O_RDWR, &f) : -ENOMEM;
    if (r)
        return r;
    for (int fd = 0; !r && fd < 3; fd++) {
        file_get(f);
        r = MIN(fd_install(f, false, fd), 0);
    }
    file_put(f);
    return r;
}

static int open_streams(struct session *s)
{
    int r = 0;
    bool api = s->kind == SESSION_API, in = settings.input_allowed && !api,
         out = settings.output && !api;
    if (s->x.head.tty && s->kind == SESSION_PROGRAM && in && out) {
        s->tty = console_new(s->handles[0], s->handles[1], current()->uid);
        if (s->tty)
            s->tty->window = (struct tty_window){s->x.head.rows, s->x.head.columns, 0, 0};
        return open_terminal(s);
    }
    for (int fd = 0; !r && fd < 3; fd++) {
        struct file *f = NULL;
        r = (fd ? out : in) ? stdio_open_handle(s->handles[fd], fd, &f)
                            : file_open("/dev/null", fd ? O_WRONLY : O_RDONLY, 0, &f);
        if (!r)
            r = MIN(fd_install(f, false, fd), 0);
    }
    return r;
}

static const char *next_string(const char *text)
{
    return text + strlen(text) + 1;
}

/* `shelter cp`: a program of the enclave's own, which is no file of the image. */
static int load_copy(struct thread *t, const struct session *s)
{
    const char *way = s->x.head.kind == SH_EXEC_COPY_OUT ? "out" : "in";
    const char *args[] = {"copy", way, s->x.args, NULL}, *none = NULL;
    struct exec_args x = {args, &none, NULL};
    struct io_vec v;
    size_t size = (size_t)(copy_program_end - copy_program);
    struct io io = io_one(&v, (uint64_t)copy_program, size, true);
    int r = lazy_bring();
    if (!r)
        r = file_new_memory("copy", 4, &x.file);
    if (r)
        return r;
    long n = data_write(x.file->inode, &io, 0);
    r = n < 0 ? (int)n : n < (long)size ? -ENOSPC : exec_load(t, "/copy", &x);
    file_put(x.file);
    return r;
}

/* With nothing of the host's in its environment. */
static int load_api(struct thread *t)
{
    const char *args[] = {settings.agent, NULL};
    size_t count = settings.image_env.count;
    const char **env = los_alloc((count + 2) * sizeof(*env));
    if (!env)
        return -ENOMEM;
    memcpy(env, settings.image_env.items, count * sizeof(*env));
    env[count] = "SHELTER_TEE=sgx";
    struct exec_args x = {args, env, NULL};
    int r = exec_load(t, settings.agent, &x);
    los_free(env);
    return r;
}

static int load_program(struct thread *t, struct session *s)
{
    const struct sh_exec_head *h = &s->x.head;
    struct environment env = {0};
    const char **args = los_alloc((h->arg_count + 1u) * sizeof(*args)), *at = s->x.args;
    char *path = pages_alloc(2);
    int r = args && path ? env_begin(&env, h->env_count + 2u) : -ENOMEM;
    if (!r && !env_get(&env, "HOME"))
        r = env_put(&env, workload_home);
    for (size_t i = 0; !r && i < h->arg_count; i++, at = next_string(at))
        args[i] = at;
    at = s->x.env;
    for (size_t i = 0; !r && i < h->env_count; i++, at = next_string(at))
        r = env_put(&env, at);
    if (!r && s->tty && !env_get(&env, "TERM"))
        r = env_put(&env, "TERM=xterm");
    if (!r)
        r = program_find(args[0], env_get(&env, "PATH"), path, 2 * PAGE_SIZE);
    struct exec_args x = {args, env.list, NULL};
    if (!r)
        r = exec_load(t, path, &x);
    if (path)
        pages_free(path, 2);
    los_free(args);
    los_free(env.list);
    return r;
}

static long prepare_session(struct thread *t, struct session *s)
{
    struct sh_user user; /* for all but an exec'd program: root, as every process begins */
    s->why = "there is no such user in the image";
    if (s->kind == SESSION_PROGRAM && user_set(*s->x.user ? s->x.user : settings.user, &user))
        return -EINVAL;
    caps_start(t->process);
    s->why = "its streams cannot be opened";
    long r = open_streams(s);
    if (r)
        return r;
    s->why = "cannot go to its directory";
    if ((r = enter_directory(s)))
        return r == -ENOENT ? -EACCES : r; /* it is not the program that is missing */
    r = s->kind == SESSION_PROGRAM ? load_program(t, s)
        : s->kind == SESSION_COPY  ? load_copy(t, s)
                                   : load_api(t);
    s->why = r == -ENOENT   ? "there is no such file in the image"
             : r == -EACCES ? "it is not an executable file"
                            : "it could not be loaded";
    return r;
}

void session_begin(struct thread *t)
{
    struct session *s = t->session;
    t->session = NULL;
    s->result = prepare_session(t, s);
    s->done = true;
    wait_wake_all(&s->wait);
    if (s->result && s->kind == SESSION_API)
        log_line("shelter: the image's API server, %s, cannot be run: %s", settings.agent, s->why);
    if (s->result)
        process_exit(SIGKILL);
    if (s->bytes)
        pages_free(s->bytes, s->pages);
    s->bytes = NULL;
}

void session_ended(struct process *p)
{
    struct session *s = p->session;
    int status = p->wait_status, signal = status & 127;
    p->session = NULL;
    if (s->tty)
        console_close(s->tty);
    s->tty = NULL;
    s->process = NULL;
    if (!s->result && s->kind != SESSION_API)
        port_session_end(s->id, signal ? 128u + (uint32_t)signal : (uint32_t)status >> 8 & 255,
                         (uint32_t)signal);
    if (s->asked)
        wait_wake_all(&s->wait);
    else
        session_free(s);
}

/* ---- in the control thread ---- */

static struct session *session_blank(enum session_kind kind)
{
    struct session *s = los_alloc(sizeof(*s));
    if (!s)
        return NULL;
    s->kind = kind;
    list_init(&s->node);
    wait_queue_init(&s->wait);
    return s;
}

/* With a copy of the request, which was found to be well formed. NULL: no memory. */
static struct session *session_new(const struct sh_control_exec *head, const uint8_t *payload,
                                   size_t size)
{
    struct session *s = session_blank(SESSION_PROGRAM);
    uint64_t pages = page_up(size) >> PAGE_SHIFT;
    if (!s || !(s->bytes = pages_alloc(pages))) {
        los_free(s);
        return NULL;
    }
    s->id = head->session;
    s->pages = pages;
    memcpy(s->handles, head->handles, sizeof(s->handles));
    memcpy(s->bytes, payload, size);
    if (!sh_exec_parse(&s->x, s->bytes, size)) {
        s->kind = s->x.head.kind == SH_EXEC_PROGRAM ? SESSION_PROGRAM : SESSION_COPY;
        return s;
    }
    session_free(s);
    return NULL;
}

static struct process *new_process(struct session *s)
{
    struct process *p = process_new_orphan();
    if (!p)
        return NULL;
    for (size_t i = 0; i < ARRAY_COUNT(p->limits); i++)
        p->limits[i] = (struct limit){settings.limits[i].soft, settings.limits[i].hard};
    struct thread *n = thread_new();
    if (n) {
        n->process = p;
        n->tid = p->pid;
        n->session = s;
        list_append(&p->threads, &n->node);
        p->thread_count = 1;
        p->session = s;
        s->process = p;
        if (!port_thread_start(n))
            return p;
        list_remove(&n->node);
        thread_free(n);
    }
    process_drop_orphan(p);
    return NULL;
}

static long start_session(struct session *s, char *out, size_t size)
{
    struct waiter w = {0};
    list_append(&sessions, &s->node);
    if (!new_process(s)) {
        session_free(s);
        return refuse_session(out, size, -EAGAIN, "the enclave cannot start a process");
    }
    s->asked = true;
    wait_begin(&w, &s->wait);
    while (!s->done || (s->result && s->process))
        wait_nap(NO_DEADLINE);
    wait_end(&w);
    s->asked = false;
    long r = s->result;
    if (r)
        refuse_session(out, size, r, s->why);
    if (!s->process) /* a short program has ended before we woke */
        session_free(s);
    return r;
}

long session_judge_exec(const struct sh_control_request *r, char *out, size_t size)
{
    struct sh_control_exec head;
    uint32_t count = 0;
    list_each(struct session, s, &sessions, node)
        count++;
    if (!(settings.requests & SH_POLICY_EXEC))
        return refuse_session(out, size, -EPERM,
                              "the image does not allow exec; build it with --allow exec");
    const uint8_t *payload = r->data + sizeof(head);
    struct sh_exec x;
    if (r->size <= sizeof(head) || sh_exec_parse(&x, payload, r->size - sizeof(head)) ||
        x.head.kind > SH_EXEC_COPY_IN)
        return refuse_session(out, size, -EBADMSG, "this request is malformed");
    memcpy(&head, r->data, sizeof(head));
    if (!head.session || head.session > UINT16_MAX || session_find(head.session) ||
        count >= SH_SESSION_MAX)
        return refuse_session(out, size, -EBUSY, "too many sessions are open");
    struct session *s = session_new(&head, payload, r->size - sizeof(head));
    if (!s)
        return refuse_session(out, size, -ENOMEM, "there is no memory for another program");
    return start_session(s, out, size);
}

int session_start_api(void)
{
    struct session *s = session_blank(SESSION_API);
    if (s && new_process(s))
        return 0;
    los_free(s);
    log_line("shelter: the enclave has no memory for the image's API server");
    return -ENOMEM;
}

/* A session that has ended meanwhile is no error: the host does not know yet. */
long session_judge_window(const struct sh_control_request *r, char *out, size_t size)
{
    if (r->size != 8)
        return refuse_session(out, size, -EINVAL, "a window has a session, rows and columns");
    struct session *s = session_find(sh_le32(r->data));
    struct tty *t = s && s->done && !s->result ? s->tty : NULL;
    if (t) {
        t->window = (struct tty_window){sh_le16(r->data + 4), sh_le16(r->data + 6), 0, 0};
        tty_signal(t, SIGWINCH);
    }
    return 0;
}

long session_judge_signal(const struct sh_control_request *r, char *out, size_t size)
{
    if (r->size != 8)
        return refuse_session(out, size, -EINVAL, "a signal has a session and a number");
    uint32_t signal = sh_le32(r->data + 4);
    if (!sh_settings_signal(&settings, signal))
        return refuse_session(out, size, -EPERM,
                              "the image does not allow this signal; build it with --allow signal");
    const struct session *s = session_find(sh_le32(r->data));
    if (s && s->done && !s->result && s->process)
        sig_send_group(s->process->pid, (int)signal);
    return 0;
}
