// SPDX-License-Identifier: Apache-2.0
// Counts for the host, where the policy allows it: all of this guest, for nothing else runs in it.
#include "trusted/guest/serve.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <unistd.h>

#include "trusted/guest/volume/server.h"

static void send_answer(struct guest *g, uint32_t id, uint32_t error, const char *text)
{
    uint32_t numbers[2] = {id, error};
    guest_channel_numbers(&g->channel, SH_FRAME_ANSWER, 0, 0, numbers, 2, text);
}

/* CPU time of the workload's first process; what its children used is not known before they end. */
static long long cpu_ns(struct guest *g)
{
    struct guest_session *s = guest_session_find(g, 0);
    struct timespec t;
    clockid_t id;
    if (!s || s->pid <= 0 || clock_getcpuclockid(s->pid, &id) || clock_gettime(id, &t))
        return 0;
    return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Programs, without the kernel's own threads (children of 2, kthreadd). */
static unsigned count_processes(void)
{
    unsigned count = 0;
    DIR *dir = opendir("/proc");
    for (struct dirent *e; dir && (e = readdir(dir));) {
        char path[300], text[512];
        if (e->d_name[0] < '1' || e->d_name[0] > '9' || !strcmp(e->d_name, "2"))
            continue;
        snprintf(path, sizeof(path), "/proc/%s/stat", e->d_name);
        ssize_t n = guest_read_file(path, text, sizeof(text) - 1);
        text[n > 0 ? n : 0] = 0;
        /* The name may hold anything; behind it ") S PARENT ". */
        const char *behind = strrchr(text, ')');
        count += behind && strlen(behind) > 4 && strncmp(behind + 4, "2 ", 2);
    }
    if (dir)
        closedir(dir);
    return count;
}

/* As the servers wrote it down: nobody here waits for one. */
static void put_volumes(const struct guest *g, char *text, size_t size)
{
    static const char *const words[VOLUME_COUNTS] = VOLUME_COUNT_WORDS;
    uint64_t counts[VOLUME_COUNTS];
    const char *between = "";
    FILE *out = fmemopen(text, size, "a");
    for (size_t i = 0; out && i < g->config.settings.volume_count; i++, between = ", ") {
        ssize_t n = pread(g->volumes[i].counts, counts, sizeof(counts), 0);
        fprintf(out, "%s\"%s\": {", between, g->config.settings.volumes[i].name);
        for (size_t k = 0; n == sizeof(counts) && k < VOLUME_COUNTS; k++)
            fprintf(out, "%s\"%s\": %" PRIu64, k ? ", " : "", words[k], counts[k]);
        fputs("}", out);
    }
    if (out) {
        fputs("}}", out);
        fclose(out);
    }
}

void guest_stats(struct guest *g, const struct sh_frame *frame, const uint8_t *payload)
{
    uint32_t id = sh_le32(payload);
    struct sysinfo s;
    char text[4096];
    if (frame->type == SH_FRAME_TRACE) {
        send_answer(g, id, ENOTSUP, "a VM has no trace of system calls; run it with --tee sgx-sim");
        return;
    }
    if (!(g->config.settings.requests & SH_POLICY_STATS)) {
        send_answer(g, id, EPERM, "the image does not allow stats; build it with --allow stats");
        return;
    }
    if (sysinfo(&s)) {
        send_answer(g, id, EIO, "the guest cannot count");
        return;
    }
    unsigned long long unit = s.mem_unit;
    snprintf(text, sizeof(text),
             "{\"memory_bytes\": %llu, \"memory_total_bytes\": %llu, \"processes\": %u, "
             "\"cpu_ns\": %lld, \"uptime_seconds\": %ld, \"volumes\": {",
             (s.totalram - s.freeram) * unit, s.totalram * unit, count_processes(), cpu_ns(g),
             s.uptime);
    put_volumes(g, text, sizeof(text));
    send_answer(g, id, 0, text);
}
