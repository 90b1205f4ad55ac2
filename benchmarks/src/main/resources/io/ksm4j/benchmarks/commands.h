/* Shared by the C programs: each answers lines "run NAME COUNT" with a line of nanoseconds, until its input ends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct command {
    const char *name;
    /* Runs the command count times, and returns the nanoseconds it took. */
    long (*run)(long count);
};

/* Ends the program and reports errno as the reason. */
static inline void fail(const char *what) {
    printf("failed: %s: %s\n", what, strerror(errno));
    fflush(stdout);
    exit(1);
}

static inline long nanos(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000L + now.tv_nsec;
}

/* Answers commands until the input ends. main calls this with its commands, and returns the result. */
static inline int answer(const struct command *commands, int length) {
    char line[256], name[64];
    long count;
    while (fgets(line, sizeof line, stdin) != NULL) {
        const struct command *asked = NULL;
        if (sscanf(line, "run %63s %ld", name, &count) == 2) {
            for (int i = 0; i < length; i++) {
                if (strcmp(commands[i].name, name) == 0) {
                    asked = &commands[i];
                }
            }
        }
        if (asked == NULL) {
            printf("failed: unknown command: %s", line);
        } else {
            printf("%ld\n", asked->run(count));
        }
        fflush(stdout);
    }
    return 0;
}
