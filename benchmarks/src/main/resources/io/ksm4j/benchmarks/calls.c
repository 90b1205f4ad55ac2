/* The operations that Java is compared with. A range is 64 KiB between two inaccessible pages. Each of its pages was
   written once. */
#define _GNU_SOURCE
#include "commands.h"
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#ifndef MADV_MERGEABLE
#define MADV_MERGEABLE 12
#define MADV_UNMERGEABLE 13
#endif
#define RANGE (64L << 10)
#define RANGES 512

static long page;
static char *ranges[RANGES];

static void require(int holds, const char *what) {
    if (!holds) {
        fail(what);
    }
}

static char *map_range(void) {
    char *all = mmap(NULL, RANGE + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    require(all != MAP_FAILED, "mmap");
    require(mprotect(all + page, RANGE, PROT_READ | PROT_WRITE) == 0, "mprotect");
    madvise(all + page, RANGE, MADV_NOHUGEPAGE);
    for (long at = 0; at < RANGE; at += page) {
        all[page + at] = 1;
    }
    return all + page;
}

static inline void advise(char *range, int advice) {
    require(madvise(range, RANGE, advice) == 0, "madvise");
}

static void mark_again(char *range, long count) {
    for (long i = 0; i < count; i++) {
        advise(range, MADV_MERGEABLE);
    }
}

static long again(long count) {
    advise(ranges[0], MADV_MERGEABLE);
    long start = nanos();
    mark_again(ranges[0], count);
    return nanos() - start;
}

static long change(long count) {
    advise(ranges[0], MADV_UNMERGEABLE);
    long start = nanos();
    for (long i = 0; i < count; i++) {
        advise(ranges[0], MADV_MERGEABLE);
        advise(ranges[0], MADV_UNMERGEABLE);
    }
    return nanos() - start;
}

/* Like change, for many ranges in turn. */
static long many(long count) {
    long start = nanos();
    for (long i = 0; i < count; i++) {
        for (int r = 0; r < RANGES; r++) {
            advise(ranges[r], MADV_MERGEABLE);
        }
        for (int r = 0; r < RANGES; r++) {
            advise(ranges[r], MADV_UNMERGEABLE);
        }
    }
    return nanos() - start;
}

static long allocate(long count) {
    long start = nanos();
    for (long i = 0; i < count; i++) {
        char *range = mmap(NULL, RANGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        require(range != MAP_FAILED, "mmap");
        madvise(range, RANGE, MADV_NOHUGEPAGE);
        advise(range, MADV_MERGEABLE);
        for (long at = 0; at < RANGE; at += page) {
            range[at] = 1;
        }
        require(munmap(range, RANGE) == 0, "munmap");
    }
    return nanos() - start;
}

struct worker {
    char *range;
    long count;
    pthread_barrier_t *start;
};

static void *work(void *argument) {
    struct worker *worker = argument;
    pthread_barrier_wait(worker->start);
    mark_again(worker->range, worker->count);
    return NULL;
}

/* Like again, in two threads at the same time, each with its own range. */
static long again_by_two(long count) {
    pthread_barrier_t barrier;
    pthread_t other;
    struct worker one = {ranges[0], count, &barrier}, two = {ranges[1], count, &barrier};
    advise(ranges[0], MADV_MERGEABLE);
    advise(ranges[1], MADV_MERGEABLE);
    pthread_barrier_init(&barrier, NULL, 2);
    errno = pthread_create(&other, NULL, work, &one);
    require(errno == 0, "pthread_create");
    long start = nanos();
    work(&two);
    pthread_join(other, NULL);
    long took = nanos() - start;
    pthread_barrier_destroy(&barrier);
    return took;
}

static const struct command COMMANDS[] = {
    {"again", again}, {"change", change}, {"many", many}, {"allocate", allocate}, {"againByTwo", again_by_two},
};

int main(void) {
    page = sysconf(_SC_PAGESIZE);
    for (int r = 0; r < RANGES; r++) {
        ranges[r] = map_range();
    }
    return answer(COMMANDS, sizeof COMMANDS / sizeof *COMMANDS);
}
