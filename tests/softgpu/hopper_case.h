/* hopper_case: how tests run PTX for sm_90a that is put together at run time. As in case.h, and:
 * %tid, %lane, %t4 and so on; "@N;" in the text stands for a .loc of line N. */
#ifndef SOFTGPU_HOPPER_CASE_H
#define SOFTGPU_HOPPER_CASE_H

#include "tests/softgpu/schedule_case.h"

#define HOPPER_TEXT 65536
#define HOPPER_BYTES 131072

/* If set, called before each launch: makes tensor maps, say. */
static void (*hopper_prepare)(const sg_case *one);

/* Valid until the next call. */
static inline const char *hopper_text(const char *declarations, const char *body) {
    static char text[HOPPER_TEXT];
    static const char head[] = SG_CASE_HEAD;
    char *to = text, *end = text + sizeof text;
    const char *target = strstr(head, "sm_80");
    to += snprintf(to, (size_t)(end - to), "%.*ssm_90a%s%s%s", (int)(target - head), head,
                   target + 5, declarations, SG_CASE_MIDDLE);
    for (const char *from = body; *from && to < end - 32; from++) {
        int line, used = 0;
        if (*from == '@' && sscanf(from, "@%d;%n", &line, &used) == 1 && used) {
            to += snprintf(to, (size_t)(end - to), "\n.loc 1 %d 0\n", line);
            from += used - 1;
        } else {
            *to++ = *from;
        }
    }
    snprintf(to, (size_t)(end - to), "%s", SG_CASE_TAIL);
    if (strlen(text) > sizeof text - 64) fail_msg("the text of a case is too long");
    return text;
}

/* The body with "$0", "$1"... replaced by these numbers. Valid until the next call. */
static inline const char *hopper_numbers(const char *body, const long long *numbers) {
    static char text[HOPPER_TEXT / 2];
    char *to = text;
    for (; *body && to < text + sizeof text - 32; body++) {
        if (*body == '$')
            to += sprintf(to, "%lld", numbers[*++body - '0']);
        else
            *to++ = *body;
    }
    *to = 0;
    return text;
}

typedef struct hopper {
    sg_case one;
    bool fine;
} hopper;

/* Runs with a, b, c of HOPPER_BYTES, zeroed, a filled with what is given; the caller gives them
 * back. */
static inline hopper hopper_run(const char *declarations, const char *body, uint32_t threads,
                                uint64_t dynamic, const void *a, size_t a_bytes, const void *c,
                                size_t c_bytes, uint64_t seed) {
    hopper h = {.one = {.a = sg_case_memory(HOPPER_BYTES, true),
                        .b = sg_case_memory(HOPPER_BYTES, true),
                        .c = sg_case_memory(HOPPER_BYTES, true),
                        .blocks = 1,
                        .threads = threads,
                        .dynamic_shared = dynamic}};
    if (a_bytes) memcpy(sg_memory_host(h.one.a, a_bytes, true), a, a_bytes);
    if (c_bytes) memcpy(sg_memory_host(h.one.c, c_bytes, true), c, c_bytes);
    if (hopper_prepare) hopper_prepare(&h.one);
    sg_get_options()->arch = 90;
    sg_get_options()->seed = seed;
    sg_report_clear();
    h.fine = sg_case_run(hopper_text(declarations, body), &h.one, NULL);
    return h;
}
static inline void hopper_end(const hopper *h) {
    sg_memory_give_back(h->one.a);
    sg_memory_give_back(h->one.b);
    sg_memory_give_back(h->one.c);
    sg_get_options()->seed = 1;
}

typedef void hopper_check(const uint32_t *b, uint32_t threads);
static inline void hopper_right(const char *declarations, const char *body, uint32_t threads,
                                uint64_t dynamic, hopper_check *check) {
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        const hopper h = hopper_run(declarations, body, threads, dynamic, NULL, 0, NULL, 0, seed);
        if (!h.fine) {
            sg_case_print();
            fail_msg("reports with seed %d", (int)seed);
        }
        if (check)
            check((const uint32_t *)(void *)sg_memory_host(h.one.b, HOPPER_BYTES, false), threads);
        hopper_end(&h);
    }
}
/* A report of this kind at this line, whatever the schedule. Of a race either side may be reported:
 * line is then one of two, line and line >> 8. */
static inline void hopper_wrong_on(const char *declarations, const char *body, uint32_t threads,
                                   uint64_t dynamic, const void *c, size_t c_bytes,
                                   sg_report_kind kind, int line) {
    for (uint64_t seed = 1; seed <= 3; seed++) {
        const hopper h =
            hopper_run(declarations, body, threads, dynamic, NULL, 0, c, c_bytes, seed);
        if (h.fine || (!sg_case_reports(kind, line & 255) &&
                       !(line >> 8 && sg_case_reports(kind, line >> 8)))) {
            sg_case_print();
            fail_msg("no report of kind %d at line %d with seed %d:\n%s", (int)kind, line,
                     (int)seed, body);
        }
        hopper_end(&h);
    }
}
static inline void hopper_wrong(const char *declarations, const char *body, uint32_t threads,
                                sg_report_kind kind, int line) {
    hopper_wrong_on(declarations, body, threads, 0, NULL, 0, kind, line);
}
#define EITHER(line, other) ((line) | (other) << 8)

/* Reported as whatever the schedule makes of it. */
static inline void hopper_caught(const char *declarations, const char *body, uint32_t threads) {
    for (uint64_t seed = 1; seed <= 3; seed++) {
        const hopper h = hopper_run(declarations, body, threads, 0, NULL, 0, NULL, 0, seed);
        if (h.fine) fail_msg("no report with seed %d:\n%s", (int)seed, body);
        hopper_end(&h);
    }
}

#endif
