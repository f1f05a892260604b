/* cmd_train.h - what the commands of dstrain share: their options, each with one text, one default
 * and one range, and how they open a model.
 */
#ifndef DS_CMD_TRAIN_H
#define DS_CMD_TRAIN_H

#include "finetune.h"
#include "opt.h"

/* ---- of all commands ---- */

#define TRAIN_JSON(v) OPT_FLAG(0, "json", v, "print JSON lines")
#define TRAIN_QUIET(v) OPT_FLAG('q', "quiet", v, "no words but errors")
#define TRAIN_OUTPUT(v, a, h) OPT_STR('o', "output", v, a, h)
#define TRAIN_MODEL(v) OPT_STR(0, "model", v, "DIR", "Hugging Face folder of the model")
#define TRAIN_ADAPTER(v)                                                                           \
    OPT_STR(0, "adapter", v, "DIR", "checkpoint or PEFT adapter on top of the model")
#define TRAIN_DATA_ARG "DATASET[@REV]|FILE.dsr"
#define TRAIN_STORE(v)                                                                             \
    OPT_STR(0, "store", v, "DIR",                                                                  \
            "the dsver store, or the folder that holds it; default $DSVER_STORE, or the nearest "  \
            "from here upwards")
#define TRAIN_COLUMN(v) OPT_STR('c', "column", v, "NAME", "column of tokens; default tokens")
#define TRAIN_MASK(v)                                                                              \
    OPT_STR(0, "mask", v, "COLUMN|none",                                                           \
            "column of runs: which tokens are targets; default loss where there is one")
#define TRAIN_THREADS(v)                                                                           \
    OPT_INT('j', "threads", v, "N", 0, 1024,                                                       \
            "threads of the arithmetic; default one for each processor; changes no bit")
#define TRAIN_DEVICE(v)                                                                            \
    OPT_STR(0, "device", v, "cpu|cuda|cuda:N",                                                     \
            "where the arithmetic is done; default cpu; each has bits of its own")
extern const char *const TRAIN_GRAPHS_HOW[]; /* on, off */
#define TRAIN_GRAPHS(v)                                                                            \
    OPT_CHOICE(0, "graphs", v, "on|off", TRAIN_GRAPHS_HOW,                                         \
               "on a GPU, steps of a shape that comes again are captured and launched as one: on " \
               "(default) or off; changes no bit")
#define TRAIN_DTYPE(v)                                                                             \
    OPT_CHOICE(0, "dtype", v, "NAME", DS_FORMAT_NAMES,                                             \
               "f32 (default), or bf16 or f16 with f32 sums")
#define TRAIN_WRITTEN(v)                                                                           \
    OPT_CHOICE(0, "dtype", v, "NAME", DS_FORMAT_NAMES,                                             \
               "of the weights in files: f32 (default), bf16 or f16")

/* ---- of those that use a model ---- */

typedef struct train_use {
    const char *model, *adapter, *device; /* adapter, device: may be NULL */
    int64_t threads;
    int format; /* enum ds_kfmt */
} train_use;

/* Opens a model for use without training. positions: of its longest text, 0 as many as it has.
 * Caller frees net, then closes k. A checkpoint of full fine-tuning is a model itself. */
int train_open_model(ds_kernels **k, ds_net **net, const train_use *u, int32_t positions,
                     ds_err *err);

/* ---- of dstrain finetune and dstrain plan: what is trained, and in which form ---- */

typedef struct train_shape {
    const char *model, *column, *store, *device;
    ds_opt_list data, targets, tokens, only;
    int64_t batch, slices, seq_len, rank, prompt,
        memory; /* 0, but of batch and seq_len: not said */
    double dropout;
    int format, optim, rounding, recompute;
    bool dora;
    const char **target_names, **token_names,
        **only_names; /* the lists ended by NULL, after train_shape_end */
} train_shape;

/* ---- of those that know preferences ---- */

#define TRAIN_PREFERENCE(v)                                                                        \
    OPT_CHOICE(0, "preference", v, "LOSS", DS_PREF_NAMES,                                          \
               "learn from pairs of answers (dsprep tokenize --chosen --rejected) which one is "   \
               "meant; both sides of a pair lie in one row, and the loss is the mean over pairs: " \
               "none (default); dpo: -log sigmoid(beta d), where d is how much likelier, in "      \
               "logarithms, training made the chosen answer than the rejected one; hinge: "        \
               "max(0, 1 - beta d); ipo: (d - 1 / (2 beta))^2 of means over tokens; and without "  \
               "the model before, of m, an answer's mean log probability of a token: simpo: -log " \
               "sigmoid(beta (m - m of the rejected) - gamma); orpo: -m - beta log sigmoid of "    \
               "the difference of log(exp m / (1 - exp m))")
#define TRAIN_BETA(v)                                                                              \
    OPT_REAL(0, "beta", v, "X", "with --preference: as above; default 0.1, of simpo 2")
#define TRAIN_SMOOTHING(v)                                                                         \
    OPT_REAL(0, "label-smoothing", v, "X",                                                         \
             "with --preference dpo or simpo: share of the pairs that may be the wrong way "       \
             "round; default 0")
#define TRAIN_GAMMA(v)                                                                             \
    OPT_REAL(0, "simpo-gamma", v, "X", "with --preference simpo: gamma; default 0.5")
#define TRAIN_RPO_ALPHA(v)                                                                         \
    OPT_REAL(0, "rpo-alpha", v, "X",                                                               \
             "with --preference, but for orpo: X times the chosen answer's mean loss of a token "  \
             "on top; default 0")
/* What these say; NaN where they do not. */
typedef struct train_pref {
    int kind;
    double beta, smoothing, gamma, alpha;
} train_pref;
#define TRAIN_PREF_UNSAID                                                                          \
    {                                                                                              \
        0, (double)NAN, 0, (double)NAN, 0                                                          \
    }
#define TRAIN_PREFERENCES(v)                                                                       \
    TRAIN_PREFERENCE((v).kind), TRAIN_BETA((v).beta), TRAIN_SMOOTHING((v).smoothing),              \
        TRAIN_GAMMA((v).gamma), TRAIN_RPO_ALPHA((v).alpha)
int train_preference(ds_pref_conf *c, const train_pref *said, ds_err *err);

/* What an evaluation came to, of tokens or of pairs: in words, and as the members of JSON that
 * follow its loss. -1: out of memory. */
#define TRAIN_WORDS 1024 /* three numbers of f64, written out */
void train_say_result(char words[TRAIN_WORDS], const ds_eval_result *r, bool pairs);
int train_put_result(ds_buf *b, const ds_eval_result *r, const ds_pref_conf *pref);

/* An empty name is none: it would be the root's. */
static inline bool train_named(const char *path)
{
    return path && *path;
}

/* What is not said. */
enum { TRAIN_SEED = 1, TRAIN_WINDOW = 4096 };
#define TRAIN_SHAPE                                                                                \
    {                                                                                              \
        .column = "tokens", .batch = 8, .seq_len = 512                                             \
    }
int train_shape_end(train_shape *s, ds_err *err);
void train_shape_fini(train_shape *s);
/* -1: auto. */
static inline int train_recompute(const train_shape *s)
{
    return s->recompute - 1;
}
extern const char *const TRAIN_OPTIMS[];     /* as enum ds_optim_kind */
extern const char *const TRAIN_ROUNDINGS[];  /* nearest, and what is not */
extern const char *const TRAIN_RECOMPUTES[]; /* auto, and as enum ds_recompute */

#define TRAIN_DATA(s)                                                                              \
    OPT_LIST(0, "data", (s).data, TRAIN_DATA_ARG, "what to train on; may be repeated")
#define TRAIN_BATCH(s)                                                                             \
    OPT_INT(0, "batch", (s).batch, "N", 1, 65536, "rows computed together; default 8")
#define TRAIN_SLICES(s)                                                                            \
    OPT_INT(0, "slices", (s).slices, "N", 1, DS_SLICES_MAX,                                        \
            "parts of a step whose gradients are added up; default one, or one for each process")
#define TRAIN_SEQ_LEN(s)                                                                           \
    OPT_INT(0, "seq-len", (s).seq_len, "N", 8, 1 << 20, "tokens of a row; default 512")
#define TRAIN_RANK(s) OPT_INT('r', "rank", (s).rank, "N", 1, 4096, "of LoRA; default 16")
#define TRAIN_TARGET(s)                                                                            \
    OPT_LIST(                                                                                      \
        0, "target", (s).targets, "NAME",                                                          \
        "projection that gets an adapter (q_proj), or a pattern of such names ([qv]_proj) or "     \
        "of whole ones (*.3.mlp.*); may be repeated; default all")
#define TRAIN_TOKEN(s)                                                                             \
    OPT_LIST(0, "train-token", (s).tokens, "TEXT",                                                 \
             "token whose rows of embedding and head are trained too, as that of dstrain resize; " \
             "may be repeated")
#define TRAIN_DROPOUT(s) OPT_REAL(0, "dropout", (s).dropout, "X", "of LoRA's input; default 0")
#define TRAIN_DORA(s)                                                                              \
    OPT_FLAG(0, "dora", (s).dora,                                                                  \
             "adapters that also learn the length of every row of the weights (DoRA)")
#define TRAIN_ONLY(s)                                                                              \
    OPT_LIST(0, "only", (s).only, "PATTERN",                                                       \
             "with --method full: train the parameters whose names match; may be repeated")
#define TRAIN_PROMPT(s)                                                                            \
    OPT_INT(0, "prompt-tokens", (s).prompt, "N", 1, 4096,                                          \
            "virtual tokens of --method prompt; default 32, or as many as its text has")
#define TRAIN_OPTIM(s)                                                                             \
    OPT_CHOICE(0, "optim", (s).optim, "NAME", TRAIN_OPTIMS,                                        \
               "adamw (default), or adamw8bit: moments of 8 bits, a quarter of their memory")
#define TRAIN_ROUNDING(s)                                                                          \
    OPT_CHOICE(0, "rounding", (s).rounding, "HOW", TRAIN_ROUNDINGS,                                \
               "of bf16 weights with --method full: nearest (default), from f32 copies; or "       \
               "stochastic, by chance from --seed, without copies")
#define TRAIN_RECOMPUTE(s)                                                                         \
    OPT_CHOICE(0, "recompute", (s).recompute, "LEVEL", TRAIN_RECOMPUTES,                           \
               "what is computed again on the way back: none, attention, mlp, layer, or auto "     \
               "(default): the least that fits into memory; changes no bit")
#define TRAIN_MEMORY(s)                                                                            \
    OPT_SIZE(0, "memory", (s).memory, "BYTES",                                                     \
             "memory that may be filled, for what is auto; default all that this process may use")

#endif
