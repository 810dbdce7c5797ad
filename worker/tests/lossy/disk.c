/* A disk that loses what was not synced, and can be full, for tests: loaded in front of libc (LD_PRELOAD), it watches the files below LOSSY_FOLDER. Writes go to
 * the files as usual; only a sync copies what was written since the last one to the file of the same name below LOSSY_SHADOW. After a kill the
 * shadows are what a power cut would certainly have left. With LOSSY_LIES set, a sync says that it was done and does nothing. While the file that
 * LOSSY_FULL names exists, no file can grow.
 *
 * Watched are the calls that SQLite makes: open, write, pwrite, ftruncate, fsync, fdatasync, close, unlink. Memory maps are not: SQLite maps only
 * its index of the log, which it makes anew after a crash. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILES 32
#define DESCRIPTORS 4096
#define BLOCK 512

struct watched {
    char name[256];
    unsigned char *dirty; /* one byte for each block */
    size_t blocks;
};

static struct watched files[FILES];
static int file_of[DESCRIPTORS]; /* index of the file, plus one */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(type, name, ...) \
    static type (*real)(__VA_ARGS__); \
    if (!real) real = (type (*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

static void fail(const char *what) {
    perror(what);
    abort();
}

/* The name of a file directly below the watched folder; nothing for others. */
static const char *watched_name(const char *path) {
    const char *folder = getenv("LOSSY_FOLDER");
    size_t length = folder ? strlen(folder) : 0;
    if (!folder || strncmp(path, folder, length) || path[length] != '/' || strchr(path + length + 1, '/')) return NULL;
    return path + length + 1;
}

static void shadow_path(char *path, size_t size, const char *name) {
    const char *folder = getenv("LOSSY_SHADOW");
    if (!folder || snprintf(path, size, "%s/%s", folder, name) >= (int)size) fail("LOSSY_SHADOW");
}

static void opened(int descriptor, const char *path) {
    const char *name = watched_name(path);
    if (descriptor < 0 || !name) return;
    if (descriptor >= DESCRIPTORS) fail("too many descriptors");
    pthread_mutex_lock(&lock);
    int at = 0;
    while (at < FILES && files[at].name[0] && strcmp(files[at].name, name)) at++;
    if (at == FILES || strlen(name) >= sizeof files[at].name) fail("too many files");
    strcpy(files[at].name, name);
    file_of[descriptor] = at + 1;
    pthread_mutex_unlock(&lock);
}

static struct watched *file(int descriptor) {
    return descriptor >= 0 && descriptor < DESCRIPTORS && file_of[descriptor] ? &files[file_of[descriptor] - 1] : NULL;
}

static void touched(int descriptor, off_t from, size_t length) {
    struct watched *found = file(descriptor);
    if (!found || !length) return;
    pthread_mutex_lock(&lock);
    size_t end = ((size_t)from + length + BLOCK - 1) / BLOCK;
    if (end > found->blocks) {
        size_t blocks = end * 2;
        found->dirty = realloc(found->dirty, blocks);
        if (!found->dirty) fail("memory");
        memset(found->dirty + found->blocks, 0, blocks - found->blocks);
        found->blocks = blocks;
    }
    memset(found->dirty + from / BLOCK, 1, end - from / BLOCK);
    pthread_mutex_unlock(&lock);
}

static ssize_t real_pwrite(int descriptor, const void *bytes, size_t length, off_t at) {
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off_t);
    return real(descriptor, bytes, length, at);
}

static int real_truncate(int descriptor, off_t length) {
    REAL(int, "ftruncate64", int, off_t);
    return real(descriptor, length);
}

static int real_close(int descriptor) {
    REAL(int, "close", int);
    return real(descriptor);
}

static int real_open(const char *path, int flags, mode_t mode) {
    REAL(int, "open64", const char *, int, ...);
    return real(path, flags, mode);
}

/* Copies what was written since the last sync to the shadow. */
static void synced(int descriptor) {
    struct watched *found = file(descriptor);
    if (!found || getenv("LOSSY_LIES")) return;
    pthread_mutex_lock(&lock);
    char path[4096], bytes[BLOCK];
    shadow_path(path, sizeof path, found->name);
    int shadow = real_open(path, O_RDWR | O_CREAT, 0600);
    if (shadow < 0) fail(path);
    for (size_t block = 0; block < found->blocks; block++) {
        if (!found->dirty[block]) continue;
        ssize_t length = pread(descriptor, bytes, BLOCK, (off_t)(block * BLOCK));
        if (length < 0 || real_pwrite(shadow, bytes, (size_t)length, (off_t)(block * BLOCK)) != length) fail(path);
        found->dirty[block] = 0;
    }
    struct stat state;
    if (fstat(descriptor, &state) || real_truncate(shadow, state.st_size)) fail(path);
    real_close(shadow);
    pthread_mutex_unlock(&lock);
}

static int open_any(const char *path, int flags, mode_t mode) {
    int descriptor = real_open(path, flags, mode);
    opened(descriptor, path);
    return descriptor;
}

#define MODE(flags) \
    mode_t mode = 0; \
    if ((flags) & (O_CREAT | O_TMPFILE)) { \
        va_list rest; \
        va_start(rest, flags); \
        mode = va_arg(rest, mode_t); \
        va_end(rest); \
    }

int open(const char *path, int flags, ...) {
    MODE(flags)
    return open_any(path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE(flags)
    return open_any(path, flags, mode);
}

/* Whether a write has to fail because it would make a file larger on a full disk. The index of the log is in memory. */
static int full(int descriptor, off_t end) {
    struct watched *found = file(descriptor);
    const char *sign = getenv("LOSSY_FULL");
    struct stat state;
    if (!found || !sign || strstr(found->name, "-shm") || access(sign, F_OK) || fstat(descriptor, &state)) return 0;
    errno = ENOSPC;
    return end > state.st_size;
}

ssize_t pwrite(int descriptor, const void *bytes, size_t length, off_t at) {
    if (full(descriptor, at + (off_t)length)) return -1;
    ssize_t written = real_pwrite(descriptor, bytes, length, at);
    if (written > 0) touched(descriptor, at, (size_t)written);
    return written;
}

ssize_t pwrite64(int descriptor, const void *bytes, size_t length, off_t at) {
    return pwrite(descriptor, bytes, length, at);
}

ssize_t write(int descriptor, const void *bytes, size_t length) {
    REAL(ssize_t, "write", int, const void *, size_t);
    off_t at = file(descriptor) ? lseek(descriptor, 0, SEEK_CUR) : 0;
    if (full(descriptor, at + (off_t)length)) return -1;
    ssize_t written = real(descriptor, bytes, length);
    if (written > 0) touched(descriptor, at, (size_t)written);
    return written;
}

int ftruncate(int descriptor, off_t length) {
    struct stat before;
    int known = file(descriptor) && !fstat(descriptor, &before);
    int done = real_truncate(descriptor, length);
    /* What is cut off and grown again reads as nothing: it has to be copied as such. */
    if (!done && known && length < before.st_size) touched(descriptor, length, (size_t)(before.st_size - length));
    return done;
}

int ftruncate64(int descriptor, off_t length) {
    return ftruncate(descriptor, length);
}

int fsync(int descriptor) {
    synced(descriptor);
    return 0;
}

int fdatasync(int descriptor) {
    synced(descriptor);
    return 0;
}

int close(int descriptor) {
    if (descriptor >= 0 && descriptor < DESCRIPTORS) file_of[descriptor] = 0;
    return real_close(descriptor);
}

int unlink(const char *path) {
    REAL(int, "unlink", const char *);
    const char *name = watched_name(path);
    if (name) {
        char shadow[4096];
        shadow_path(shadow, sizeof shadow, name);
        real(shadow);
    }
    return real(path);
}
