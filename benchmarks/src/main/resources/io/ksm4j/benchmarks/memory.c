/* How fast this machine reads memory. The arguments are the number of bytes and the number of threads that share them.
   The count of a command is how often all bytes are read. */
#define _GNU_SOURCE
#include "commands.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_THREADS 64
#define CHUNK (256 << 10)

static char *memory;
static size_t size;
static long threads;
static int file;
static volatile uint64_t sum;

/* Only the memory's bandwidth matters: one addition for 8 bytes takes less time. */
static void add(const char *from, char *unused) {
    (void)unused;
    const uint64_t *words = (const uint64_t *)from;
    uint64_t sums[8] = {0};
    for (size_t i = 0; i < CHUNK / sizeof *words; i += 8) {
        for (int lane = 0; lane < 8; lane++) {
            sums[lane] += words[i + lane];
        }
    }
    sum += sums[0] + sums[1] + sums[2] + sums[3] + sums[4] + sums[5] + sums[6] + sums[7];
}

/* Reads like ksm estimate, but does nothing with what it has read. */
static void copy(const char *from, char *buffer) {
    if (pread(file, buffer, CHUNK, (off_t)(uintptr_t)from) != CHUNK) {
        fail("/proc/self/mem");
    }
}

static void (*reading)(const char *from, char *buffer);

static void *read_part(void *argument) {
    long thread = (long)(intptr_t)argument;
    char *buffer = malloc(CHUNK);
    if (buffer == NULL) {
        fail("malloc");
    }
    for (size_t at = thread * CHUNK; at < size; at += threads * CHUNK) {
        reading(memory + at, buffer);
    }
    free(buffer);
    return NULL;
}

static long read_all(long count) {
    pthread_t others[MAX_THREADS];
    long start = nanos();
    while (count-- > 0) {
        for (long i = 1; i < threads; i++) {
            if (pthread_create(&others[i], NULL, read_part, (void *)(intptr_t)i) != 0) {
                fail("pthread_create");
            }
        }
        read_part((void *)0);
        for (long i = 1; i < threads; i++) {
            pthread_join(others[i], NULL);
        }
    }
    return nanos() - start;
}

static long run_add(long count) {
    reading = add;
    return read_all(count);
}

static long run_copy(long count) {
    reading = copy;
    return read_all(count);
}

int main(int argc, char **argv) {
    if (argc != 3 || (threads = atol(argv[2])) < 1 || threads > MAX_THREADS) {
        fprintf(stderr, "usage: memory BYTES THREADS\n");
        return 2;
    }
    size = (size_t)atol(argv[1]) / CHUNK * CHUNK;
    memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        fail("mmap");
    }
    /* Fails if the kernel has no huge pages, which has the same effect. */
    madvise(memory, size, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < size / sizeof(uint64_t); i++) {
        ((uint64_t *)memory)[i] = i * 0x9e3779b97f4a7c15;
    }
    file = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        fail("/proc/self/mem");
    }
    const struct command commands[] = {{"add", run_add}, {"copy", run_copy}};
    return answer(commands, sizeof commands / sizeof commands[0]);
}
