#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "data/sha256.h"

static void digest_of(char hex[MOTET_SHA256_HEX], const void *bytes, size_t size, size_t step,
                      int portable) {
    unsigned char digest[MOTET_SHA256_BYTES];
    motet_sha256 hash;
    motet_sha256_init(&hash);
    hash.portable = portable;
    for (size_t at = 0; at < size; at += step)
        motet_sha256_update(&hash, (const char *)bytes + at, size - at < step ? size - at : step);
    motet_sha256_final(digest, &hash);
    motet_sha256_hex(hex, digest);
}

/* FIPS 180-4's examples, and lengths at which the padding just fits or just does not
 * (digests by coreutils' sha256sum). */
static const struct {
    int repeat;
    const char *text, *digest;
} CASES[] = {
    {1, "", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {1, "abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {1, "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {55, "a", "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318"},
    {56, "a", "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a"},
    {63, "a", "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34"},
    {64, "a", "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb"},
    {1000000, "a", "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"},
};

static void gives_the_standards_digests(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        size_t one = strlen(CASES[i].text), size = one * (size_t)CASES[i].repeat;
        char *text = malloc(size + 1);
        assert_non_null(text);
        for (int k = 0; k < CASES[i].repeat; k++)
            memcpy(text + one * (size_t)k, CASES[i].text, one);
        for (int portable = 0; portable < 2; portable++) {
            static const size_t STEPS[] = {1 << 20, 64, 63, 7};
            for (int k = 0; k < 4; k++) {
                char hex[MOTET_SHA256_HEX];
                digest_of(hex, text, size, STEPS[k], portable);
                assert_string_equal(hex, CASES[i].digest);
            }
        }
        free(text);
    }
}

static void hashes_files(void **state) {
    (void)state;
    char path[] = "/tmp/motet_sha256_XXXXXX", hex[MOTET_SHA256_HEX];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    for (int i = 0; i < 1000; i++) {
        char block[1001];
        memset(block, 'a', 1000);
        assert_int_equal(write(fd, block, 1000), 1000);
    }
    close(fd);
    assert_int_equal(motet_sha256_file(hex, path), MOTET_OK);
    assert_string_equal(hex, CASES[7].digest);
    unlink(path);
    assert_int_equal(motet_sha256_file(hex, path), MOTET_E_IO);
    assert_non_null(strstr(motet_error(), path));
    assert_int_equal(motet_sha256_file(hex, "/tmp"), MOTET_E_IO);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_the_standards_digests),
        cmocka_unit_test(hashes_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
