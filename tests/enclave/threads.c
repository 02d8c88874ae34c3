// SPDX-License-Identifier: Apache-2.0
// 32 threads hammer a mutex after a condition let them all go; twice, so that TCSs are used again.
#include <pthread.h>
#include <stdio.h>

#define COUNT 32
#define ROUNDS 2000

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static long sum;
static int ready;

static void *work(void *arg)
{
    pthread_mutex_lock(&lock);
    ready++;
    pthread_cond_broadcast(&changed);
    while (ready < COUNT)
        pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        sum++;
        pthread_mutex_unlock(&lock);
    }
    return NULL;
}

int main(void)
{
    pthread_t t[COUNT];
    for (int turn = 0; turn < 2; turn++) {
        ready = 0;
        for (int i = 0; i < COUNT; i++) {
            if (pthread_create(&t[i], NULL, work, NULL))
                return 1;
        }
        for (int i = 0; i < COUNT; i++)
            pthread_join(t[i], NULL);
    }
    printf("%ld\n", sum);
    return 0;
}
