/*
 * Two trainers on the processors of one (contention.h): processes of `bench serve`, which hold the
 * workload and wait, one asked alone and both asked at once by turns.
 */
#include "contention.h"

#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { TRAINERS = 2 };

/* A process that serves a workload: what it is asked, what it answers. */
typedef struct server {
    pid_t process; /* 0: none */
    FILE *ask, *answer;
} server;

/* ---- servers ---- */

static bool spawn(server *s, const char *name, const bench_setup *setup, const int ask[2],
                  const int answer[2]) {
    char threads[16];
    posix_spawn_file_actions_t actions;
    (void)snprintf(threads, sizeof threads, "%d", setup->threads);
    char *argument[] = {"bench",     "serve", (char *)(uintptr_t)name,
                        "--threads", threads, setup->tiny ? "--tiny" : NULL,
                        NULL};
    if (posix_spawn_file_actions_init(&actions) != 0) {
        return false;
    }
    bool good = posix_spawn_file_actions_adddup2(&actions, ask[0], STDIN_FILENO) == 0 &&
                posix_spawn_file_actions_adddup2(&actions, answer[1], STDOUT_FILENO) == 0 &&
                posix_spawn_file_actions_addclose(&actions, ask[1]) == 0 &&
                posix_spawn_file_actions_addclose(&actions, answer[0]) == 0 &&
                posix_spawn(&s->process, "/proc/self/exe", &actions, NULL, argument, environ) == 0;
    (void)posix_spawn_file_actions_destroy(&actions);
    return good;
}

/* Start a server and wait until it is ready. The pipes of one are closed in the next. */
static bool start(server *s, const char *name, const bench_setup *setup) {
    char line[256];
    int ask[2], answer[2];
    if (pipe2(ask, O_CLOEXEC) != 0) {
        return false;
    }
    if (pipe2(answer, O_CLOEXEC) != 0) {
        close(ask[0]);
        close(ask[1]);
        return false;
    }
    bool good = spawn(s, name, setup, ask, answer);
    close(ask[0]);
    close(answer[1]);
    s->ask = fdopen(ask[1], "w");
    s->answer = fdopen(answer[0], "r");
    return good && s->ask != NULL && s->answer != NULL &&
           fgets(line, sizeof line, s->answer) != NULL && strncmp(line, "ready ", 6) == 0;
}

static void stop(server *s) {
    if (s->ask != NULL) {
        (void)fclose(s->ask); /* the end of its input ends it */
    }
    if (s->answer != NULL) {
        (void)fclose(s->answer);
    }
    if (s->process > 0) {
        (void)waitpid(s->process, NULL, 0);
    }
}

/* Have the first n servers run at once; the longest of their times, or -1. */
static double run(server *s, int n, int64_t rounds) {
    double longest = 0;
    char line[256];
    for (int i = 0; i < n; i++) {
        if (fprintf(s[i].ask, "run %lld\n", (long long)rounds) < 0 || fflush(s[i].ask) != 0) {
            return -1;
        }
    }
    for (int i = 0; i < n && longest >= 0; i++) {
        if (fgets(line, sizeof line, s[i].answer) == NULL) {
            return -1;
        }
        const double seconds = strtod(line, NULL);
        longest = seconds > longest ? seconds : longest;
    }
    return longest;
}

/* ---- measuring ---- */

/* The first `n` of the processors that this process may use; false: it has fewer. */
static bool take_processors(int n, cpu_set_t *before) {
    cpu_set_t taken;
    CPU_ZERO(&taken);
    if (sched_getaffinity(0, sizeof *before, before) != 0 || CPU_COUNT(before) < n) {
        return false;
    }
    for (size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&taken) < n; i++) {
        if (CPU_ISSET(i, before)) {
            CPU_SET(i, &taken);
        }
    }
    return sched_setaffinity(0, sizeof taken, &taken) == 0;
}

/* Alone and together by turns; each pair a ratio. */
static bool sample(server *s, const bench_measure *measure, double *ratio, double *alone,
                   int64_t *rounds) {
    const double wanted = 10 * measure->seconds; /* long enough for the scheduler to take turns */
    if (run(s, 1, 1) < 0 || run(s, TRAINERS, 1) < 0) {
        return false;
    }
    const double once = run(s, 1, 1);
    if (once < 0) {
        return false;
    }
    *rounds = once < wanted ? (int64_t)(wanted / once) + 1 : 1;
    for (int i = 0; i < measure->samples; i++) {
        alone[i] = run(s, 1, *rounds);
        const double together = run(s, TRAINERS, *rounds);
        ratio[i] = together / alone[i];
        if (alone[i] < 0 || together < 0) {
            return false;
        }
    }
    return true;
}

static bool show(const char *name, const bench_setup *setup, const bench_measure *measure) {
    static double ratio[BENCH_MOST_SAMPLES], alone[BENCH_MOST_SAMPLES];
    server s[TRAINERS] = {{0, NULL, NULL}, {0, NULL, NULL}};
    int64_t rounds = 0;
    bool good = true;
    for (int i = 0; i < TRAINERS; i++) {
        good = good && start(&s[i], name, setup);
    }
    good = good && sample(s, measure, ratio, alone, &rounds);
    if (good) {
        const int n = measure->samples;
        const double median = bench_quartile(ratio, n, 2);
        (void)printf("%s  two trainers take %.2f times as long as one (quartiles %.2f to %.2f, "
                     "worst %.2f; %d samples of %.0f ms alone)\n",
                     name, median, bench_quartile(ratio, n, 1), bench_quartile(ratio, n, 3),
                     ratio[n - 1], n, 1e3 * bench_quartile(alone, n, 2));
        (void)fflush(stdout);
    } else {
        (void)fprintf(stderr, "bench contention %s: a trainer could not be run\n", name);
    }
    for (int i = 0; i < TRAINERS; i++) {
        stop(&s[i]);
    }
    return good;
}

bool bench_show_contention(const bench_setup *setup, const bench_measure *measure) {
    cpu_set_t before;
    if (measure->clock != BENCH_WALL) {
        (void)fputs("bench contention: processor time does not tell\n", stderr);
        return false;
    }
    if (!take_processors(setup->threads, &before)) {
        (void)fprintf(stderr, "bench contention: there are no %d processors\n", setup->threads);
        return false;
    }
    bool good = show("a", setup, measure);
    good = show("c", setup, measure) && good;
    (void)printf("\n");
    (void)sched_setaffinity(0, sizeof before, &before);
    return good;
}
