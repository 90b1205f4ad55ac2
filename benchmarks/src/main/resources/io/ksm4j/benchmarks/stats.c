/*
 * Reads and parses the same files as ksm4j's statistics: opens a file, reads it to its end, and closes it.
 *
 *     stats PID [START-END...]
 *
 * PID is the process to read, and START-END are its regions in order.
 */
#define _GNU_SOURCE
#include "commands.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#define KSM "/sys/kernel/mm/ksm"

struct counts {
    long resident, marked, merged, huge, saved;
};

struct region {
    unsigned long start, end;
    struct counts counts;
};

static char files[64][sizeof KSM + 256];
static int file_count;
static char stat_path[64], smaps_path[64];
static struct region *regions;
static int region_count;
static struct counts total;

/* Receives all numbers, so that the compiler does not optimize parsing away. */
static volatile long sink;

static int open_file(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        fail(path);
    }
    return file;
}

static long read_file(const char *path, char *buffer, long size) {
    int file = open_file(path);
    long length = 0, got;
    while ((got = read(file, buffer + length, size - 1 - length)) > 0) {
        length += got;
    }
    if (got < 0) {
        fail(path);
    }
    close(file);
    buffer[length] = 0;
    return length;
}

static void find(const char *text, const char *line) {
    const char *found = strstr(text, line);
    sink = found == NULL ? -1 : strtol(found + strlen(line), NULL, 10);
}

static void read_machine(void) {
    static char buffer[16384];
    for (int i = 0; i < file_count; i++) {
        read_file(files[i], buffer, sizeof buffer);
        sink = strtol(buffer, NULL, 10);
    }
    read_file("/proc/vmstat", buffer, sizeof buffer);
    find(buffer, "\ncow_ksm ");
    find(buffer, "\nksm_swpin_copy ");
}

static void read_process(void) {
    static char buffer[8192];
    read_file(stat_path, buffer, sizeof buffer);
    for (char *line = buffer; *line != 0;) {
        char *space = strchr(line, ' ');
        char *end = strchr(line, '\n');
        if (space == NULL || end == NULL) {
            fail("ksm_stat");
        }
        sink = strtol(space, NULL, 10);
        line = end + 1;
    }
}

/* The current mapping of smaps, as far as it has been read. */
static struct {
    unsigned long start, end;
    long rss, pss, ksm, huge;
    int mergeable;
} mapping;

static struct region *next;
static int done;

static void add(struct counts *to) {
    long shared = mapping.rss - mapping.pss;
    to->resident += mapping.rss;
    to->marked += mapping.mergeable ? mapping.end - mapping.start : 0;
    to->merged += mapping.ksm;
    to->huge += mapping.huge;
    to->saved += shared < mapping.ksm ? shared : mapping.ksm;
}

/* Counts a complete mapping. */
static void count(void) {
    if (region_count == 0) {
        if (mapping.mergeable) {
            add(&total);
        }
        return;
    }
    while (next < regions + region_count && next->end <= mapping.start) {
        next++;
    }
    if (next == regions + region_count) {
        done = 1;
    } else if (next->start <= mapping.start && mapping.end <= next->end) {
        add(&next->counts);
    }
}

static int is(const char *line, const char *key, long length, long *value) {
    if (strncmp(line, key, length) != 0) {
        return 0;
    }
    *value = strtol(line + length, NULL, 10) << 10;
    return 1;
}

static void read_line(const char *line) {
    if ((line[0] >= '0' && line[0] <= '9') || (line[0] >= 'a' && line[0] <= 'f')) {
        if (mapping.end != 0) {
            count();
        }
        memset(&mapping, 0, sizeof mapping);
        char *dash;
        mapping.start = strtoul(line, &dash, 16);
        mapping.end = strtoul(dash + 1, NULL, 16);
    } else if (strncmp(line, "VmFlags:", 8) == 0) {
        mapping.mergeable = strstr(line, " mg") != NULL;
    } else {
        (void)(is(line, "Rss:", 4, &mapping.rss) || is(line, "Pss:", 4, &mapping.pss)
               || is(line, "KSM:", 4, &mapping.ksm) || is(line, "AnonHugePages:", 14, &mapping.huge));
    }
}

/* Reads in blocks of the same size as ksm4j, and stops after the last region. */
static void read_regions(void) {
    static char buffer[4096 + 8192 + 1];
    int file = open_file(smaps_path);
    long kept = 0, got;
    for (int i = 0; i < region_count; i++) {
        memset(&regions[i].counts, 0, sizeof regions[i].counts);
    }
    memset(&total, 0, sizeof total);
    memset(&mapping, 0, sizeof mapping);
    next = regions;
    done = 0;
    while (!done && (got = read(file, buffer + kept, 8192)) > 0) {
        char *line = buffer, *end;
        long length = kept + got;
        while (!done && (end = memchr(line, '\n', buffer + length - line)) != NULL) {
            *end = 0;
            read_line(line);
            line = end + 1;
        }
        kept = buffer + length - line;
        if (kept > 4096) {
            errno = EFBIG;
            fail("smaps");
        }
        memmove(buffer, line, kept);
    }
    if (got < 0) {
        fail(smaps_path);
    }
    if (!done) {
        count();
    }
    close(file);
    /* This file has the number of zero pages. */
    read_process();
    sink = total.resident;
}

static long timed(void (*what)(void), long count) {
    long start = nanos();
    for (long i = 0; i < count; i++) {
        what();
    }
    return nanos() - start;
}

static void read_all(void) {
    read_machine();
    read_process();
    read_regions();
}

static long machine(long count) {
    return timed(read_machine, count);
}

static long process(long count) {
    return timed(read_process, count);
}

static long pass(long count) {
    return timed(read_regions, count);
}

static long all(long count) {
    return timed(read_all, count);
}

/* Returns the marked bytes that a pass finds, not a time. */
static long marked(long count) {
    long sum = 0;
    (void)count;
    read_regions();
    for (int i = 0; i < region_count; i++) {
        sum += regions[i].counts.marked;
    }
    return region_count == 0 ? total.marked : sum;
}

static const struct command COMMANDS[] = {
    {"machine", machine}, {"process", process}, {"pass", pass}, {"all", all}, {"marked", marked}};

int main(int argc, char **argv) {
    DIR *directory = opendir(KSM);
    if (directory == NULL) {
        fail(KSM);
    }
    for (struct dirent *entry; (entry = readdir(directory)) != NULL && file_count < 64;) {
        if (entry->d_name[0] != '.') {
            snprintf(files[file_count++], sizeof files[0], KSM "/%s", entry->d_name);
        }
    }
    closedir(directory);
    const char *pid = argc > 1 ? argv[1] : "self";
    snprintf(stat_path, sizeof stat_path, "/proc/%s/ksm_stat", pid);
    snprintf(smaps_path, sizeof smaps_path, "/proc/%s/smaps", pid);
    region_count = argc > 2 ? argc - 2 : 0;
    regions = calloc(region_count + 1, sizeof *regions);
    for (int i = 0; i < region_count; i++) {
        sscanf(argv[i + 2], "%lx-%lx", &regions[i].start, &regions[i].end);
    }
    return answer(COMMANDS, sizeof COMMANDS / sizeof COMMANDS[0]);
}
