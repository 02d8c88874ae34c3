// SPDX-License-Identifier: Apache-2.0
// shelter metrics: what running instances use, in the text format of Prometheus; once, or served.
#include <errno.h>
#include <microhttpd.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "host/cli/cli.h"
#include "host/run/observe.h"
#include "trusted/volume/anchor.h"
#include "verifier/broker/server.h"

#define PREFIX "shelter_instance_"

/* --- the text --- */

/* A label's value: quotes, backslashes and line feeds are escaped. */
static void put_label(FILE *out, const char *name, const char *value, char before)
{
    fprintf(out, "%c%s=\"", before, name);
    for (; *value; value++)
        if (*value == '\n')
            fputs("\\n", out);
        else
            fprintf(out, "%s%c", *value == '"' || *value == '\\' ? "\\" : "", *value);
    fputc('"', out);
}

static const char *text_of(const cJSON *o, const char *name)
{
    const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));
    return text ? text : "";
}

static void put_sample(FILE *out, const char *name, const cJSON *one, const char *label,
                       const char *value, double number)
{
    fprintf(out, PREFIX "%s", name);
    put_label(out, "instance", text_of(one, "instance"), '{');
    put_label(out, "tee", text_of(one, "tee"), ',');
    if (label)
        put_label(out, label, value, ',');
    fprintf(out, "} %.17g\n", number);
}

/* A metric's name is one word of the inside's, which may say anything: only what can be one. */
static bool is_name(const char *text)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_";
    return *text && strlen(text) < 60 && !text[strspn(text, letters)];
}

static const cJSON *find_part(const cJSON *one, const char *inner)
{
    const cJSON *stats = cJSON_GetObjectItemCaseSensitive(one, "stats");
    return !strcmp(inner, "volumes")          ? cJSON_GetObjectItemCaseSensitive(one, inner)
           : !strcmp(inner, "inside_volumes") ? cJSON_GetObjectItemCaseSensitive(stats, "volumes")
           : *inner                           ? cJSON_GetObjectItemCaseSensitive(stats, inner)
                                              : stats;
}

/* One metric with a sample for each member of an object, labelled. */
static void put_labelled(FILE *out, const cJSON *list, const char *inner, const char *name,
                         const char *label, const char *type, const char *help)
{
    const cJSON *one, *item;
    fprintf(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
    cJSON_ArrayForEach(one, list)
    {
        cJSON_ArrayForEach(item, find_part(one, inner))
        {
            if (cJSON_IsNumber(item))
                put_sample(out, name, one, label, item->string, item->valuedouble);
        }
    }
}

static void put_simple(FILE *out, const cJSON *list, const char *member, const char *name,
                       const char *type, const char *help)
{
    const cJSON *one;
    fprintf(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s %s\n", name, help, name, type);
    cJSON_ArrayForEach(one, list)
    {
        const cJSON *item = cJSON_GetObjectItemCaseSensitive(one, member);
        if (cJSON_IsNumber(item))
            put_sample(out, name, one, NULL, NULL, item->valuedouble);
    }
}

/* What the inside says of its volumes (trusted/volume/anchor.h), a metric for each count. */
static void put_volume_counts(FILE *out, const cJSON *list)
{
    static const char *const words[VOLUME_COUNTS] = VOLUME_COUNT_WORDS;
    static const char *const helps[VOLUME_COUNTS] = {
        "Its root record on the disk.",
        "Blocks of the log behind it.",
        "Changes that are not on the disk yet.",
        "What can be written.",
        "The root record that the broker has.",
        "Blocks of the log that the broker has.",
        "Since the broker answered.",
        "1: the broker did not answer when it was asked last.",
        "1: nothing is written any more."};
    const cJSON *one, *volume;
    for (size_t i = 0; i < VOLUME_COUNTS; i++) {
        cleanup_free char *name = sh_format("volume_%s", words[i]);
        fprintf(out, "# HELP " PREFIX "%s %s\n# TYPE " PREFIX "%s gauge\n", name, helps[i], name);
        cJSON_ArrayForEach(one, list)
        {
            cJSON_ArrayForEach(volume, find_part(one, "inside_volumes"))
            {
                const cJSON *count = cJSON_GetObjectItemCaseSensitive(volume, words[i]);
                if (cJSON_IsNumber(count))
                    put_sample(out, name, one, "volume", volume->string, count->valuedouble);
            }
        }
    }
}

static bool was_named(const cJSON *names, const char *name)
{
    return cJSON_GetObjectItemCaseSensitive(names, name);
}

/* The inside's counts: each name once, with the samples of all that have it. */
static void put_counts(FILE *out, const cJSON *list)
{
    const cJSON *one, *item, *other;
    cJSON *names = cJSON_CreateObject();
    cJSON_ArrayForEach(one, list)
    {
        cJSON_ArrayForEach(item, find_part(one, ""))
        {
            if (!cJSON_IsNumber(item) || !is_name(item->string) || was_named(names, item->string))
                continue;
            cJSON_AddTrueToObject(names, item->string);
            fprintf(out, "# TYPE " PREFIX "inside_%s untyped\n", item->string);
            cJSON_ArrayForEach(other, list)
            {
                const cJSON *its =
                    cJSON_GetObjectItemCaseSensitive(find_part(other, ""), item->string);
                cleanup_free char *name = sh_format("inside_%s", item->string);
                if (cJSON_IsNumber(its))
                    put_sample(out, name, other, NULL, NULL, its->valuedouble);
            }
        }
    }
    cJSON_Delete(names);
}

static void put_all(FILE *out, const cJSON *list)
{
    const cJSON *one;
    fputs("# HELP " PREFIX "info A running instance.\n# TYPE " PREFIX "info gauge\n", out);
    cJSON_ArrayForEach(one, list)
    {
        put_sample(out, "info", one, "image", text_of(one, "image"), 1);
    }
    put_simple(out, list, "started", "start_time_seconds", "gauge", "When it began, since 1970.");
    put_simple(out, list, "cpu_seconds", "cpu_seconds_total", "counter",
               "Time of this host's processors.");
    put_simple(out, list, "memory_bytes", "memory_bytes", "gauge", "Memory of this host.");
    put_simple(out, list, "processes", "host_processes", "gauge", "Processes of this host.");
    put_labelled(out, list, "volumes", "volume_bytes", "volume", "gauge",
                 "What a volume's file takes.");
    put_volume_counts(out, list);
    put_counts(out, list);
    put_labelled(out, list, "by_call_out", "calls_out_total", "call", "counter",
                 "Calls out of an enclave.");
    put_labelled(out, list, "processor", "processor_total", "event", "counter",
                 "SGX leaves, AEX and EPC pages, as the host saw them.");
}

/* *text is the caller's. */
static int make_text(char **text, struct sh_error *err)
{
    struct sh_store store;
    size_t size;
    cJSON *list = NULL;
    int r = sh_store_open(&store, err);
    if (r)
        return r;
    r = sh_observe_all(&store, &list, err);
    sh_store_close(&store);
    FILE *out = r ? NULL : open_memstream(text, &size);
    if (out) {
        put_all(out, list);
        fclose(out);
    }
    cJSON_Delete(list);
    return r;
}

/* --- served --- */

static enum MHD_Result answer(struct MHD_Connection *c, unsigned status, char *text)
{
    struct MHD_Response *r =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_COPY);
    MHD_add_response_header(r, "Content-Type", "text/plain; version=0.0.4; charset=utf-8");
    enum MHD_Result sent = MHD_queue_response(c, status, r);
    MHD_destroy_response(r);
    return sent;
}

static enum MHD_Result answer_request(void *cls, struct MHD_Connection *c, const char *url,
                                      const char *method, const char *version, const char *data,
                                      size_t *data_size, void **state)
{
    struct sh_error err = {0};
    cleanup_free char *text = NULL;
    if (strcmp(method, "GET") != 0)
        return answer(c, MHD_HTTP_METHOD_NOT_ALLOWED, (char *)"only GET\n");
    if (!strcmp(url, "/healthz"))
        return answer(c, MHD_HTTP_OK, (char *)"ok\n");
    if (strcmp(url, "/metrics") != 0)
        return answer(c, MHD_HTTP_NOT_FOUND, (char *)"/metrics and /healthz\n");
    if (make_text(&text, &err)) {
        sh_error_report(&err);
        return answer(c, MHD_HTTP_INTERNAL_SERVER_ERROR, err.text);
    }
    return answer(c, MHD_HTTP_OK, text);
}

/* A listening socket: "unix:PATH", for its owner alone, or an address and a port. */
static int open_listener(const char *where, char address[80], struct sh_error *err)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    char why[256] = "";
    if (strncmp(where, "unix:", 5) != 0) {
        int fd = sb_server_hold_address(where, address, why, sizeof(why));
        if (fd < 0 || listen(fd, 64))
            return sh_fail(err, fd < 0 ? fd : -errno, "--listen %s: %s", where,
                           *why ? why : "cannot listen");
        return fd;
    }
    const char *path = where + 5;
    snprintf(address, 80, "%.79s", where);
    if (!*path || strlen(path) >= sizeof(to.sun_path))
        return sh_fail(err, -EINVAL, "--listen %s: the path is empty or too long", where);
    strcpy(to.sun_path, path);
    cleanup_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return sh_fail_errno(err, -errno, "cannot create a socket");
    if (!connect(fd, (struct sockaddr *)&to, sizeof(to)))
        return sh_fail(err, -EADDRINUSE, "--listen %s: the address is in use", where);
    if (errno == ECONNREFUSED)
        unlink(path); /* of one that was killed */
    mode_t mask = umask(0177);
    int r = bind(fd, (struct sockaddr *)&to, sizeof(to)) || listen(fd, 64) ? -errno : 0;
    umask(mask);
    return r ? sh_fail_errno(err, r, "--listen %s", where) : sh_take_fd(&fd);
}

static int serve_metrics(const char *where, struct sh_error *err)
{
    char address[80];
    sigset_t end;
    int number;
    sigemptyset(&end);
    sigaddset(&end, SIGTERM);
    sigaddset(&end, SIGINT);
    sigprocmask(SIG_BLOCK, &end, NULL);
    int fd = open_listener(where, address, err);
    if (fd < 0)
        return fd;
    struct MHD_Daemon *daemon = MHD_start_daemon(
        MHD_USE_AUTO | MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, answer_request, NULL,
        MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT, 16u,
        MHD_OPTION_CONNECTION_TIMEOUT, 30u, MHD_OPTION_END);
    if (!daemon) {
        close(fd);
        return sh_fail(err, -EIO, "cannot serve on %s", address);
    }
    printf("%s%s\n", strncmp(where, "unix:", 5) ? "http://" : "", address);
    fflush(stdout);
    sigwait(&end, &number);
    MHD_stop_daemon(daemon);
    if (!strncmp(where, "unix:", 5))
        unlink(where + 5);
    return 0;
}

int cmd_metrics(int argc, char **argv)
{
    struct sh_cli c = sh_cli_start(SH_VERB_metrics, argc, argv);
    struct sh_error err = {0};
    const char *where = NULL;
    cleanup_free char *text = NULL;
    for (int o; (o = sh_cli_next(&c)) >= 0;)
        switch ((enum sh_metrics_option)o) {
        case SH_metrics_listen:
            where = c.value;
            break;
        case SH_metrics_end:
            break;
        }
    if (c.status >= 0)
        return c.status;
    int r = where ? serve_metrics(where, &err) : make_text(&text, &err);
    if (!r && text)
        fputs(text, stdout);
    return r ? sh_error_report(&err) : 0;
}
