// Checks copy.c against loops that copy byte by byte: every length up to beyond where the string instruction takes over, at every alignment,
// apart and overlapping in both directions. Bytes around the copied area must stay as they were.

#include <stddef.h>
#include <stdio.h>

void *__wrap_memcpy(void *restrict to, const void *restrict from, size_t length);
void *__wrap_memmove(void *to, const void *from, size_t length);

enum { LONGEST = 1100, ROOM = 4096 };
static unsigned char ours[ROOM], expected[ROOM], before[ROOM];

static void fill(void) {
    for (size_t at = 0; at < ROOM; at++) {
        before[at] = ours[at] = expected[at] = (unsigned char)(at * 131 + (at >> 8) * 17 + 7);
    }
}

static int check(const char *name, void *answer, size_t to, size_t from, size_t length) {
    for (size_t at = 0; at < length; at++) {
        expected[to + at] = before[from + at];
    }
    for (size_t at = 0; at < ROOM; at++) {
        if (ours[at] != expected[at] || answer != ours + to) {
            printf("%s of %zu bytes from %zu to %zu is wrong at %zu\n", name, length, from, to, at);
            return 1;
        }
    }
    return 0;
}

static int copies(size_t length) {
    for (size_t alignment = 0; alignment < 16; alignment++) {
        size_t to = 16 + alignment, from = 2048 + (alignment * 7) % 16;
        fill();
        if (check("memcpy", __wrap_memcpy(ours + to, ours + from, length), to, from, length)) {
            return 1;
        }
    }
    return 0;
}

static int moves(size_t length) {
    for (size_t distance = 0; distance <= 40; distance++) {
        size_t low = 1024 + distance % 3, high = low + distance;
        fill();
        if (check("memmove", __wrap_memmove(ours + low, ours + high, length), low, high, length)) {
            return 1;
        }
        fill();
        if (check("memmove", __wrap_memmove(ours + high, ours + low, length), high, low, length)) {
            return 1;
        }
    }
    return 0;
}

int main(void) {
    for (size_t length = 0; length <= LONGEST; length++) {
        if (copies(length) || moves(length)) {
            return 1;
        }
    }
    return 0;
}
