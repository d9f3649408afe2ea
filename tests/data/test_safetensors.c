#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "data/file.h"
#include "data/safetensors.h"
#include "data/sha256.h"

static char folder[] = "/tmp/motet_safetensors_XXXXXX", path[64];

static int make_folder(void **state) {
    (void)state;
    if (!mkdtemp(folder)) return -1;
    snprintf(path, sizeof path, "%s/m.safetensors", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails if a temporary file was left behind */
}

/* A file of one header and so many zero bytes; the caller frees it. */
static unsigned char *file_of(size_t *size, const char *header, size_t data) {
    size_t length = strlen(header);
    *size = 8 + length + data;
    unsigned char *bytes = calloc(1, *size);
    assert_non_null(bytes);
    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)((uint64_t)length >> 8 * i);
    memcpy(bytes + 8, header, length);
    return bytes;
}

static motet_status open_text(motet_safetensors **file, unsigned char **bytes, const char *header,
                              size_t data) {
    size_t size;
    *bytes = file_of(&size, header, data);
    return motet_safetensors_open_bytes(file, *bytes, size, "m.safetensors");
}

static void returns_what_was_written(void **state) {
    (void)state;
    float f[3] = {1.5f, -2, 3}, scales[2] = {.5f, .25f}, scalar = 7;
    uint16_t b[6] = {1, 2, 3, 4, 5, 6};
    int8_t q[6] = {1, -2, 3, -127, 127, 0};
    int32_t n[2] = {INT32_MIN, 7};
    motet_tensor matrix = motet_matrix(q, MOTET_I8, 2, 3);
    matrix.scale = scales;
    const motet_named_tensor tensors[] = {
        {"z.first", motet_vector(f, MOTET_F32, 3)},
        {"bf", motet_matrix(b, MOTET_BF16, 3, 2)},
        {"q\"uoted \xc3\xa9", matrix},
        {"n", motet_vector(n, MOTET_I32, 2)},
        {"empty", motet_matrix(NULL, MOTET_F32, 0, 5)},
        {"scalar", (motet_tensor){.data = &scalar, .dtype = MOTET_F32, .rank = 0}},
    };
    const motet_named_text metadata[] = {{"config", "[model]\nwidth = 3\n"}, {"empty", ""}};
    assert_int_equal(motet_safetensors_write(path, tensors, 6, metadata, 2), MOTET_OK);
    motet_safetensors *file;
    if (motet_safetensors_open(&file, path)) fail_msg("%s", motet_error());
    assert_int_equal(motet_safetensors_count(file), 7); /* the scales are one more */
    assert_string_equal(motet_safetensors_name(file, 0), "z.first");
    assert_null(motet_safetensors_name(file, 7));
    assert_null(motet_safetensors_name(file, -1));
    assert_string_equal(motet_safetensors_meta(file, "config"), "[model]\nwidth = 3\n");
    assert_string_equal(motet_safetensors_meta(file, "empty"), "");
    assert_null(motet_safetensors_meta(file, "absent"));
    for (int i = 0; i < 6; i++) {
        motet_tensor t;
        assert_int_equal(motet_safetensors_get(&t, file, tensors[i].name), MOTET_OK);
        assert_int_equal(t.dtype, tensors[i].tensor.dtype);
        assert_int_equal(t.rank, tensors[i].tensor.rank);
        for (int k = 0; k < t.rank; k++)
            assert_int_equal(t.dims[k], tensors[i].tensor.dims[k]);
        size_t bytes = (size_t)motet_tensor_count(t) * motet_dtype_bytes(t.dtype);
        if (bytes) assert_memory_equal(t.data, tensors[i].tensor.data, bytes);
        assert_int_equal((uintptr_t)t.data % 64, 0); /* mapped pages begin at multiples of it */
        if (t.dtype == MOTET_I8) assert_memory_equal(t.scale, scales, sizeof scales);
    }
    motet_tensor t;
    assert_int_equal(motet_safetensors_get(&t, file, "absent"), MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), "absent"));
    char hex[MOTET_SHA256_HEX];
    assert_int_equal(motet_sha256_file(hex, path), MOTET_OK);
    hex[16] = 0;
    assert_string_equal(motet_safetensors_hash(file), hex);
    assert_string_equal(motet_safetensors_hash(file), hex);
    motet_safetensors_close(file);
    motet_safetensors_close(NULL);
}

/* A file that carries its own SHA-256: that of the file with zeros in place of the digits. */
static void knows_its_own_hash(void **state) {
    (void)state;
    float values[5000];
    for (int i = 0; i < 5000; i++)
        values[i] = (float)i;
    const motet_named_tensor tensors[] = {{"a", motet_vector(values, MOTET_F32, 5000)}};
    const motet_named_text sealed[] = {{"decoy", "\"motet.sha256\":\"0000"},
                                       {MOTET_SAFETENSORS_SEAL, NULL}};
    motet_safetensors *file;
    unsigned char *bytes;
    size_t size;
    assert_int_equal(motet_safetensors_write(path, tensors, 1, sealed, 2), MOTET_OK);
    assert_int_equal(motet_safetensors_open(&file, path), MOTET_OK);
    assert_int_equal(motet_safetensors_verify(file, 1), MOTET_OK);
    const char *seal = motet_safetensors_meta(file, MOTET_SAFETENSORS_SEAL);
    assert_int_equal(strlen(seal), 64);
    assert_memory_equal(motet_safetensors_hash(file), seal, 16);
    assert_int_equal(motet_file_read(&bytes, &size, path, 1 << 20), MOTET_OK);
    unsigned char *at = memmem(bytes, size, seal, 64), digest[MOTET_SHA256_BYTES];
    char hex[MOTET_SHA256_HEX];
    assert_non_null(at);
    memset(at, '0', 64);
    motet_sha256 hash;
    motet_sha256_init(&hash);
    motet_sha256_update(&hash, bytes, size);
    motet_sha256_final(digest, &hash);
    motet_sha256_hex(hex, digest);
    assert_string_equal(hex, seal);
    motet_safetensors_close(file);
    for (size_t bit = 0; bit < 8 * size; bit += 1 + size / 100) {
        memcpy(at, hex, 64);
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        if (motet_safetensors_open_bytes(&file, bytes, size, "flipped") == MOTET_OK) {
            assert_int_equal(motet_safetensors_verify(file, 1), MOTET_E_DATA);
            motet_safetensors_close(file);
        }
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    free(bytes);

    assert_int_equal(motet_safetensors_write(path, tensors, 1, sealed, 1), MOTET_OK);
    assert_int_equal(motet_safetensors_open(&file, path), MOTET_OK);
    assert_int_equal(motet_safetensors_verify(file, 0), MOTET_OK);
    assert_int_equal(motet_safetensors_verify(file, 1), MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), "motet.sha256"));
    motet_safetensors_close(file);
    const motet_named_text given = {MOTET_SAFETENSORS_SEAL, "00"}, none = {"other", NULL};
    assert_int_equal(motet_safetensors_write(path, tensors, 1, &given, 1), MOTET_E_USAGE);
    assert_int_equal(motet_safetensors_write(path, tensors, 1, &none, 1), MOTET_E_USAGE);
}

static void writes_no_nonsense(void **state) {
    (void)state;
    float f[2] = {0};
    motet_tensor v = motet_vector(f, MOTET_F32, 2), i8 = motet_matrix(f, MOTET_I8, 2, 4);
    motet_tensor negative = motet_vector(f, MOTET_F32, -1);
    motet_tensor huge = motet_matrix(f, MOTET_F32, INT64_MAX / 2, 8);
    const motet_named_tensor twice[] = {{"a", v}, {"a", v}}, meta[] = {{"__metadata__", v}};
    const motet_named_tensor bare[] = {{"q", i8}}, bad[] = {{"n", negative}}, big[] = {{"h", huge}};
    const motet_named_tensor bytes[] = {{"\xff", v}};
    assert_int_equal(motet_safetensors_write(path, twice, 2, NULL, 0), MOTET_E_USAGE);
    assert_int_equal(motet_safetensors_write(path, meta, 1, NULL, 0), MOTET_E_USAGE);
    assert_int_equal(motet_safetensors_write(path, bare, 1, NULL, 0), MOTET_E_USAGE);
    assert_int_equal(motet_safetensors_write(path, bad, 1, NULL, 0), MOTET_E_USAGE);
    assert_int_equal(motet_safetensors_write(path, big, 1, NULL, 0), MOTET_E_USAGE);
    assert_int_equal(motet_safetensors_write(path, bytes, 1, NULL, 0), MOTET_E_USAGE);
    assert_int_equal(motet_safetensors_write("/nowhere/m", twice, 1, NULL, 0), MOTET_E_IO);
    assert_non_null(strstr(motet_error(), "/nowhere/m"));
}

/* Headers that lie, each in one way; `part` has to be in the sentence. */
static const struct {
    const char *header;
    size_t data;
    const char *part;
} LIES[] = {
    {"", 0, "JSON"},
    {"[]", 0, "JSON"},
    {"{", 0, "byte"},
    {"{}x", 0, "byte"},
    {"{\"a\":1}", 0, "'a'"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,8]}}", 8, "data_offsets"},
    {"{\"a\":{\"dtype\":\"Q9\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "Q9"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}", 4, "shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", 4, "dimension"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]}}", 4, "dimension"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]}}", 4, "data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]}}", 4, "data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", 4, "truncated"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,0]}}", 0,
     "shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 8, "belong to no tensor"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}", 8, "belong to no tensor"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},"
     "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}",
     12, "overlap"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
     "\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
     4, "uplicate"},
    {"{\"__metadata__\":{\"k\":1}}", 0, "'k'"},
    {"{\"__metadata__\":7}", 0, "__metadata__"},
    {"{\"a\":{\"dtype\":\"U8\",\"shape\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"
     "\"data_offsets\":[0,1]}}",
     1, "dimensions"},
};

static void refuses_headers_that_lie(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof LIES / sizeof *LIES; i++) {
        motet_safetensors *file = (motet_safetensors *)1;
        unsigned char *bytes;
        char header[512]; /* padded, so that alignment is not what is wrong */
        size_t length = strlen(LIES[i].header);
        snprintf(header, sizeof header, "%s%*s", LIES[i].header, (int)((8 - length % 8) % 8), "");
        if (open_text(&file, &bytes, header, LIES[i].data) != MOTET_E_DATA)
            fail_msg("accepted: %s", LIES[i].header);
        assert_null(file);
        if (!strstr(motet_error(), LIES[i].part) || !strstr(motet_error(), "m.safetensors"))
            fail_msg("%s: %s", LIES[i].header, motet_error());
        free(bytes);
    }
}

static void refuses_misaligned_tensors(void **state) {
    (void)state;
    motet_safetensors *file;
    unsigned char *bytes;
    const char *text = "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}";
    char header[128];
    snprintf(header, sizeof header, "%s%*s", text, (int)((8 - strlen(text) % 8) % 8), "");
    assert_int_equal(open_text(&file, &bytes, header, 4), MOTET_OK);
    motet_safetensors_close(file);
    free(bytes);
    strcat(header, " ");
    assert_int_equal(open_text(&file, &bytes, header, 4), MOTET_E_DATA);
    assert_non_null(strstr(motet_error(), "aligned"));
    free(bytes);
}

static void names_what_it_cannot_use(void **state) {
    (void)state;
    motet_safetensors *file;
    unsigned char *bytes;
    motet_tensor t;
    char header[512];
    int length =
        snprintf(header, sizeof header,
                 "{\"l\":{\"dtype\":\"I64\",\"shape\":[1],\"data_offsets\":[0,8]},"
                 "\"h\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[8,12]},"
                 "\"d\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1],\"data_offsets\":[12,16]},"
                 "\"q\":{\"dtype\":\"I8\",\"shape\":[2,2],\"data_offsets\":[16,20]},"
                 "\"q.scale\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[20,24]}}");
    while (length % 8)
        header[length++] = ' ';
    header[length] = 0;
    assert_int_equal(open_text(&file, &bytes, header, 24), MOTET_OK);
    assert_int_equal(motet_safetensors_get(&t, file, "l"), MOTET_E_UNSUPPORTED);
    assert_non_null(strstr(motet_error(), "I64"));
    assert_int_equal(motet_safetensors_get(&t, file, "h"), MOTET_E_UNSUPPORTED);
    assert_int_equal(motet_safetensors_get(&t, file, "d"), MOTET_E_UNSUPPORTED);
    assert_int_equal(motet_safetensors_get(&t, file, "q"), MOTET_E_DATA); /* one scale, two rows */
    assert_non_null(strstr(motet_error(), "q.scale"));
    motet_safetensors_close(file);
    free(bytes);
}

static void refuses_every_truncation(void **state) {
    (void)state;
    float f[5] = {1, 2, 3, 4, 5};
    const motet_named_tensor tensors[] = {{"a", motet_vector(f, MOTET_F32, 5)},
                                          {"b", motet_vector(f, MOTET_F32, 2)}};
    unsigned char *bytes;
    size_t size;
    motet_safetensors *file;
    assert_int_equal(motet_safetensors_write(path, tensors, 2, NULL, 0), MOTET_OK);
    assert_int_equal(motet_file_read(&bytes, &size, path, 1 << 20), MOTET_OK);
    for (size_t cut = 0; cut < size; cut++) {
        unsigned char *part = malloc(cut + 1); /* exact, so that asan sees a byte too many */
        assert_non_null(part);
        part = realloc(part, cut ? cut : 1);
        memcpy(part, bytes, cut);
        assert_int_equal(motet_safetensors_open_bytes(&file, part, cut, "cut"), MOTET_E_DATA);
        free(part);
    }
    memset(bytes, 0xff, 8); /* a header of 2^64 - 1 bytes */
    assert_int_equal(motet_safetensors_open_bytes(&file, bytes, size, "huge"), MOTET_E_DATA);
    free(bytes);
    assert_int_equal(motet_safetensors_open(&file, "/nowhere/m"), MOTET_E_IO);
    assert_int_equal(motet_safetensors_open(&file, folder), MOTET_E_IO);
    FILE *empty = fopen(path, "w");
    assert_non_null(empty);
    fclose(empty);
    assert_int_equal(motet_safetensors_open(&file, path), MOTET_E_DATA);
}

static void leaves_the_old_file_when_the_disk_is_full(void **state) {
    (void)state;
    static float zeros[100000];
    const motet_named_tensor small[] = {{"a", motet_vector(zeros, MOTET_F32, 5)}};
    const motet_named_tensor large[] = {{"a", motet_vector(zeros, MOTET_F32, 100000)}};
    struct rlimit before, limit;
    assert_int_equal(motet_safetensors_write(path, small, 1, NULL, 0), MOTET_OK);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    limit = (struct rlimit){65536, before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    motet_status status = motet_safetensors_write(path, large, 1, NULL, 0);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, MOTET_E_IO);
    assert_non_null(strstr(motet_error(), path));
    motet_safetensors *file;
    motet_tensor t;
    assert_int_equal(motet_safetensors_open(&file, path), MOTET_OK);
    assert_int_equal(motet_safetensors_get(&t, file, "a"), MOTET_OK);
    assert_int_equal(t.dims[0], 5);
    motet_safetensors_close(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(returns_what_was_written),
        cmocka_unit_test(knows_its_own_hash),
        cmocka_unit_test(writes_no_nonsense),
        cmocka_unit_test(refuses_headers_that_lie),
        cmocka_unit_test(refuses_misaligned_tensors),
        cmocka_unit_test(names_what_it_cannot_use),
        cmocka_unit_test(refuses_every_truncation),
        cmocka_unit_test(leaves_the_old_file_when_the_disk_is_full),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
