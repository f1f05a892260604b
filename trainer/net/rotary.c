/* rotary.c - see rotary.h. Formulas of the scalings: YaRN (Peng et al. 2023, section 3), Llama 3's
 * as its authors published it, both as transformers computes them. */
#include "rotary.h"

#include <math.h>

#include "elementary.h"

static double yarn_m(double factor, double a)
{
    return factor <= 1.0 ? 1.0 : 0.1 * a * ds_log(factor) + 1.0;
}

float ds_attn_scale(const ds_modelconf *c)
{
    double s = 1.0 / sqrt((double)ds_qk_dim(c));

    if (c->arch == DS_DEEPSEEK_V2 && c->rope == DS_ROPE_YARN && c->mscale_all != 0.0) {
        const double m = yarn_m(c->rope_factor, c->mscale_all);
        s *= m * m;
    }
    return (float)s;
}

/* Inverse frequency of pair i, scaled as the model says. */
static double frequency(const ds_modelconf *c, int32_t rot, int32_t i)
{
    const double pi = 3.14159265358979323846, f = ds_pow(c->theta, -2.0 * i / rot);

    if (c->rope == DS_ROPE_LINEAR)
        return f / c->rope_factor;
    if (c->rope == DS_ROPE_LLAMA3) {
        const double wave = 2 * pi / f;
        if (wave < c->rope_orig / c->rope_high)
            return f;
        if (wave > c->rope_orig / c->rope_low)
            return f / c->rope_factor;
        const double s = (c->rope_orig / wave - c->rope_low) / (c->rope_high - c->rope_low);
        return (1 - s) * f / c->rope_factor + s * f;
    }
    if (c->rope == DS_ROPE_YARN) {
        const double span = 2 * ds_log(c->theta);
        double lo = floor(rot * ds_log(c->rope_orig / (c->rope_high * 2 * pi)) / span);
        double hi = ceil(rot * ds_log(c->rope_orig / (c->rope_low * 2 * pi)) / span);
        lo = lo < 0 ? 0 : lo;
        hi = hi > rot - 1 ? rot - 1 : hi;
        hi = hi == lo ? hi + 0.001 : hi;
        double ramp = (i - lo) / (hi - lo);
        ramp = ramp < 0 ? 0 : ramp > 1 ? 1 : ramp;
        return f / c->rope_factor * ramp + f * (1 - ramp);
    }
    return f;
}

int ds_rope_table(float *cs, const ds_modelconf *c, int32_t rot, int32_t positions, ds_err *err)
{
    double factor = 1.0;

    if (rot < 2 || rot % 2 || positions < 1)
        return ds_fail(err, DS_FAIL, "rotary table of %d columns for %d positions", (int)rot,
                       (int)positions);
    if (c->rope == DS_ROPE_YARN)
        factor = c->mscale != 0.0 && c->mscale_all != 0.0
                     ? yarn_m(c->rope_factor, c->mscale) / yarn_m(c->rope_factor, c->mscale_all)
                     : yarn_m(c->rope_factor, 1.0);
    for (int32_t i = 0; i < rot / 2; i++) {
        const float f = (float)frequency(c, rot, i); /* transformers multiplies f32 by f32 */
        if (!isfinite(f))
            return ds_fail(err, DS_FAIL,
                           "rope_theta %g and the rotary scaling leave no frequency for pair %d",
                           c->theta, (int)i);
        for (int32_t p = 0; p < positions; p++) {
            double s, k;
            ds_sincos((double)((float)p * f), &s, &k);
            cs[((int64_t)p * (rot / 2) + i) * 2] = (float)(k * factor);
            cs[((int64_t)p * (rot / 2) + i) * 2 + 1] = (float)(s * factor);
        }
    }
    return 0;
}
