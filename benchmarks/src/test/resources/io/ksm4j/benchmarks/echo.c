#include "commands.h"

static long offset;

static long add(long count) {
    return offset + count;
}

static long end(long count) {
    errno = (int)count;
    fail("end");
    return 0;
}

static const struct command COMMANDS[] = {{"add", add}, {"end", end}};

int main(int argc, char **argv) {
    if (argc > 1) {
        offset = atol(argv[1]);
    }
    return answer(COMMANDS, 2);
}
