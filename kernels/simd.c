#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "kernels/simd_table.h"

/* -1 until the processor has been asked. */
static atomic_int best_level = -1;
static atomic_int top_level = MOTET_SIMD_AVX512;

static int detect(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return MOTET_SIMD_AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return MOTET_SIMD_AVX2;
#endif
    return MOTET_SIMD_PORTABLE;
}

static motet_simd_level level(void) {
    int best = atomic_load_explicit(&best_level, memory_order_relaxed);
    if (best < 0) {
        best = detect();
        atomic_store_explicit(&best_level, best, memory_order_relaxed);
    }
    const int top = atomic_load_explicit(&top_level, memory_order_relaxed);
    return (motet_simd_level)(best < top ? best : top);
}

motet_simd_level motet_simd_limit(motet_simd_level highest) {
    atomic_store(&top_level, (int)highest);
    return level();
}

const motet_simd *motet_simd_table(void) {
#if defined(__x86_64__)
    switch (level()) {
    case MOTET_SIMD_AVX512:
        return &motet_simd_avx512;
    case MOTET_SIMD_AVX2:
        return &motet_simd_avx2;
    case MOTET_SIMD_PORTABLE:
        break;
    }
#endif
    return &motet_simd_portable;
}

/* Threads of a server come and go, so their scratch must go with them: a key's destructor. */
static pthread_once_t key_once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int key_made;

static void make_key(void) {
    key_made = pthread_key_create(&key, free) == 0;
}

static _Thread_local void *block;
static _Thread_local size_t block_bytes;

void *motet_scratch(size_t bytes) {
    if (block && bytes <= block_bytes) return block;
    pthread_once(&key_once, make_key);
    if (!key_made || bytes > SIZE_MAX / 2) return NULL;
    const size_t size = (bytes + bytes / 4 + 4095) / 4096 * 4096;
    void *grown = aligned_alloc(64, size);
    if (!grown) return NULL;
    if (pthread_setspecific(key, grown) != 0) {
        free(grown);
        return NULL;
    }
    free(block);
    block = grown;
    block_bytes = size;
    return block;
}
