/* promptinit.c - see promptinit.h. */
#include "promptinit.h"
#include "io.h"

#include <stdlib.h>
#include <string.h>

#include "net_priv.h"
#include "philox.h"

#define STREAM UINT64_C(0x70726f6d7074) /* of random numbers */
#define DEVIATION 0.02f

int ds_prompt_ids(ds_ids *ids, const char *model, const char *text, ds_err *err)
{
    char path[DS_PATH];
    ds_tok *tok = NULL;
    ds_tok_state *st = NULL;
    int rc = 0;

    TRY(ds_path_join(path, model, "tokenizer.json", err));
    rc = ds_tok_load(&tok, path, err);
    rc = rc ? rc : ds_tok_state_new(&st, tok, err);
    rc = rc ? rc : ds_tok_encode(tok, st, text, strlen(text), DS_TOK_NO_SPECIAL, ids, err);
    if (!rc && !ids->n)
        rc = ds_fail(err, DS_USAGE, "--prompt-init: the text has no tokens");
    ds_tok_state_free(st);
    ds_tok_free(tok);
    return rc;
}

static int from_rows(ds_net *net, const uint32_t *ids, size_t n, uint64_t seed, ds_err *err)
{
    ds_params *p = &net->params;
    ds_param *prompt = net->prompt;
    const int64_t d = prompt->cols, vocab = net->embed->rows;
    float *table = NULL, *rows = malloc((size_t)ds_param_count(prompt) * sizeof *rows);
    int rc = rows ? ds_param_get(p, net->embed, &table, err) : ds_fail_nomem(err);

    for (int64_t i = 0; !rc && i < prompt->rows; i++) {
        const uint32_t id =
            n ? ids[(size_t)i % n] : ds_philox(seed, STREAM, (uint64_t)i) % (uint32_t)vocab;
        if ((int64_t)id >= vocab)
            rc = ds_fail(err, DS_FAIL,
                         "--prompt-init: token %u is not in the model's vocabulary of %d", id,
                         (int)vocab);
        else
            memcpy(rows + i * d, table + (int64_t)id * d, (size_t)d * sizeof *rows);
    }
    rc = rc ? rc : ds_param_set(p, prompt, rows, err);
    free(table);
    free(rows);
    return rc;
}

int ds_prompt_fill(ds_net *net, enum ds_prompt_init init, const uint32_t *ids, size_t n,
                   uint64_t seed, ds_err *err)
{
    if (init == DS_PROMPT_RANDOM)
        return ds_param_normal(&net->params, net->prompt, DEVIATION, seed, err);
    return from_rows(net, ids, init == DS_PROMPT_TEXT ? n : 0, seed, err);
}
