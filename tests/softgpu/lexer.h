/* lexer: PTX text as tokens. A word keeps its dots: "ld.global.v4.f32", "%tid.x", ".reg" are one
 * token each, since what a dot separates depends on where the word stands. Comments vanish.
 */
#ifndef SOFTGPU_LEXER_H
#define SOFTGPU_LEXER_H

#include "tests/softgpu/ptx.h"

typedef enum sg_token_kind {
    SG_TOKEN_END,
    SG_TOKEN_WORD,   /* [A-Za-z_$%.][A-Za-z0-9_$.]*, and :: inside */
    SG_TOKEN_NUMBER, /* bits, literal */
    SG_TOKEN_STRING, /* text between the quotes */
    SG_TOKEN_MARK,   /* one character: mark */
    SG_TOKEN_BAD,    /* a character, number or string that PTX does not have */
} sg_token_kind;

typedef struct sg_token {
    sg_token_kind kind;
    const char *text; /* in the source; not ended by NUL */
    int length, line;
    char mark;
    sg_literal literal;
    uint64_t bits;
} sg_token;

typedef struct sg_lexer {
    const char *at;
    int line;
} sg_lexer;

void sg_lexer_start(sg_lexer *lexer, const char *text);
void sg_lexer_next(sg_token *token, sg_lexer *lexer);

#endif
