/* textrules.h - sets of rules that say whether a text is worth keeping, with the thresholds of the
 * papers and pipelines that they come from (docs/transforms.md has the table).
 *
 * A ds_textrules is read only once made and shared by threads; a ds_textjudge (zeroed at first)
 * belongs to one.
 */
#ifndef DS_TEXTRULES_H
#define DS_TEXTRULES_H

#include <jansson.h>

#include "c4lines.h"
#include "textmeasure.h"

/* In the order in which they are looked at: the first that fails is the reason. */
enum ds_rule {
    DS_RULE_BYTES_MIN,
    DS_RULE_BYTES_MAX,
    DS_RULE_CHARS_MIN,
    DS_RULE_CHARS_MAX,
    DS_RULE_WORDS_MIN,
    DS_RULE_WORDS_MAX,
    DS_RULE_G_WORDS_MIN,
    DS_RULE_G_WORDS_MAX,
    DS_RULE_G_LENGTH_MIN,
    DS_RULE_G_LENGTH_MAX,
    DS_RULE_G_HASHES,
    DS_RULE_G_ELLIPSES,
    DS_RULE_G_BULLETS,
    DS_RULE_G_ELLIPSIS_ENDS,
    DS_RULE_G_ALPHA,
    DS_RULE_G_STOP_WORDS,
    DS_RULE_R_PARAS,
    DS_RULE_R_PARA_CHARS,
    DS_RULE_R_LINES,
    DS_RULE_R_LINE_CHARS,
    DS_RULE_R_TOP2,
    DS_RULE_R_TOP3,
    DS_RULE_R_TOP4,
    DS_RULE_R_DUP5,
    DS_RULE_R_DUP6,
    DS_RULE_R_DUP7,
    DS_RULE_R_DUP8,
    DS_RULE_R_DUP9,
    DS_RULE_R_DUP10,
    DS_RULE_C_WORD_CHARS, /* these five drop lines, not documents */
    DS_RULE_C_LINE_WORDS,
    DS_RULE_C_PUNCTUATION,
    DS_RULE_C_JAVASCRIPT,
    DS_RULE_C_POLICY,
    DS_RULE_C_LOREM_IPSUM,
    DS_RULE_C_CURLY_BRACKET,
    DS_RULE_C_SENTENCES,
    DS_RULE_F_EMPTY,
    DS_RULE_F_ENDED_LINES,
    DS_RULE_F_SHORT_LINES,
    DS_RULE_F_DUP_CHARS,
    DS_RULE_F_NEWLINES,
    DS_NRULES
};

const char *ds_rule_name(unsigned rule); /* "gopher.words_min" */

typedef struct ds_textrules {
    double limit[DS_NRULES];
    bool on[DS_NRULES];
    bool rewrites; /* C4's: lines go, so the text changes */
} ds_textrules;

/* Switches the rules of a preset on. DS_USAGE for a name that is none. */
int ds_textrules_preset(ds_textrules *r, const char *name, ds_err *err);
/* "gopher.words_min=20", or "=off". */
int ds_textrules_set(ds_textrules *r, const char *assignment, ds_err *err);
void ds_textrules_limit(ds_textrules *r, enum ds_rule rule, double limit);
/* DS_USAGE where a least is above the most of the same: no text would pass. */
int ds_textrules_check(const ds_textrules *r, ds_err *err);
bool ds_textrules_any(const ds_textrules *r);
/* {"gopher.words_min":50,...}, those that are on; NULL when out of memory. */
json_t *ds_textrules_json(const ds_textrules *r);

typedef struct ds_textjudge {
    ds_textmeasure m;
    ds_c4lines c4;
    double found;        /* what the failing rule measured */
    const uint8_t *text; /* when the rules rewrite: what the text became; lent until the next */
    size_t len;
} ds_textjudge;

/* *rule is the one that fails, or -1. */
int ds_textjudge_text(ds_textjudge *j, const ds_textrules *r, const ds_textclass *c,
                      const uint8_t *p, size_t len, int *rule, ds_err *err);
void ds_textjudge_fini(ds_textjudge *j);

#endif
