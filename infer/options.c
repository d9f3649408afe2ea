#include "infer/options.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/analysis.h"
#include "data/instrument.h"
#include "kernels/core/nearest.h"

const char motet_options_help[] =
    "motet: words to music. Writes a Standard MIDI File for a prompt.\n"
    "\n"
    "  motet \"a slow waltz in D minor for piano and cello\" -o waltz.mid\n"
    "  motet \"a cheerful jig\" --key \"D major\" --programs flute,guitar --bars 16 --seed 7\n"
    "\n"
    "what to write (what the prompt says in so many words, or a flag, holds exactly)\n"
    "  --bars N  --tempo BPM  --metre 3/4  --key \"D minor\"  --programs piano,cello\n"
    "  --free              the prompt is only heard by the model, nothing is held\n"
    "how to draw\n"
    "  --seed N            repeat a take (default: random, always shown)\n"
    "  --temperature 1  --top-p 1   --min-p 0.1   --top-k 0   --guidance 1.5\n"
    "files\n"
    "  -o, --output FILE   .mid to write, - for standard output (default: named by the prompt)\n"
    "  --svg FILE          piano roll         --wav FILE  sound, through FluidSynth\n"
    "  --soundfont FILE    for --wav          --model FILE  another checkpoint\n"
    "else\n"
    "  --device D          auto (default: a GPU if there is one), cpu, cuda, cuda:N\n"
    "  --json  --quiet  --threads N  --version  -h, --help\n"
    "a prompt of - is read from standard input; -- ends the flags\n"
    "exit codes: 0 done, 2 impossible request, 3 damaged file, 4 input or output failed,\n"
    "            5 out of memory, 6 not available here\n";

enum flag {
    BARS,
    TEMPO,
    METRE,
    KEY,
    PROGRAMS,
    SEED,
    TEMPERATURE,
    TOP_P,
    MIN_P,
    TOP_K,
    GUIDANCE,
    OUTPUT,
    SVG,
    WAV,
    SOUNDFONT,
    MODEL,
    THREADS,
    DEVICE,
    FREE,
    JSON,
    QUIET,
    HELP,
    VERSION,
    FLAGS
};

static const char *const names[FLAGS] = {[BARS] = "--bars",
                                         [TEMPO] = "--tempo",
                                         [METRE] = "--metre",
                                         [KEY] = "--key",
                                         [PROGRAMS] = "--programs",
                                         [SEED] = "--seed",
                                         [TEMPERATURE] = "--temperature",
                                         [TOP_P] = "--top-p",
                                         [MIN_P] = "--min-p",
                                         [TOP_K] = "--top-k",
                                         [GUIDANCE] = "--guidance",
                                         [OUTPUT] = "--output",
                                         [SVG] = "--svg",
                                         [WAV] = "--wav",
                                         [SOUNDFONT] = "--soundfont",
                                         [MODEL] = "--model",
                                         [THREADS] = "--threads",
                                         [DEVICE] = "--device",
                                         [FREE] = "--free",
                                         [JSON] = "--json",
                                         [QUIET] = "--quiet",
                                         [HELP] = "--help",
                                         [VERSION] = "--version"};

static motet_status read_number(double *value, const char *flag, const char *text) {
    char *end;
    errno = 0;
    *value = strtod(text, &end);
    if (end == text || *end || errno || *value != *value)
        return MOTET_FAIL(MOTET_E_USAGE, "%s takes a number, not '%.60s'", flag, text);
    return MOTET_OK;
}

static motet_status read_whole(int *value, const char *flag, const char *text, int lowest,
                               int highest) {
    double number;
    MOTET_TRY(read_number(&number, flag, text));
    if (number < lowest || number > highest || number != (int)number)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "%s takes a whole number from %d to %d, not %.60s; the nearest is %d",
                          flag, lowest, highest, text,
                          number > highest  ? highest
                          : number < lowest ? lowest
                                            : (int)(number + 0.5));
    *value = (int)number;
    return MOTET_OK;
}

static motet_status read_seed(uint64_t *seed, const char *text) {
    char *end;
    errno = 0;
    *seed = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)*text) || *end || errno || *seed > INT64_MAX) /* JSON's integers */
        return MOTET_FAIL(MOTET_E_USAGE,
                          "--seed takes a whole number from 0 to 9223372036854775807, not '%.60s'",
                          text);
    return MOTET_OK;
}

static motet_status read_metre(motet_facts *facts, const char *text) {
    int used = 0;
    if (sscanf(text, "%9d/%9d%n", &facts->numerator, &facts->denominator, &used) != 2 ||
        text[used] || facts->numerator == 0)
        return MOTET_FAIL(MOTET_E_USAGE, "--metre takes a metre such as 3/4, not '%.60s'", text);
    return MOTET_OK;
}

static motet_status read_key(motet_facts *facts, const char *text) {
    facts->key = motet_key_parse(text);
    if (facts->key != MOTET_NO_KEY) return MOTET_OK;
    const char *keys[24];
    for (int k = 0; k < 24; k++)
        keys[k] = motet_key_name(k);
    const char *nearest = motet_nearest(text, keys, 24);
    return MOTET_FAIL(MOTET_E_USAGE, "'%.60s' is no key; the nearest is '%s'", text,
                      nearest ? nearest : "C major");
}

static motet_status read_programs(motet_facts *facts, const char *text) {
    for (const char *p = text; *p;) {
        char word[64];
        size_t size = strcspn(p, ",");
        while (size > 0 && *p == ' ')
            p++, size--;
        if (size == 0 && p[size])
            return MOTET_FAIL(MOTET_E_USAGE, "--programs '%.60s' has an empty name before a comma",
                              text);
        snprintf(word, sizeof word, "%.*s", (int)size, p);
        const char *nearest = NULL;
        int program = motet_program_parse(word, &nearest);
        if (program < 0)
            return MOTET_FAIL(MOTET_E_USAGE, "'%s' is no instrument; the nearest is '%s'", word,
                              nearest ? nearest : "piano");
        int known = 0;
        for (int i = 0; i < facts->program_count; i++)
            known |= facts->programs[i] == program;
        if (!known && facts->program_count == 16)
            return MOTET_FAIL(MOTET_E_USAGE, "at most 16 instruments fit into a MIDI file");
        if (!known) facts->programs[facts->program_count++] = (uint8_t)program;
        p += size + (p[size] == ',');
    }
    if (facts->program_count == 0)
        return MOTET_FAIL(MOTET_E_USAGE, "--programs takes instruments such as piano,cello");
    return MOTET_OK;
}

static motet_status read_value(motet_options *options, int flag, const char *value) {
    motet_facts *facts = &options->request.facts;
    motet_sampling *sampling = &options->request.sampling;
    double number = 0;
    switch (flag) {
    case BARS:
        return read_whole(&facts->bars, "--bars", value, 1, MOTET_MAX_BARS);
    case METRE:
        return read_metre(facts, value);
    case KEY:
        return read_key(facts, value);
    case PROGRAMS:
        return read_programs(facts, value);
    case SEED:
        options->seed_given = 1;
        return read_seed(&options->request.seed, value);
    case TOP_K:
        return read_whole(&sampling->top_k, "--top-k", value, 0, 65536);
    case THREADS:
        return read_whole(&options->threads, "--threads", value, 1, 1024);
    case OUTPUT:
        options->output = value;
        return MOTET_OK;
    case SVG:
        options->svg = value;
        return MOTET_OK;
    case WAV:
        options->wav = value;
        return MOTET_OK;
    case SOUNDFONT:
        options->soundfont = value;
        return MOTET_OK;
    case MODEL:
        options->model = value;
        return MOTET_OK;
    case DEVICE:
        options->device = value;
        return MOTET_OK;
    default:
        break;
    }
    MOTET_TRY(read_number(&number, names[flag], value));
    switch (flag) {
    case TEMPO:
        facts->tempo_bpm = number;
        if (number == 0)
            return MOTET_FAIL(MOTET_E_USAGE, "tempo 0 is out of range; the nearest "
                                             "possible is 16");
        break;
    case TEMPERATURE:
        sampling->temperature = (float)number;
        break;
    case TOP_P:
        sampling->top_p = (float)number;
        break;
    case MIN_P:
        sampling->min_p = (float)number;
        break;
    case GUIDANCE:
        sampling->guidance = (float)number;
        break;
    default:
        break;
    }
    return MOTET_OK;
}

static motet_status read_switch(motet_options *options, int flag) {
    switch (flag) {
    case FREE:
        options->request.free = 1;
        break;
    case JSON:
        options->json = 1;
        break;
    case QUIET:
        options->quiet = 1;
        break;
    case HELP:
        options->help = 1;
        break;
    case VERSION:
        options->version = 1;
        break;
    default:
        break;
    }
    return MOTET_OK;
}

static motet_status read_stdin(motet_options *options) {
    size_t size = fread(options->prompt_text, 1, sizeof options->prompt_text - 1, stdin);
    if (size > MOTET_MAX_PROMPT)
        return MOTET_FAIL(MOTET_E_USAGE, "the prompt on standard input is longer than %d bytes",
                          MOTET_MAX_PROMPT);
    if (memchr(options->prompt_text, 0, size))
        return MOTET_FAIL(MOTET_E_USAGE, "the prompt on standard input holds a zero byte");
    while (size > 0 && options->prompt_text[size - 1] == '\n')
        size--;
    options->prompt_text[size] = 0;
    options->request.prompt = options->prompt_text;
    return MOTET_OK;
}

/* The flag that an argument names, "--flag" or "--flag=value"; FLAGS if none. */
static int flag_of(const char *argument, const char **value) {
    if (!strcmp(argument, "-o")) return OUTPUT;
    if (!strcmp(argument, "-h")) return HELP;
    for (int flag = 0; flag < FLAGS; flag++) {
        size_t size = strlen(names[flag]);
        if (strncmp(argument, names[flag], size) != 0) continue;
        if (argument[size] == '=') *value = argument + size + 1;
        if (argument[size] == 0 || argument[size] == '=') return flag;
    }
    return FLAGS;
}

motet_status motet_options_read(motet_options *options, int argc, char **argv) {
    *options = (motet_options){
        .device = "auto",
        .request = {.facts = motet_facts_none(), .sampling = motet_sampling_default()}};
    int words_only = 0;
    for (int i = 1; i < argc; i++) {
        const char *value = NULL;
        if (!words_only && !strcmp(argv[i], "--")) {
            words_only = 1; /* a prompt may begin with a dash */
            continue;
        }
        if (words_only || argv[i][0] != '-' || !argv[i][1]) {
            if (options->request.prompt)
                return MOTET_FAIL(MOTET_E_USAGE,
                                  "there are two prompts, '%.40s' and '%.40s': put quotes around "
                                  "the whole prompt",
                                  options->request.prompt, argv[i]);
            options->request.prompt = argv[i];
            continue;
        }
        int flag = flag_of(argv[i], &value);
        if (flag == FLAGS) {
            const char *nearest = motet_nearest(argv[i], names, FLAGS);
            return MOTET_FAIL(MOTET_E_USAGE, "there is no flag '%.40s'; %s%s", argv[i],
                              nearest ? "the nearest is " : "see motet --help",
                              nearest ? nearest : "");
        }
        if (flag >= FREE) {
            if (value) return MOTET_FAIL(MOTET_E_USAGE, "%s takes no value", names[flag]);
            MOTET_TRY(read_switch(options, flag));
            continue;
        }
        if (!value && i + 1 == argc)
            return MOTET_FAIL(MOTET_E_USAGE, "%s needs a value", names[flag]);
        MOTET_TRY(read_value(options, flag, value ? value : argv[++i]));
    }
    if (options->help || options->version) return MOTET_OK;
    if (!options->request.prompt)
        return MOTET_FAIL(MOTET_E_USAGE,
                          "what shall it be? Try: motet \"a slow waltz in D minor for piano\"");
    if (!strcmp(options->request.prompt, "-")) MOTET_TRY(read_stdin(options));
    return motet_request_check(&options->request);
}
