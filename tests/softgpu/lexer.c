#include "tests/softgpu/lexer.h"

#include <stdlib.h>
#include <string.h>

void sg_lexer_start(sg_lexer *lexer, const char *text) {
    lexer->at = text;
    lexer->line = 1;
}

static bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

static bool starts_word(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || c == '%' ||
           c == '.';
}

static bool inside_word(char c) {
    return (starts_word(c) && c != '%') || is_digit(c);
}

/* White space and comments. False: a comment that does not end. */
static bool skip_blank(sg_lexer *lexer) {
    for (;;) {
        const char *at = lexer->at;
        if (*at == '\n') {
            lexer->line++;
            lexer->at++;
        } else if (*at == ' ' || *at == '\t' || *at == '\r') {
            lexer->at++;
        } else if (at[0] == '/' && at[1] == '/') {
            lexer->at += strcspn(at, "\n");
        } else if (at[0] == '/' && at[1] == '*') {
            const char *end = strstr(at + 2, "*/");
            if (!end) return false;
            for (; at < end; at++)
                lexer->line += *at == '\n';
            lexer->at = end + 2;
        } else {
            return true;
        }
    }
}

static int hex_value(char c) {
    if (is_digit(c)) return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* Digits of base 2, 8, 10 or 16; false if there is none or they are beyond 64 bits. */
static bool read_integer(uint64_t *value, const char **at, unsigned base) {
    const char *start = *at;
    *value = 0;
    for (int digit; (digit = hex_value(**at)) >= 0 && (unsigned)digit < base; ++*at)
        if (__builtin_mul_overflow(*value, (uint64_t)base, value) ||
            __builtin_add_overflow(*value, (uint64_t)digit, value))
            return false;
    return *at > start;
}

static bool read_number(sg_token *token, const char **at) {
    const char *start = *at;
    token->literal = SG_INTEGER;
    if (start[0] == '0' && strchr("fFdD", start[1]) && start[1] && hex_value(start[2]) >= 0) {
        const bool single = start[1] == 'f' || start[1] == 'F';
        *at += 2;
        token->literal = single ? SG_F32_BITS : SG_F64_BITS;
        return read_integer(&token->bits, at, 16) && *at - start == (single ? 10 : 18);
    }
    if (start[0] == '0' && (start[1] == 'x' || start[1] == 'X')) {
        *at += 2;
        if (!read_integer(&token->bits, at, 16)) return false;
    } else if (start[0] == '0' && (start[1] == 'b' || start[1] == 'B')) {
        *at += 2;
        if (!read_integer(&token->bits, at, 2)) return false;
    } else {
        const char *digits = start + strspn(start, "0123456789");
        if (*digits == '.' || *digits == 'e' || *digits == 'E') { /* PTX: a double */
            char *end;
            const double value = strtod(start, &end);
            memcpy(&token->bits, &value, sizeof value);
            token->literal = SG_F64_BITS;
            *at = end;
        } else if (!read_integer(&token->bits, at, start[0] == '0' ? 8 : 10)) {
            return false;
        }
    }
    if (token->literal == SG_INTEGER && **at == 'U') ++*at;
    return !inside_word(**at);
}

void sg_lexer_next(sg_token *token, sg_lexer *lexer) {
    const bool ended = !skip_blank(lexer);
    const char *at = lexer->at;
    *token = (sg_token){.kind = SG_TOKEN_BAD, .text = at, .length = 1, .line = lexer->line};
    if (ended) return;
    if (!*at) {
        token->kind = SG_TOKEN_END;
        token->length = 0;
        return;
    }
    if (starts_word(*at)) {
        token->kind = SG_TOKEN_WORD;
        for (at++;; at++) {
            if (at[0] == ':' && at[1] == ':' && inside_word(at[2]))
                at++;
            else if (!inside_word(*at))
                break;
        }
    } else if (is_digit(*at)) {
        if (read_number(token, &at))
            token->kind = SG_TOKEN_NUMBER;
        else if (at == token->text)
            at++;
    } else if (*at == '"') {
        const char *end = at + 1;
        for (; *end && *end != '"' && *end != '\n'; end++)
            if (*end == '\\' && end[1] == '"') end++;
        lexer->at = end + (*end == '"');
        if (*end == '"') token->kind = SG_TOKEN_STRING;
        token->text = at + 1;
        token->length = (int)(end - at - 1);
        return;
    } else {
        if (strchr("{}[](),;:+-@!|<>=", *at)) token->kind = SG_TOKEN_MARK;
        token->mark = *at++;
    }
    token->length = (int)(at - token->text);
    lexer->at = at;
}
