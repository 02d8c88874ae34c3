// SPDX-License-Identifier: Apache-2.0
// For the tests of the local API on the enclave's loopback.
//
//   local get 4|6 PATH [HEADERS]  GET PATH from port 8006; the answer's status and body. HEADERS:
//   in
//                                 place of a right Host, \r\n as "|"
//   local raw TEXT          sends TEXT (\r\n as "|") and prints the answer
//   local own               the program's own server on the port, which comes first
//   local take              asks the API, then takes the port for itself
//   local many PATH COUNT   COUNT threads ask at once, one more connects and says nothing
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT 8006
#define LOCAL "Host: localhost|"

static int dial(int family)
{
    struct sockaddr_in v4 = {
        .sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sockaddr_in6 v6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(PORT), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(family, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, family == AF_INET ? (void *)&v4 : (void *)&v6,
                          family == AF_INET ? sizeof(v4) : sizeof(v6))) {
        printf("connect: %s\n", strerror(errno));
        return -1;
    }
    return fd;
}

/* Sends, and reads to the end: the size of what came. */
static size_t ask(int fd, const char *request, char *out, size_t size)
{
    size_t at = 0;
    ssize_t n;
    if (write(fd, request, strlen(request)) < 0)
        return 0;
    while (at < size - 1 && (n = read(fd, out + at, size - 1 - at)) > 0)
        at += (size_t)n;
    out[at] = 0;
    close(fd);
    return at;
}

/* TEXT with \r\n for each "|". */
static void write_lines(char *out, size_t size, const char *text)
{
    size_t n = 0;
    for (; *text && n < size - 3; text++) {
        if (*text == '|')
            out[n++] = '\r';
        out[n++] = *text == '|' ? '\n' : *text;
    }
    out[n] = 0;
}

static int get(int family, const char *path, const char *headers, int quiet)
{
    static __thread char out[200000];
    char request[1024], lines[512];
    int fd = dial(family);
    if (fd < 0)
        return 1;
    write_lines(lines, sizeof(lines), headers);
    snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\n%s\r\n", path, lines);
    if (!ask(fd, request, out, sizeof(out)))
        return 1;
    char *body = strstr(out, "\r\n\r\n");
    if (!body)
        return 1;
    if (!quiet)
        printf("%.3s\n%s", out + 9, body + 4);
    return strncmp(out, "HTTP/1.1 200", 12) != 0;
}

static int own_server(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    int s = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(s, (void *)&a, sizeof(a)) || listen(s, 4)) {
        printf("bind: %s\n", strerror(errno));
        return 1;
    }
    int fd = dial(AF_INET), c = accept(s, NULL, NULL);
    char out[8] = "";
    if (fd < 0 || c < 0 || write(c, "mine", 4) != 4 || read(fd, out, 4) != 4)
        return 1;
    puts(out);
    return 0;
}

static void *one(void *path)
{
    return (void *)(long)get(AF_INET, path, LOCAL, 1);
}

static int many(char *path, int count)
{
    pthread_t t[32];
    void *failed;
    int silent = dial(AF_INET), bad = silent < 0;
    for (int i = 0; i < count && i < 32; i++)
        bad |= pthread_create(&t[i], NULL, one, path);
    for (int i = 0; i < count && i < 32; i++) {
        pthread_join(t[i], &failed);
        bad += failed != NULL;
    }
    printf("%d failed\n", bad);
    return bad != 0;
}

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "get") && (argc == 4 || argc == 5))
        return get(argv[2][0] == '6' ? AF_INET6 : AF_INET, argv[3], argc == 5 ? argv[4] : LOCAL, 0);
    if (!strcmp(what, "own"))
        return own_server();
    if (!strcmp(what, "take"))
        return get(AF_INET, "/aa/evidence?runtime_data=x", LOCAL, 1) ? 2 : own_server();
    if (!strcmp(what, "many") && argc == 4)
        return many(argv[2], atoi(argv[3]));
    if (!strcmp(what, "raw") && argc == 3) {
        char out[4096], request[8300] = "";
        int fd = dial(AF_INET);
        write_lines(request, sizeof(request), argv[2]);
        if (fd < 0 || !ask(fd, request, out, sizeof(out)))
            return 1;
        printf("%.12s\n", out);
        return 0;
    }
    return 64;
}
