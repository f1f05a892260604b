/* piipattern.h - what in a text points to a person, or opens a door (docs/transforms.md lists the
 * forms): addresses, numbers with their check digits, keys and tokens.
 *
 * By hand and linear: at one place at most a few hundred bytes are looked at (a private key in PEM
 * excepted). Text must be valid UTF-8. Nothing is kept.
 */
#ifndef DS_PIIPATTERN_H
#define DS_PIIPATTERN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ds_pii {
    DS_PII_EMAIL,
    DS_PII_PHONE,
    DS_PII_CARD,
    DS_PII_IBAN,
    DS_PII_IP,
    DS_PII_CN_ID,
    DS_PII_US_SSN,
    DS_PII_ES_DNI,
    DS_PII_DE_TAX,
    DS_PII_FR_NIR,
    DS_PII_UK_NHS,
    DS_PII_SECRET,
    DS_PII_NAME, /* from a list: piinames.h */
    DS_NPII
};
extern const char *const ds_pii_names[]; /* "email"; NULL at the end */

#define DS_PII_ALL_IPS 0x80000000u /* beside the bits 1 << enum ds_pii: private addresses too */

typedef struct ds_piimatch {
    enum ds_pii kind;
    size_t at, end;
} ds_piimatch;

/* The first match that begins at `from` or behind; false when there is none. */
bool ds_pii_next(const uint8_t *p, size_t len, size_t from, unsigned kinds, ds_piimatch *m);
/* The text ends where a private key begins: what follows it, the key, lies elsewhere. */
bool ds_pii_opens_key(const uint8_t *p, size_t len);
/* A match in the form in which equal ones are equal: without separators, in one case. At most
 * `cap` bytes, of which it has no more than the match; returns how many. */
size_t ds_pii_plain(const uint8_t *p, size_t len, enum ds_pii kind, uint8_t *out, size_t cap);

#endif
