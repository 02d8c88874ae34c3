// SPDX-License-Identifier: Apache-2.0
// 32 threads in turn by one mutex and one condition, then a lock under contention; many short
// lives.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define THREADS 32
#define TURNS 100
#define ROUNDS 5000

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turned = PTHREAD_COND_INITIALIZER;
static long sum, turn;

static void *work(void *arg)
{
    long id = (long)arg;
    for (int i = 0; i < TURNS; i++) {
        pthread_mutex_lock(&mutex);
        while (turn % THREADS != id)
            pthread_cond_wait(&turned, &mutex);
        turn++;
        sum += id;
        pthread_cond_broadcast(&turned);
        pthread_mutex_unlock(&mutex);
    }
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&mutex);
        sum++;
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

static void *nothing(void *arg)
{
    return arg;
}

int main(void)
{
    pthread_t t[THREADS];
    for (long i = 0; i < THREADS; i++) {
        if (pthread_create(&t[i], NULL, work, (void *)i))
            abort();
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    for (long i = 0; i < 200; i++) {
        void *result;
        if (pthread_create(&t[0], NULL, nothing, (void *)i) || pthread_join(t[0], &result) ||
            result != (void *)i)
            abort();
    }
    printf("%ld %ld\n", sum, turn);
    return 0;
}
