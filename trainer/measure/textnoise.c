/* textnoise.c - see textnoise.h. */
#include "textnoise.h"

#include "philox.h"

enum { TYPO, SWAP, CASE, LOOKALIKE, WAYS };

/* Keys beside a key on a QWERTY keyboard (ISO/IEC 9995), a to z. */
static const char *const beside[26] = {
    "qwsz",   "vghn",  "xdfv", "serfcx", "wsdr", "drtgvc", "ftyhbv", "gyujnb", "ujko",
    "huikmn", "jiolm", "kop",  "njk",    "bhjm", "iklp",   "ol",     "wa",     "edft",
    "awedxz", "rfgy",  "yhji", "cfgb",   "qase", "zsdc",   "tghu",   "asx"};
/* Cyrillic letters of the same look (Unicode confusables), lower and upper case. */
static const char *const lower[26] = {
    ['a' - 'a'] = "\u0430", ['c' - 'a'] = "\u0441", ['e' - 'a'] = "\u0435",
    ['i' - 'a'] = "\u0456", ['j' - 'a'] = "\u0458", ['o' - 'a'] = "\u043e",
    ['p' - 'a'] = "\u0440", ['s' - 'a'] = "\u0455", ['x' - 'a'] = "\u0445",
    ['y' - 'a'] = "\u0443",
};
static const char *const upper[26] = {
    ['a' - 'a'] = "\u0410", ['b' - 'a'] = "\u0412", ['c' - 'a'] = "\u0421",
    ['e' - 'a'] = "\u0415", ['h' - 'a'] = "\u041d", ['i' - 'a'] = "\u0406",
    ['j' - 'a'] = "\u0408", ['k' - 'a'] = "\u041a", ['m' - 'a'] = "\u041c",
    ['o' - 'a'] = "\u041e", ['p' - 'a'] = "\u0420", ['s' - 'a'] = "\u0405",
    ['t' - 'a'] = "\u0422", ['x' - 'a'] = "\u0425", ['y' - 'a'] = "\u0423",
};

static bool is_letter(uint8_t c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static int mistype(ds_buf *out, uint8_t c, uint32_t random)
{
    const char *near = beside[(c | 0x20) - 'a'];
    size_t n = 0;

    while (near[n])
        n++;
    return ds_buf_putc(out, (uint8_t)(near[random % n] & ~0x20) | (c & 0x20));
}

/* Writes what becomes of the letter at p; *used = 2 when the next one was used too. */
static int hit(ds_buf *out, const uint8_t *p, size_t left, uint32_t random, size_t *used)
{
    const uint8_t c = *p;
    const size_t at = (size_t)(c | 0x20) - 'a';
    const char *like = c & 0x20 ? lower[at] : upper[at];

    *used = 1;
    switch (random % WAYS) {
    case SWAP:
        if (left > 1 && is_letter(p[1])) {
            *used = 2;
            return ds_buf_putc(out, p[1]) || ds_buf_putc(out, c);
        }
        break;
    case CASE:
        return ds_buf_putc(out, c ^ 0x20);
    case LOOKALIKE:
        if (like)
            return ds_buf_puts(out, like);
        break;
    default:
        break;
    }
    return mistype(out, c, random / WAYS);
}

int ds_textnoise(ds_buf *out, const void *text, size_t len, double rate, uint64_t seed,
                 uint64_t record, ds_err *err)
{
    const uint8_t *p = text;
    const double below = rate * 4294967296.0;

    for (size_t i = 0; i < len;) {
        size_t used = 1;
        int bad;
        if (is_letter(p[i]) && (double)ds_philox(seed, 2 * record, i) < below)
            bad = hit(out, p + i, len - i, ds_philox(seed, 2 * record + 1, i), &used);
        else
            bad = ds_buf_putc(out, p[i]);
        if (bad)
            return ds_fail_nomem(err);
        i += used;
    }
    return 0;
}
