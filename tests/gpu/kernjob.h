/* kernjob.h - one kernel on one shape, as bench_kernels times it.
 *
 * A shape is text: letters with numbers are dimensions ("t16384 n4096"), other words say how ("tb",
 * "acc"). A kernel names its operands by those letters, so that memory, bytes moved and FLOPs
 * follow from the text alone, and another program that reads it can compute the same.
 */
#ifndef DS_KERNJOB_H
#define DS_KERNJOB_H

#include "kernels.h"

#define JOB_OPERANDS 10

typedef struct ds_kernjob ds_kernjob;

/* `operands`: words, each a matrix: '=' written, '+' read and written, '~' read and spoilt, else
 * read; 'F' f32, 'B' bytes, 'C' f32 where the shape says "to_f32", 'A' where it says "from_f32",
 * else bf16; then its dimensions. "a:b" is the part a of a matrix of b. The first is read too where
 * the shape says "acc". `flops`: a sum of products, as "2mnk 2mnr". */
typedef struct ds_kernkind {
    const char *name, *operands, *flops;
    int (*ready)(ds_kernjob *j, ds_err *err); /* what more it needs; NULL: nothing */
    int (*call)(const ds_kernjob *j, ds_err *err);
} ds_kernkind;

/* Device memory of all jobs, one after another: what is only read holds random numbers in [-1, 1),
 * as bf16 and as f32. */
typedef struct ds_kernroom {
    char *random, *work;
    size_t bytes; /* of each */
} ds_kernroom;

struct ds_kernjob {
    ds_kernels *k;
    const ds_kernkind *kind;
    char shape[128];
    int64_t dim[26];         /* by letter; 0: not in the shape */
    void *p[JOB_OPERANDS];   /* the operands; NULL those of no elements */
    double bytes, flops;     /* moved and computed by one call */
    int32_t *ids, *pos, *cu; /* host: [t] below v, [t] places in sequences of l, their starts */
    float *ones;             /* host: [t] */
    ds_kchoices choices;     /* of t tokens, c of e experts each */
    ds_kgroup *groups;       /* [e] */
    const ds_kernroom *room;
    size_t used[2]; /* of random, and of work */
};

extern const ds_kernkind ds_kern_matmul, ds_kern_matmul2, ds_kern_linear, ds_kern_linear_back,
    ds_kern_dropout_matmul, ds_kern_groups, ds_kern_groups_ta, ds_kern_embed, ds_kern_embed_back,
    ds_kern_rmsnorm, ds_kern_add_rmsnorm, ds_kern_rmsnorm_back, ds_kern_bias, ds_kern_bias_back,
    ds_kern_rope, ds_kern_swiglu, ds_kern_swiglu_back, ds_kern_add, ds_kern_convert,
    ds_kern_dropout, ds_kern_copy_cols, ds_kern_row_dot, ds_kern_scale_cols, ds_kern_col_dot,
    ds_kern_row_norm, ds_kern_attention, ds_kern_attention_back, ds_kern_xent, ds_kern_topk,
    ds_kern_sort, ds_kern_topk_back, ds_kern_dispatch, ds_kern_combine, ds_kern_norm2,
    ds_kern_adamw, ds_kern_adamw8, ds_kern_adamw_alone, ds_kern_adamw8_alone;

static inline int64_t ds_job_dim(const ds_kernjob *j, char letter)
{
    return j->dim[letter - 'a'];
}
/* Whether a word stands in the shape. */
bool ds_job_says(const ds_kernjob *j, const char *word);

/* Lays out and fills what j->kind needs for the shape; j->k, kind, shape and room are set. */
int ds_job_init(ds_kernjob *j, ds_err *err);
void ds_job_fini(ds_kernjob *j);

/* So many bytes of the room that is written; multiples of 256. */
int ds_job_take(ds_kernjob *j, void **p, size_t bytes, ds_err *err);

#endif
