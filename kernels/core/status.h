/* status: how every motet function reports failure.
 *
 * A function that can fail returns a motet_status. On failure it leaves one sentence in
 * thread-local storage that says what was wrong, where, and what to do; motet_error() reads it.
 * Libraries never print and never exit: only programs do.
 *
 * MOTET_TRY hands a failure up unchanged. MOTET_FAIL makes one, with the source position.
 */
#ifndef MOTET_CORE_STATUS_H
#define MOTET_CORE_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum motet_status {
    MOTET_OK = 0,
    MOTET_E_USAGE,       /* the caller or user asked for something impossible; exit code 2 */
    MOTET_E_DATA,        /* bytes from a file are wrong: truncated, corrupt, hostile; exit code 3 */
    MOTET_E_IO,          /* the operating system refused: missing file, full disk; exit code 4 */
    MOTET_E_MEMORY,      /* an allocation failed or a size overflowed; exit code 5 */
    MOTET_E_UNSUPPORTED, /* valid, but not built in or not there: device, library, format; exit 6 */
} motet_status;

/* Stores "sentence" for motet_error() and returns code, so that `return motet_fail(...)` reads
 * well. file and line are those of the motet source; they appear only in motet_error_where(). */
motet_status motet_fail(motet_status code, const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Puts "prefix: " before the stored sentence (a file name, a bar), and returns code. */
motet_status motet_fail_prefix(motet_status code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The last failure of this thread as one sentence; "" before any. Valid until the next failure. */
const char *motet_error(void);

/* "source.c:123" of the last failure of this thread. */
const char *motet_error_where(void);

/* The process exit code that belongs to a status, as listed above. */
int motet_exit_code(motet_status code);

#define MOTET_FAIL(code, ...) motet_fail((code), __FILE__, __LINE__, __VA_ARGS__)

#define MOTET_TRY(call)                                            \
    do {                                                           \
        motet_status motet_try_status = (call);                    \
        if (motet_try_status != MOTET_OK) return motet_try_status; \
    } while (0)

#ifdef __cplusplus
}
#endif
#endif
