/* Images: PTX found in what cuModuleLoadData gets, and damaged images refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <zstd.h>

#include "tests/softgpu/ptx.h"

typedef struct image {
    unsigned char bytes[4096];
    size_t length;
} image;

static void put(image *im, size_t at, uint64_t value, size_t bytes) {
    memcpy(im->bytes + at, &value, bytes);
}

/* Layout as nvcc 13 writes it: header of 16 bytes, entries with a header of 64. */
static void start(image *im) {
    memset(im, 0, sizeof *im);
    put(im, 0, 0xba55ed50u, 4);
    put(im, 4, 1, 2);
    put(im, 6, 16, 2);
    im->length = 16;
}

static void add(image *im, int kind, const char *target, bool packed) {
    char text[200];
    snprintf(text, sizeof text, "//\n.version 9.0\n.target %s\n.address_size 64\n// %s\n", target,
             packed ? "packed" : "plain");
    const size_t plain = strlen(text), at = im->length;
    size_t length = plain;
    if (packed)
        length = ZSTD_compress(im->bytes + at + 64, 1024, text, plain, 3);
    else
        memcpy(im->bytes + at + 64, text, plain);
    const size_t padded = (length + 7) & ~(size_t)7;
    put(im, at, (uint64_t)kind, 2);
    put(im, at + 4, 64, 4);
    put(im, at + 8, padded, 8);
    put(im, at + 16, packed ? length : 0, 4);
    put(im, at + 40, packed ? 0x8000 : 0, 8);
    put(im, at + 56, packed ? plain : 0, 8);
    im->length += 64 + padded;
    put(im, 8, im->length - 16, 8);
}

static void expect(const void *im, int arch, const char *target, const char *how) {
    char *text, sentence[200] = "";
    if (!sg_image_ptx(&text, im, arch, sentence, sizeof sentence)) fail_msg("%s", sentence);
    char wanted[50];
    snprintf(wanted, sizeof wanted, ".target %s\n", target);
    assert_non_null(strstr(text, wanted));
    assert_non_null(strstr(text, how));
    free(text);
}

static void refused(const void *im, int arch, const char *why) {
    char *text = (char *)1, sentence[200] = "";
    assert_false(sg_image_ptx(&text, im, arch, sentence, sizeof sentence));
    assert_null(text);
    if (!strstr(sentence, why)) fail_msg("'%s' does not say '%s'", sentence, why);
}

static void chooses(void **state) {
    (void)state;
    image im;
    start(&im);
    add(&im, 1, "sm_70", false);
    add(&im, 2, "sm_80", false); /* machine code: passed over */
    add(&im, 1, "sm_80", true);
    add(&im, 1, "sm_90a", true);
    add(&im, 1, "sm_90", false);
    add(&im, 1, "sm_120", false);
    expect(im.bytes, 80, "sm_80", "packed");
    expect(im.bytes, 90, "sm_90a", "packed");
    expect(im.bytes, 75, "sm_70", "plain");
    refused(im.bytes, 60, "no PTX that runs on sm_60");
    struct {
        uint32_t magic, version;
        const void *fatbin, *name;
    } wrapper = {0x466243b1u, 1, im.bytes, NULL};
    expect(&wrapper, 80, "sm_80", "packed");
}

static void plain_text(void **state) {
    (void)state;
    expect("//x\n.version 9.0\n.target sm_80\n//plain\n", 90, "sm_80", "plain");
    refused(".version 9.0\n.target sm_90\n", 80, "for sm_90, this device is sm_80");
    refused(".version 9.0\n.target sm_80a\n", 90, "for sm_80");
    refused("hello, this is nothing", 80, "neither PTX nor a fatbin");
    refused("\177ELF\2\1\1", 80, "machine code");
}

static void damaged(void **state) {
    (void)state;
    image im;
    start(&im);
    add(&im, 2, "sm_80", false);
    refused(im.bytes, 80, "only machine code");
    start(&im);
    add(&im, 1, "sm_80", true);
    image bad = im;
    put(&bad, 16 + 8, 1 << 20, 8);
    refused(bad.bytes, 80, "do not fit");
    bad = im;
    put(&bad, 16 + 4, 8, 4);
    refused(bad.bytes, 80, "do not fit");
    bad = im;
    put(&bad, 8, (uint64_t)1 << 62, 8);
    refused(bad.bytes, 80, "header is not known");
    bad = im;
    put(&bad, 16 + 16, 1 << 20, 4);
    refused(bad.bytes, 80, "sizes are not possible");
    bad = im;
    put(&bad, 16 + 56, (uint64_t)1 << 40, 8);
    refused(bad.bytes, 80, "sizes are not possible");
    bad = im;
    put(&bad, 16 + 56, 10, 8); /* less than it unpacks to */
    refused(bad.bytes, 80, "does not decompress");
    bad = im;
    bad.bytes[16 + 64] ^= 0xff;
    refused(bad.bytes, 80, "does not decompress");
    bad = im;
    put(&bad, 16 + 40, 0x2000, 8);
    refused(bad.bytes, 80, "older way");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(chooses), cmocka_unit_test(plain_text),
                                       cmocka_unit_test(damaged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
