/* The steps of KernelBenchmark in C. All calls and page accesses are in the same order as in JavaKernelSteps.java. */
#include "commands.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

/* There is one region at a time, between two inaccessible pages. */
static char *region;
static size_t size;
static size_t page;

static void map(size_t bytes) {
    char *all = mmap(NULL, bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) {
        fail("mmap");
    }
    region = all + page;
    size = bytes;
    if (mprotect(region, size, PROT_READ | PROT_WRITE) != 0) {
        fail("mprotect");
    }
    /* Fails if the kernel has no huge pages, which has the same effect. */
    madvise(region, size, MADV_NOHUGEPAGE);
}

static void unmap(void) {
    if (munmap(region - page, size + 2 * page) != 0) {
        fail("munmap");
    }
}

static long full_scans(void) {
    char text[32];
    int file = open("/sys/kernel/mm/ksm/full_scans", O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (length <= 0) {
        fail("full_scans");
    }
    close(file);
    text[length] = '\0';
    return strtol(text, NULL, 10);
}

static void mark_and_wait(void) {
    if (madvise(region, size, MADV_MERGEABLE) != 0) {
        fail("MADV_MERGEABLE");
    }
    long wanted = full_scans() + 2;
    while (full_scans() < wanted) {
    }
}

static long write_even_pages(void) {
    long start = nanos();
    for (size_t at = 0; at < size; at += 2 * page) {
        *(volatile char *)(region + at) = '-';
    }
    return nanos() - start;
}

static long merge(long bytes) {
    map(bytes);
    memset(region, '*', size);
    long start = nanos();
    mark_and_wait();
    return nanos() - start;
}

/* Unmerges the region that merge has left. */
static long unmerge(long bytes) {
    (void)bytes;
    long start = nanos();
    if (madvise(region, size, MADV_UNMERGEABLE) != 0) {
        fail("MADV_UNMERGEABLE");
    }
    long took = nanos() - start;
    unmap();
    return took;
}

static long write_private(long bytes) {
    map(bytes);
    memset(region, '*', size);
    return write_even_pages();
}

/* Writes pairs of equal pages, each pair different from the others, to the region that write_private has left. */
static long prepare(long bytes) {
    (void)bytes;
    for (size_t pair = 0; pair < size / page / 2; pair++) {
        memset(region + 2 * pair * page, '+', pair + 1);
        memset(region + (2 * pair + 1) * page, '+', pair + 1);
    }
    long start = nanos();
    mark_and_wait();
    return nanos() - start;
}

static long copy_on_write(long bytes) {
    (void)bytes;
    long took = write_even_pages();
    unmap();
    return took;
}

/* Wakes up now and then, as threads of a JVM do. It uses every processor sooner or later. */
static void *wake_up(void *unused) {
    for (;;) {
        usleep(1000);
    }
    return unused;
}

/* With any argument, the process has two threads. */
int main(int count, char **arguments) {
    pthread_t thread;
    (void)arguments;
    if (count > 1 && pthread_create(&thread, NULL, wake_up, NULL) != 0) {
        fail("pthread_create");
    }
    static const struct command commands[] = {
        {"merge", merge},
        {"unmerge", unmerge},
        {"write", write_private},
        {"prepare", prepare},
        {"copy-on-write", copy_on_write},
    };
    page = sysconf(_SC_PAGESIZE);
    return answer(commands, sizeof commands / sizeof commands[0]);
}
