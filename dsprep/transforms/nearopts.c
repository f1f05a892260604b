/* nearopts.c - see nearopts.h. */
#include "nearopts.h"

int ds_nearopts_take(ds_nearopts *o, bool near, const char *needs, ds_err *err)
{
    if (!near && (o->bands || o->rows || o->words || o->seed >= 0))
        return ds_fail(err, DS_USAGE, "--bands, --rows, --words and --seed are of %s", needs);
    o->bands = o->bands ? o->bands : DS_MIN_BANDS;
    o->rows = o->rows ? o->rows : DS_MIN_ROWS;
    o->words = o->words ? o->words : DS_MIN_WORDS;
    o->seed = o->seed >= 0 ? o->seed : 1;
    return o->bands * o->rows > DS_MIN_MOST
               ? ds_fail(err, DS_USAGE, "--bands times --rows: %lld minima, but %d are the most",
                         (long long)(o->bands * o->rows), DS_MIN_MOST)
               : 0;
}

int ds_nearopts_minhash(ds_minhash *m, const ds_nearopts *o, const ds_wordfold *fold, ds_err *err)
{
    return ds_minhash_init(m, fold, (uint64_t)o->seed, (unsigned)o->bands, (unsigned)o->rows,
                           (unsigned)o->words, err);
}

json_t *ds_nearopts_json(const ds_nearopts *o)
{
    return json_pack("{s:I,s:I,s:I,s:I}", "bands", (json_int_t)o->bands, "rows",
                     (json_int_t)o->rows, "words", (json_int_t)o->words, "seed",
                     (json_int_t)o->seed);
}
