/*
 * How many processors this process may use: those of its affinity mask, or fewer where a control
 * group grants it only a share of their time, as containers do. More threads than that would spend
 * their time waiting for each other.
 */
#include "options.h"

#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The start of a small file as text; false when there is none. */
static bool read_text(const char *path, char *text, size_t bytes) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        return false;
    }
    ssize_t n = read(file, text, bytes - 1);
    (void)close(file);
    text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

/* quota / period rounded up; 0: no limit. */
static int64_t limit_of(int64_t quota, int64_t period) {
    return quota > 0 && period > 0 ? (quota + period - 1) / period : 0;
}

/* "max 100000" or "150000 100000", in microseconds (Linux, cgroup-v2, cpu.max). */
int64_t coti_parse_cpu_max(const char *text) {
    char *rest = NULL;
    int64_t quota = strtoll(text, &rest, 10);
    return rest == text ? 0 : limit_of(quota, strtoll(rest, NULL, 10));
}

/* Processors' worth of time that the control group grants; 0: no limit. */
static int64_t granted(void) {
    char text[64], period[64];
    if (read_text("/sys/fs/cgroup/cpu.max", text, sizeof text)) {
        return coti_parse_cpu_max(text);
    }
    if (read_text("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", text, sizeof text) &&
        read_text("/sys/fs/cgroup/cpu/cpu.cfs_period_us", period, sizeof period)) {
        return limit_of(strtoll(text, NULL, 10), strtoll(period, NULL, 10));
    }
    return 0;
}

int32_t coti_count_processors(void) {
    cpu_set_t set;
    int64_t n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                            : sysconf(_SC_NPROCESSORS_ONLN);
    const int64_t limit = granted();
    n = limit > 0 && limit < n ? limit : n;
    return n < 1 ? 1 : n > COTI_MAX_THREADS ? COTI_MAX_THREADS : (int32_t)n;
}
