/* tok_tmpl.h - chat templates: a subset of Jinja 2, run under limits (docs/chat-templates.md says
 * exactly which).
 *
 * What it renders is what the reference (jinja2 3 with trim_blocks and lstrip_blocks, as
 * transformers sets it up) renders, and every byte of it knows where it came from: the template, or
 * a value of the data. Text from the data stays known as such through all operations on strings.
 * What the subset lacks is refused by name and line when the template is parsed.
 *
 * A parsed template is immutable and shared by threads. Rendering is bounded: 2^24 steps, 256 MiB
 * of memory for values, 256 MiB of output, whatever template and data say; exceeding one is
 * DS_FAIL.
 */
#ifndef DS_TOK_TMPL_H
#define DS_TOK_TMPL_H

#include <jansson.h>
#include <stdbool.h>

#include "buf.h"
#include "error.h"

typedef struct ds_tmpl ds_tmpl;
/* `name` stands for the template in messages. Copies the text. */
int ds_tmpl_parse(ds_tmpl **out, const char *text, size_t len, const char *name, ds_err *err);
void ds_tmpl_free(ds_tmpl *t);

typedef struct ds_tmplvars {
    /* an array; a member "role" that is one of the known roles is trusted */
    const json_t *messages;
    const json_t *tools;   /* an array, or NULL: none */
    const char *bos, *eos; /* "" where there is none */
    bool add_generation_prompt;
} ds_tmplvars;

/* A stretch of the output. */
typedef struct ds_tmplrun {
    size_t end;      /* offset behind its last byte; it begins where the one before ends */
    uint32_t source; /* 0: the template; DS_TMPL_DATA: data; else message source - 1 */
    uint32_t turn;   /* 0, or written in a loop's round for message turn - 1 */
    bool generation; /* inside {% generation %} */
} ds_tmplrun;
#define DS_TMPL_DATA UINT32_MAX

/* Zeroed is valid. */
typedef struct ds_tmplout {
    ds_buf text, runs; /* runs: of ds_tmplrun */
    bool generation;   /* the template marks what a model writes by itself */
} ds_tmplout;
int ds_tmpl_render(const ds_tmpl *t, const ds_tmplvars *vars, ds_tmplout *out, ds_err *err);
void ds_tmplout_fini(ds_tmplout *out);

#endif
