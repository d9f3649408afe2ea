#include "kernels/cuda/host_status.h"

#include <stdarg.h>
#include <stdio.h>

/* Libraries that are linked into the plug-in again call these; the state behind them is the
 * program's, so that motet_error() there tells what failed here. */
static const motet_cuda_host *host;

motet_status motet_cuda_host_set(const motet_cuda_host *table) {
    char sentence[256];
    if (table->abi != MOTET_CUDA_ABI)
        snprintf(sentence, sizeof sentence,
                 "libmotet_cuda.so speaks version %d of the plug-in interface, the program %d: "
                 "install both from one build",
                 MOTET_CUDA_ABI, table->abi);
    else if (table->backend_bytes != sizeof(motet_backend))
        snprintf(sentence, sizeof sentence,
                 "libmotet_cuda.so has a back-end table of %zu bytes, the program one of %zu: "
                 "install both from one build",
                 sizeof(motet_backend), table->backend_bytes);
    else {
        host = table;
        return MOTET_OK;
    }
    return table->fail(MOTET_E_UNSUPPORTED, __FILE__, __LINE__, sentence);
}

motet_status motet_fail(motet_status code, const char *file, int line, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return host->fail(code, file, line, text);
}

motet_status motet_fail_prefix(motet_status code, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return host->fail_prefix(code, text);
}

const char *motet_error(void) {
    return host->error();
}

const char *motet_error_where(void) {
    return host->error_where();
}

void motet_log(motet_log_level level, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    host->log(level, text);
}
