/* cmd_resize.c - dstrain resize: rows for new tokens. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd_train.h"
#include "resize.h"
#include "try.h"

static int run(int argc, char **argv);

extern const ds_command ds_train_resize;
const ds_command ds_train_resize = {
    .prog = "dstrain",
    .name = "resize",
    .summary = "give a model rows for new tokens",
    .operands = "",
    .max_operands = 0,
    .example = "dstrain resize --model base/ --add-token '<|patient|>' --add-token '<|report|>' "
               "-o base-2/\n"
               "dsprep tokenize -t base-2/tokenizer.json notes.dsr | dsver commit notes\n"
               "dstrain finetune --model base-2/ --data notes --train-token '<|patient|>' "
               "--train-token '<|report|>' -o runs/1",
    .description =
        "Writes the model with a row of the embedding, and of a head of its own, for every token "
        "that its tokenizer has not had: --add-token says which, as special tokens, or --tokenizer "
        "a tokenizer.json that has them. Where the model has rows to spare these are taken. "
        "A new token's rows are the mean of those of all tokens that were there; all other "
        "numbers stay to the byte, in the format that they have. The weights say in their "
        "metadata from which model they are and which rows are new. A tokenizer that gives the "
        "model's tokens other ids is refused; tokens that were added to it before, as those are "
        "that models have in reserve, may be named anew. Adapters leave these rows as they are, "
        "but for those that dstrain finetune --train-token names.",
    .run = run,
};

static int resize(const ds_resize_conf *c, bool json, ds_err *err)
{
    ds_resize_done d;

    TRY(ds_resize(&d, c, err));
    if (json) {
        printf("{\"type\":\"resize\",\"rows_before\":%" PRId64 ",\"rows\":%" PRId64
               ",\"new_tokens\":%" PRId64,
               d.rows_before, d.rows, d.fresh);
        if (d.fresh)
            printf(",\"first_id\":%" PRId64 ",\"last_id\":%" PRId64, d.first, d.last);
        printf("}\n");
        return 0;
    }
    printf("%s: %" PRId64 " new token%s", c->out, d.fresh, d.fresh == 1 ? "" : "s");
    if (d.fresh)
        printf(d.fresh > 1 ? ", ids %" PRId64 " to %" PRId64 : ", id %" PRId64, d.first, d.last);
    printf("; a vocabulary of %" PRId64 ", it was %" PRId64 "\n", d.rows, d.rows_before);
    return 0;
}

static int run(int argc, char **argv)
{
    ds_resize_conf c = {.multiple = 1};
    ds_opt_list added = {0};
    bool json = false;
    const ds_opt opts[] = {
        TRAIN_MODEL(c.model),
        OPT_LIST(0, "add-token", added, "TEXT",
                 "a special token behind the last of the model's tokenizer; may be repeated"),
        OPT_STR('t', "tokenizer", c.tokenizer, "FILE", "tokenizer.json that has the new tokens"),
        OPT_INT(0, "multiple", c.multiple, "N", 1, 65536,
                "round the rows up to a multiple of N; default 1"),
        TRAIN_OUTPUT(c.out, "DIR", "folder to write"),
        TRAIN_JSON(json),
        OPT_END};
    char **operands;
    ds_err err = {0};
    int n;
    const int begun = ds_opt_begin(&ds_train_resize, opts, argc, argv, &operands, &n);

    if (begun >= 0)
        return begun;
    const char **texts = calloc(added.n + 1, sizeof *texts);
    if (texts && added.n)
        memcpy(texts, added.v, added.n * sizeof *texts);
    c.added = texts;
    if (!texts)
        ds_fail_nomem(&err);
    else if (!train_named(c.model) || !train_named(c.out))
        ds_fail(&err, DS_USAGE, "%s is missing (dstrain resize -h)",
                train_named(c.model) ? "-o DIR" : "--model DIR");
    else if ((added.n > 0) == train_named(c.tokenizer))
        ds_fail(&err, DS_USAGE, "either --add-token or --tokenizer says which tokens are new");
    else
        resize(&c, json, &err);
    free(texts);
    ds_opt_list_fini(&added);
    return ds_command_end(&ds_train_resize, &err, json);
}
