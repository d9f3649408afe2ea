#include "train/run_scalars.h"

#include <string.h>

static void visit(const json_t *object, const char **names, int depth, motet_scalar_fn *hear,
                  void *user) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)object, key, value) {
        names[depth] = key;
        if (json_is_number(value))
            hear(user, names, depth + 1, json_number_value(value));
        else if (json_is_object(value) && depth + 1 < MOTET_SCALAR_DEPTH)
            visit(value, names, depth + 1, hear, user);
    }
}

typedef struct but_step {
    motet_scalar_fn *hear;
    void *user;
} but_step;

static void pass_on(void *user, const char *const *names, int depth, double value) {
    const but_step *next = user;
    if (depth == 2 && !strcmp(names[1], "step")) return;
    next->hear(next->user, names, depth, value);
}

void motet_run_scalars(const json_t *line, motet_scalar_fn *hear, void *user) {
    const char *names[MOTET_SCALAR_DEPTH] = {json_string_value(json_object_get(line, "kind"))};
    but_step next = {hear, user};
    if (names[0]) visit(line, names, 1, pass_on, &next);
}
