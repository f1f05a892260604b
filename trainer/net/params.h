/* params.h - the parameters of a model: named matrices in a backend's memory, in the order of their
 * names in the files.
 *
 * A parameter that is trained has a gradient (f32) and, once the optimizer asks, its moments. All
 * gradients lie in one piece of memory, in the order of the parameters, each from a multiple of
 * DS_PARAM_STEP floats on; what lies between is zero: so what concerns all of them is done at once.
 * The set owns everything.
 */
#ifndef DS_PARAMS_H
#define DS_PARAMS_H

#include "kernels.h"
#include "modelconf.h"
#include "ranks.h"
#include "safetensors.h"

typedef struct ds_param {
    char *name;
    int64_t rows, cols; /* a vector has rows 1 */
    bool vector;        /* written with one dimension */
    enum ds_kfmt f;
    void *w, *before; /* before: as they were, where they are kept; else NULL */
    bool wide;        /* written in f32, from the master weights: adapters */
    bool train;
    float *g;      /* in the set's piece */
    float *master; /* f32 weights behind those of two bytes */
    float *m, *v;  /* moments; or of 8 bits, with their scales (kernels.h) */
    uint8_t *m8, *v8;
    float *mscale, *vscale;
    bool lone;      /* bf16 weights that are trained without a master */
    bool small;     /* its moments are of 8 bits */
    int keeper;     /* keepers.h */
    float lr_scale; /* of the learning rate: LoRA+ */
    float decay;    /* of the weight decay: 0 for vectors */
} ds_param;

typedef struct ds_params {
    ds_kernels *k;
    const ds_ranks *ranks; /* that train it together; NULL: one alone */
    bool lone;             /* what is trained from here on has no master: optim.h, stochastic */
    bool peers;            /* their devices have joined (kernels.h) */
    ds_param **p;          /* pointers stay valid while the set grows */
    size_t n, cap;
    float *grads; /* of all that are trained */
    size_t ngrads;
    uint32_t *slot; /* parameters by name, open addressing: their place + 1 */
    size_t slots;
} ds_params;

int ds_params_add(ds_params *s, ds_param **out, const char *name, int64_t rows, int64_t cols,
                  bool vector, enum ds_kfmt f, ds_err *err); /* zeroed weights */
ds_param *ds_params_find(const ds_params *s, const char *name);
void ds_params_fini(ds_params *s);

/* Fills a parameter from a tensor of its shape; NaN and infinite weights are refused with their
 * place, and those that f16 has no number for. */
int ds_param_load(ds_params *s, ds_param *p, const ds_st_tensor *t, const char *file, ds_err *err);
/* Standard normal times sd, or uniform in [-a, a]: element i is a function of (seed, FNV-1a of the
 * name, i). */
int ds_param_normal(ds_params *s, ds_param *p, float sd, uint64_t seed, ds_err *err);
int ds_param_uniform(ds_params *s, ds_param *p, float a, uint64_t seed, ds_err *err);
int ds_param_fill(ds_params *s, ds_param *p, float x, ds_err *err);
/* The weights as f32 in host memory (malloc'd). */
int ds_param_get(const ds_params *s, const ds_param *p, float **out, ds_err *err);
int ds_param_set(ds_params *s, ds_param *p, const float *from, ds_err *err);
/* Marks it trained. */
int ds_param_train(ds_params *s, ds_param *p, ds_err *err);
/* Where they lie, or what is done with them, is to change: what the backend remembers of steps
 * goes.
 */
void ds_params_changed(ds_params *s);
/* Gradients, zero, of all that are marked: again after more were. */
#define DS_PARAM_STEP ((size_t)64)
int ds_params_gradients(ds_params *s, ds_err *err);
int ds_params_zero(ds_params *s, ds_err *err); /* all gradients */
int64_t ds_param_count(const ds_param *p);
/* A ds_st_fetch over a set's memory; params: the ds_params. */
int ds_params_fetch(void *params, void *host, const ds_st_tensor *t, size_t at, size_t bytes,
                    ds_err *err);
/* Writes the parameters that `want` chooses (NULL: all) to a safetensors file, under `prefix` +
 * name. */
int ds_params_write(ds_params *s, const char *path, bool (*want)(const ds_param *p),
                    const char *prefix, const char *const *metadata, ds_err *err);

#endif
