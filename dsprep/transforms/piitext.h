/* piitext.h - the text that piipattern.h looks through, as its parts see it; theirs alone. */
#ifndef DS_PIITEXT_H
#define DS_PIITEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef struct ds_piitext {
    const uint8_t *p;
    size_t len, from; /* from: where the match before ended; 0: there was none */
    size_t clear;     /* from where it is looked at up to there, there is no @ and no % */
    unsigned kinds;
} ds_piitext;

/* Classes of bytes. */
enum {
    DS_PII_UPPER = 1,
    DS_PII_LOWER = 2,
    DS_PII_DIGIT = 4,
    DS_PII_UNDER = 8,
    DS_PII_HYPHEN = 16,
    DS_PII_SLASH = 32, /* and + */
    DS_PII_MAIL = 64,  /* others that an address of mail may have before its @ */
    DS_PII_WORD = 15
};
extern const uint8_t ds_pii_class[256];

static inline bool digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static inline bool upper(uint8_t c)
{
    return c >= 'A' && c <= 'Z';
}

static inline bool letter(uint8_t c)
{
    return upper((uint8_t)(c & ~0x20));
}

static inline bool wordly(uint8_t c)
{
    return ds_pii_class[c] & DS_PII_WORD;
}

/* The byte there, or 0. */
static inline uint8_t peek(const ds_piitext *t, size_t at)
{
    return at < t->len ? t->p[at] : 0;
}

static inline bool stands(const ds_piitext *t, size_t at, const char *w)
{
    const size_t n = strlen(w);
    return at <= t->len && t->len - at >= n && memcmp(t->p + at, w, n) == 0;
}

/* In the 24 bytes before `at`. */
static inline bool said_before(const ds_piitext *t, size_t at, const char *word)
{
    const size_t n = strlen(word), from = at > 24 ? at - 24 : 0;
    return at - from >= n && memmem(t->p + from, at - from, word, n) != NULL;
}

/* A key or token that begins at `at`: where it ends; 0: there is none. */
size_t ds_pii_secret(const ds_piitext *t, size_t at);

#endif
