// SPDX-License-Identifier: Apache-2.0
// 32 threads hammer a mutex after a condition let them all go; twice, so that TCSs are used again.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT_MAX 32

static int count = COUNT_MAX, rounds = 2000; /* or as the arguments say */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long sum;
static int ready;

static void *work(void *arg)
{
    pthread_mutex_lock(&lock);
    ready++;
    pthread_cond_broadcast(&changed);
    while (ready < count)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < rounds; i++) {
        pthread_mutex_lock(&lock);
        sum++;
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

static volatile int ending;

/* Ends while nobody else enters or leaves the enclave: its starter only counts. */
static void *alone(void *arg)
{
    ending = 1;
    return NULL;
}

static void start_alone(void)
{
    pthread_t t;
    ending = 0;
    if (pthread_create(&t, NULL, alone, NULL) || pthread_detach(t))
        return;
    for (long n = 0; n < 100000000 && (n < 50000000 || !ending); n++)
        __asm__ volatile("");
}

int main(int argc, char **argv)
{
    if (argc > 2) {
        count = atoi(argv[1]);
        rounds = atoi(argv[2]);
    }
    pthread_t t[COUNT_MAX];
    for (int turn = 0; turn < 2; turn++) {
        ready = 0;
        for (int i = 0; i < count; i++) {
            if (pthread_create(&t[i], NULL, work, NULL))
                return 1;
        }
        for (int i = 0; i < count; i++)
            pthread_join(t[i], NULL);
    }
    for (int i = 0; argc > 2 && i < 3; i++)
        start_alone();
    printf("%ld\n", sum);
    return 0;
}
