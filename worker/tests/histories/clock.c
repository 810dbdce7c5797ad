/* A clock that runs faster, and can be set forward, for tests: loaded in front of libc (LD_PRELOAD). Times are those of a clock that began at
 * CLOCK_BEGAN (nanoseconds of the machine's monotonic clock) and has run CLOCK_SPEED times as fast since; the present time of day was CLOCK_EPOCH
 * (nanoseconds since 1970) then. The file that CLOCK_LEAP names holds eight bytes: by how many nanoseconds the clock was set forward. Whoever
 * waits, waits that much shorter.
 *
 * Watched are the calls that the standard library, tokio and parking_lot make: clock_gettime, epoll_wait, nanosleep, and waits on a futex. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000LL

static int64_t began, epoch, speed = 0;
static volatile int64_t *leap;

static int64_t number(const char *name) {
    const char *text = getenv(name);
    if (!text) {
        fprintf(stderr, "%s is not set\n", name);
        abort();
    }
    return strtoll(text, NULL, 10);
}

__attribute__((constructor)) static void start(void) {
    int descriptor = open(getenv("CLOCK_LEAP"), O_RDONLY);
    void *map = descriptor < 0 ? MAP_FAILED : mmap(NULL, sizeof *leap, PROT_READ, MAP_SHARED, descriptor, 0);
    if (map == MAP_FAILED) {
        perror("CLOCK_LEAP");
        abort();
    }
    close(descriptor);
    leap = map;
    began = number("CLOCK_BEGAN");
    epoch = number("CLOCK_EPOCH");
    speed = number("CLOCK_SPEED");
}

static int real_clock(clockid_t id, struct timespec *time) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
    return real(id, time);
}

static int64_t nanoseconds(const struct timespec *time) {
    return time->tv_sec * SECOND + time->tv_nsec;
}

static struct timespec timespec_of(int64_t nanoseconds) {
    struct timespec time = {.tv_sec = nanoseconds / SECOND, .tv_nsec = nanoseconds % SECOND};
    return time;
}

/* How far the clock has run. */
static int64_t run(void) {
    struct timespec now;
    real_clock(CLOCK_MONOTONIC, &now);
    return (nanoseconds(&now) - began) * speed + *leap;
}

int clock_gettime(clockid_t id, struct timespec *time) {
    if (!speed) return real_clock(id, time);
    switch (id) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        *time = timespec_of(epoch + run());
        return 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_BOOTTIME:
        *time = timespec_of(began + run());
        return 0;
    default:
        return real_clock(id, time);
    }
}

/* A wait of this clock in the machine's time; never nothing. */
static int64_t shorter(int64_t nanoseconds) {
    return nanoseconds > 0 ? nanoseconds / speed + 1 : 0;
}

int epoll_wait(int epoll, struct epoll_event *events, int most, int milliseconds) {
    static int (*real)(int, struct epoll_event *, int, int);
    if (!real) real = (int (*)(int, struct epoll_event *, int, int))dlsym(RTLD_NEXT, "epoll_wait");
    if (speed && milliseconds > 0) milliseconds = (int)((milliseconds + speed - 1) / speed);
    return real(epoll, events, most, milliseconds);
}

int nanosleep(const struct timespec *wait, struct timespec *left) {
    static int (*real)(const struct timespec *, struct timespec *);
    if (!real) real = (int (*)(const struct timespec *, struct timespec *))dlsym(RTLD_NEXT, "nanosleep");
    if (!speed) return real(wait, left);
    struct timespec short_wait = timespec_of(shorter(nanoseconds(wait)));
    return real(&short_wait, left);
}

int clock_nanosleep(clockid_t id, int flags, const struct timespec *wait, struct timespec *left) {
    (void)id;
    struct timespec short_wait = *wait;
    if (speed && (flags & TIMER_ABSTIME)) {
        struct timespec now;
        clock_gettime(id, &now);
        short_wait = timespec_of(nanoseconds(wait) - nanoseconds(&now));
    }
    return nanosleep(&short_wait, left) ? 4 : 0;
}

long syscall(long call, ...) {
    static long (*real)(long, ...);
    if (!real) real = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    __builtin_va_list list;
    __builtin_va_start(list, call);
    long a[6];
    for (int at = 0; at < 6; at++) a[at] = __builtin_va_arg(list, long);
    __builtin_va_end(list);
    const struct timespec *wait = (const struct timespec *)a[3];
    long command = a[1] & FUTEX_CMD_MASK;
    if (!speed || call != SYS_futex || !wait || (command != FUTEX_WAIT && command != FUTEX_WAIT_BITSET))
        return real(call, a[0], a[1], a[2], a[3], a[4], a[5]);
    int64_t left = nanoseconds(wait);
    struct timespec now;
    if (command == FUTEX_WAIT_BITSET) {
        clock_gettime(a[1] & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC, &now);
        left -= nanoseconds(&now);
    }
    struct timespec until = timespec_of(left > 0 ? shorter(left) : 0);
    if (command == FUTEX_WAIT_BITSET) {
        real_clock(a[1] & FUTEX_CLOCK_REALTIME ? CLOCK_REALTIME : CLOCK_MONOTONIC, &now);
        until = timespec_of(nanoseconds(&now) + nanoseconds(&until));
    }
    return real(call, a[0], a[1], a[2], (long)&until, a[4], a[5]);
}
