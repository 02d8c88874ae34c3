// SPDX-License-Identifier: Apache-2.0
// For the tests of published ports: TCP 80 answers "tcp-answer", UDP 53 sends back what came.
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int open_port(int type, unsigned short port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, type, 0);
    if (bind(fd, (struct sockaddr *)&a, sizeof(a)) || (type == SOCK_STREAM && listen(fd, 4096)))
        perror("bind");
    return fd;
}

int main(void)
{
    struct pollfd p[2] = {{.fd = open_port(SOCK_STREAM, 80), .events = POLLIN},
                          {.fd = open_port(SOCK_DGRAM, 53), .events = POLLIN}};
    while (poll(p, 2, -1) > 0) {
        if (p[0].revents) {
            int fd = accept(p[0].fd, NULL, NULL);
            if (write(fd, "tcp-answer\n", 11) < 0)
                perror("write");
            close(fd);
        }
        if (p[1].revents) {
            char data[1500];
            struct sockaddr_in from;
            socklen_t size = sizeof(from);
            ssize_t n = recvfrom(p[1].fd, data, sizeof(data), 0, (struct sockaddr *)&from, &size);
            if (n > 0 && sendto(p[1].fd, data, (size_t)n, 0, (struct sockaddr *)&from, size) < 0)
                perror("sendto");
        }
    }
    return 1;
}
