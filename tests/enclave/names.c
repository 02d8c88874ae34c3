// SPDX-License-Identifier: Apache-2.0
// Prints the first IPv4 address of each name.
#include <arpa/inet.h>
#include <netdb.h>
#include <stdio.h>

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *a;
        char text[INET_ADDRSTRLEN] = "unknown";
        if (!getaddrinfo(argv[i], NULL, &hints, &a)) {
            inet_ntop(AF_INET, &((struct sockaddr_in *)a->ai_addr)->sin_addr, text, sizeof(text));
            freeaddrinfo(a);
        }
        printf("%s ", text);
    }
    printf("\n");
    return 0;
}
