/* dicomcursor.h - what a worker wrote, taken up again piece by piece: bytes of a process that may
 * have been led astray, so every length is checked. */
#ifndef DS_DICOMCURSOR_H
#define DS_DICOMCURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct cursor {
    const uint8_t *p;
    size_t len, at;
    bool bad;
} cursor;

/* The next n bytes; NULL, and bad from then on, when there are not so many. */
static inline const uint8_t *take(cursor *c, size_t n)
{
    if (c->bad || n > c->len - c->at) {
        c->bad = true;
        return NULL;
    }
    c->at += n;
    return c->p + c->at - n;
}

#endif
