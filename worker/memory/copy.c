// memcpy and memmove for the static binary on x86_64. musl's use a string instruction for every copy, however short, which takes longer to start
// than most copies take. The linker puts these in their place (see build.rs); tests/copying.rs tests every length and overlap that differ.

#include <stddef.h>
#include <stdint.h>

// From how many bytes on the string instruction is the fastest.
#define LONG 1024

typedef unsigned char block __attribute__((vector_size(16)));

#define LOAD(type, from) ({ type value; __builtin_memcpy(&value, (from), sizeof value); value; })
#define STORE(to, value) __builtin_memcpy((to), &(value), sizeof(value))

// Copies the first and the last bytes of that type, which overlap in the middle. Both are loaded before either is stored.
#define ENDS(type)                                                                                                     \
    do {                                                                                                               \
        type first = LOAD(type, from), last = LOAD(type, from + length - sizeof(type));                                \
        STORE(to, first);                                                                                              \
        STORE(to + length - sizeof(type), last);                                                                       \
    } while (0)

// At most two blocks; the areas may overlap.
static inline void copy_short(unsigned char *to, const unsigned char *from, size_t length) {
    if (length >= sizeof(block)) {
        ENDS(block);
    } else if (length >= sizeof(uint64_t)) {
        ENDS(uint64_t);
    } else if (length >= sizeof(uint32_t)) {
        ENDS(uint32_t);
    } else if (length > 0) {
        unsigned char first = from[0], middle = from[length / 2], last = from[length - 1];
        to[0] = first;
        to[length / 2] = middle;
        to[length - 1] = last;
    }
}

// More than two blocks, first to last; right also when `to` is below `from`.
static inline void copy_forward(unsigned char *to, const unsigned char *from, size_t length) {
    if (length >= LONG) {
        __asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(length) : : "memory");
        return;
    }
    block last = LOAD(block, from + length - sizeof(block));
    for (size_t at = 0; at + sizeof(block) < length; at += sizeof(block)) {
        block next = LOAD(block, from + at);
        STORE(to + at, next);
    }
    STORE(to + length - sizeof(block), last);
}

// More than two blocks, last to first; right also when `to` is above `from`.
static inline void copy_backward(unsigned char *to, const unsigned char *from, size_t length) {
    block first = LOAD(block, from);
    for (size_t end = length; end > sizeof(block); end -= sizeof(block)) {
        block next = LOAD(block, from + end - sizeof(block));
        STORE(to + end - sizeof(block), next);
    }
    STORE(to, first);
}

void *__wrap_memcpy(void *restrict to, const void *restrict from, size_t length) {
    if (length <= 2 * sizeof(block)) {
        copy_short(to, from, length);
    } else {
        copy_forward(to, from, length);
    }
    return to;
}

void *__wrap_memmove(void *to, const void *from, size_t length) {
    if (length <= 2 * sizeof(block)) {
        copy_short(to, from, length);
    } else if ((uintptr_t)to - (uintptr_t)from >= length) {
        copy_forward(to, from, length);
    } else {
        copy_backward(to, from, length);
    }
    return to;
}
