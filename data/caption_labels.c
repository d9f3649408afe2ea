/* caption_labels: genre, mood and composer in words, from what came with the file. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "data/caption_parts.h"

#define SAY(slot, ...) snprintf(slots->text[MOTET_SLOT_##slot], MOTET_SLOT_BYTES, __VA_ARGS__)

/* Length of the UTF-8 character at text, 0 if it is broken, overlong or a control. */
static int character(const unsigned char *text) {
    if (text[0] < 0x80) return text[0] >= 0x20 && text[0] != 0x7f;
    int length = text[0] >= 0xc2 && text[0] < 0xe0   ? 2
                 : text[0] >= 0xe0 && text[0] < 0xf0 ? 3
                 : text[0] >= 0xf0 && text[0] < 0xf5 ? 4
                                                     : 0;
    for (int i = 1; i < length; i++)
        if ((text[i] & 0xc0) != 0x80) return 0;
    if (text[0] == 0xe0 && text[1] < 0xa0) return 0;
    if (text[0] == 0xed && text[1] >= 0xa0) return 0;
    if (text[0] == 0xf0 && text[1] < 0x90) return 0;
    if (text[0] == 0xf4 && text[1] >= 0x90) return 0;
    return length;
}

void motet_caption_clean(char *out, const char *text, int size) {
    int used = 0, word_end = 0, cut = 0;
    if (size <= 0) return;
    for (const unsigned char *p = (const unsigned char *)(text ? text : ""); *p;) {
        int length = character(p);
        int blank = *p == ' ' || *p == '\t' || *p == '\n' || *p == '\r';
        if (blank || length == 0) { /* runs of blanks become one; what is broken goes */
            if (blank && used && out[used - 1] != ' ') {
                word_end = used;
                if (used + 1 >= size) break;
                out[used++] = ' ';
            }
            p++;
            continue;
        }
        if (used + length >= size) {
            cut = 1;
            break;
        }
        memcpy(out + used, p, (size_t)length);
        used += length;
        p += length;
    }
    if (cut && word_end) used = word_end;
    while (used && out[used - 1] == ' ')
        used--;
    out[used] = 0;
}

static int has_word(const char *text, const char *word) {
    size_t length = strlen(word);
    for (const char *p = text; *p; p++) {
        if (p > text && isalpha((unsigned char)p[-1])) continue;
        if (strncasecmp(p, word, length) == 0 && !isalpha((unsigned char)p[length])) return 1;
    }
    return 0;
}

/* Forms that a title names, in the languages of titles. */
static const char *form_of_title(const char *title) {
    static const char *const forms[][2] = {
        {"waltz", "waltz"},
        {"valse", "waltz"},
        {"walzer", "waltz"},
        {"minuet", "minuet"},
        {"menuet", "minuet"},
        {"menuett", "minuet"},
        {"minuetto", "minuet"},
        {"march", "march"},
        {"marche", "march"},
        {"marsch", "march"},
        {"fugue", "fugue"},
        {"fuga", "fugue"},
        {"prelude", "prelude"},
        {"praeludium", "prelude"},
        {"etude", "etude"},
        {"\xc3\xa9tude", "etude"},
        {"study", "study"},
        {"sonata", "sonata movement"},
        {"sonate", "sonata movement"},
        {"sonatina", "sonatina"},
        {"sonatine", "sonatina"},
        {"rondo", "rondo"},
        {"nocturne", "nocturne"},
        {"mazurka", "mazurka"},
        {"polonaise", "polonaise"},
        {"gavotte", "gavotte"},
        {"sarabande", "sarabande"},
        {"allemande", "allemande"},
        {"courante", "courante"},
        {"gigue", "gigue"},
        {"bourr\xc3\xa9"
         "e",
         "bourree"},
        {"bourree", "bourree"},
        {"jig", "jig"},
        {"reel", "reel"},
        {"hornpipe", "hornpipe"},
        {"polka", "polka"},
        {"strathspey", "strathspey"},
        {"lullaby", "lullaby"},
        {"wiegenlied", "lullaby"},
        {"berceuse", "lullaby"},
        {"barcarolle", "barcarolle"},
        {"serenade", "serenade"},
        {"s\xc3\xa9r\xc3\xa9nade", "serenade"},
        {"st\xc3\xa4ndchen", "serenade"},
        {"tango", "tango"},
        {"rag", "rag"},
        {"invention", "invention"},
        {"sinfonia", "sinfonia"},
        {"toccata", "toccata"},
        {"canon", "canon"},
        {"fantasia", "fantasia"},
        {"scherzo", "scherzo"},
        {"romance", "romance"},
        {"romanze", "romance"},
        {"ballad", "ballad"},
        {"ballade", "ballad"},
        {"hymn", "hymn"},
        {"carol", "carol"},
        {"aria", "aria"},
        {"ecossaise", "ecossaise"},
        {"bagatelle", "bagatelle"},
        {"siciliano", "siciliano"},
        {"tarantella", "tarantella"},
        {"tarentelle", "tarantella"},
        {"bolero", "bolero"},
    };
    if (title)
        for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
            if (has_word(title, forms[i][0])) return forms[i][1];
    return NULL;
}

/* What the first part of a kind ("Baroque, Harpsichord, Piano") says, as an adjective and a noun;
 * the rest names instruments as the score asks for them, not as the file plays them. */
static void read_kind(const char **adjective, const char **noun, const char *kind, motet_rng *rng) {
    static const char *const songs[] = {"art song", "art song", "song", "lied"};
    static const char *const chorales[] = {"chorale", "chorale", "hymn"};
    static const char *const studies[] = {"technical study", "study", "exercise"};
    static const char *const romantic[] = {"romantic", "Romantic", "19th-century"};
    static const char *const popular[] = {"popular", "dance"};
    char part[32];
    size_t length = strcspn(kind, ",;(");
    if (length >= sizeof part) return;
    memcpy(part, kind, length);
    part[length] = 0;
    if (has_word(part, "art song"))
        *noun = MOTET_PICK(rng, songs);
    else if (has_word(part, "chorale"))
        *noun = MOTET_PICK(rng, chorales);
    else if (has_word(part, "hymn"))
        *noun = "hymn";
    else if (has_word(part, "march"))
        *noun = "march";
    else if (has_word(part, "technique"))
        *noun = MOTET_PICK(rng, studies);
    else if (has_word(part, "song"))
        *noun = "song";
    else if (has_word(part, "baroque"))
        *adjective = "baroque";
    else if (has_word(part, "classical"))
        *adjective = "classical";
    else if (has_word(part, "romantic") || has_word(part, "romanticism") ||
             has_word(part, "romantique"))
        *adjective = MOTET_PICK(rng, romantic);
    else if (has_word(part, "renaissance"))
        *adjective = "renaissance";
    else if (has_word(part, "modern"))
        *adjective = "modern";
    else if (has_word(part, "folk"))
        *adjective = "folk";
    else if (has_word(part, "jazz"))
        *adjective = "jazz";
    else if (has_word(part, "gospel"))
        *adjective = "gospel";
    else if (has_word(part, "popular"))
        *adjective = MOTET_PICK(rng, popular);
    else if (form_of_title(part))
        *noun = form_of_title(part);
    if (*noun == NULL && has_word(kind, "string quartet")) *noun = "string quartet";
}

/* Whether a genre can stand alone as a noun: "a bossa nova", but not "a reggae". */
static int stands_alone(const char *genre) {
    static const char *const nouns[] = {"song",    "bossa nova", "samba",      "rumba",   "mambo",
                                        "beguine", "foxtrot",    "fox trot",   "cha cha", "blues",
                                        "air",     "ballad",     "merengue",   "calypso", "tune",
                                        "dance",   "slip jig",   "quickstep",  "ballade", "anthem",
                                        "groove",  "two-step",   "schottische"};
    const char *last = strrchr(genre, ' ');
    last = last ? last + 1 : genre;
    if (form_of_title(last)) return 1;
    for (size_t i = 0; i < sizeof nouns / sizeof *nouns; i++)
        if (strcasecmp(genre, nouns[i]) == 0 || strcasecmp(last, nouns[i]) == 0) return 1;
    return 0;
}

static void say_noun(motet_slots *slots, const motet_labels *labels, motet_rng *rng) {
    static const char *const plain[] = {"piece",       "piece", "piece",          "tune",
                                        "composition", "track", "piece of music", "number"};
    static const char *const tails[] = {"piece", "piece", "tune", "track", "number"};
    const char *adjective = NULL, *noun = NULL;
    char genre[48] = "";
    SAY(NOUN, "%s", MOTET_PICK(rng, plain));
    if (!labels || motet_chance(rng, 20)) return;
    motet_caption_clean(genre, labels->genre, sizeof genre);
    if (genre[0]) {
        if (stands_alone(genre) && motet_chance(rng, 80))
            SAY(NOUN, "%s", genre);
        else
            SAY(NOUN, "%s %s", genre, MOTET_PICK(rng, tails));
        return;
    }
    if (labels->kind) read_kind(&adjective, &noun, labels->kind, rng);
    const char *form = form_of_title(labels->title);
    if (form && (!noun || motet_chance(rng, 50))) noun = form;
    if (adjective && noun && motet_chance(rng, 30)) adjective = NULL;
    if (!noun && !adjective) return;
    if (!noun) noun = MOTET_PICK(rng, tails);
    SAY(NOUN, "%s%s%s", adjective ? adjective : "", adjective ? " " : "", noun);
}

/* Moods that tempo and mode suggest to most listeners; [slow, medium, fast][major, minor]. */
static const char *const suggested[3][2][8] = {
    {{"calm", "peaceful", "gentle", "tender", "serene", "warm", "soothing", "dreamy"},
     {"sad", "melancholy", "mournful", "sombre", "dark", "wistful", "gloomy", "sorrowful"}},
    {{"pleasant", "friendly", "easygoing", "warm", "hopeful", "sweet", "graceful", "good-natured"},
     {"pensive", "moody", "serious", "wistful", "melancholic", "brooding", "bittersweet", "dark"}},
    {{"cheerful", "happy", "bright", "joyful", "sunny", "playful", "merry", "jolly"},
     {"restless", "dramatic", "driving", "agitated", "intense", "fiery", "stormy", "urgent"}}};

static void say_mood(motet_slots *slots, const motet_analysis *analysis, const motet_labels *labels,
                     motet_rng *rng) {
    char mood[64] = "";
    if (labels) motet_caption_clean(mood, labels->mood, sizeof mood);
    if (mood[0]) { /* one of a list */
        int items = 1;
        for (const char *p = mood; *p; p++)
            items += *p == ',' || *p == ';';
        const char *item = mood;
        for (int skip = (int)motet_rng_below(rng, (uint32_t)items); skip > 0; skip--)
            item += strcspn(item, ",;") + 1;
        item += strspn(item, " ");
        SAY(MOOD, "%.*s", (int)strcspn(item, ",;"), item);
        return;
    }
    double bpm = analysis->tempo_bpm;
    int speed = bpm < 84 ? 0 : bpm < 128 ? 1 : 2;
    if (analysis->key >= 24 || analysis->key_clearness < MOTET_CLEAR_KEY || motet_chance(rng, 60))
        return;
    SAY(MOOD, "%s", suggested[speed][analysis->key >= 12][motet_rng_below(rng, 8)]);
}

/* "Franz Schubert" -> "Schubert"; "BachJS" -> "Bach"; "" when there is no one name to say. */
static void surname(char *out, int size, const char *composer) {
    char name[80];
    out[0] = 0;
    motet_caption_clean(name, composer, sizeof name);
    name[strcspn(name, "(,;")] = 0; /* years; and "Bach, J. S." has its surname first */
    size_t length = strlen(name);
    while (length && name[length - 1] == ' ')
        name[--length] = 0;
    if (strpbrk(name, "/&0123456789?") || has_word(name, "and") || has_word(name, "anonymous") ||
        has_word(name, "traditional") || has_word(name, "anon") || has_word(name, "trad") ||
        has_word(name, "unknown"))
        return;
    char *space = strrchr(name, ' ');
    const char *word = space ? space + 1 : name;
    length = strlen(word);
    if (length < 3 || strchr(word, '.')) return;
    if (!space && strchr(word, '-') && strncmp(word, "Mendelssohn", 11) == 0) length = 11;
    for (size_t i = 3; !space && i < length; i++) {
        if (!isupper((unsigned char)word[i]) || !islower((unsigned char)word[i - 1])) continue;
        if (length - i > 4) return; /* two names in one, as in "RougetdeLisleCJ" */
        length = i;                 /* initials behind the name */
    }
    snprintf(out, (size_t)size, "%.*s", (int)length, word);
}

static void say_style(motet_slots *slots, const motet_labels *labels, motet_rng *rng) {
    char name[80], full[80];
    if (!labels || !labels->composer) return;
    surname(name, sizeof name, labels->composer);
    if (!name[0]) return;
    motet_caption_clean(full, labels->composer, sizeof full);
    if (strchr(full, ' ') && !strpbrk(full, "(,;") && motet_chance(rng, 30))
        memcpy(name, full, sizeof name);
    static const char *const ways[] = {
        "in the style of %s",  "in the style of %s",          "like %s", "in the manner of %s",
        "that sounds like %s", "as %s might have written it", "after %s"};
    SAY(COMPOSER, "%s", name);
    SAY(STYLE, MOTET_PICK(rng, ways), name);
}

void motet_caption_labels(motet_slots *slots, const motet_analysis *analysis,
                          const motet_labels *labels, motet_rng *rng) {
    say_noun(slots, labels, rng);
    say_mood(slots, analysis, labels, rng);
    say_style(slots, labels, rng);
}
