/* lossscale.c - see lossscale.h. */
#include "lossscale.h"

static bool is_power(uint64_t x)
{
    return x > 0 && x <= DS_LOSSSCALE_MOST && (x & (x - 1)) == 0;
}

ds_lossscale ds_lossscale_begin(const ds_lossscale_conf *c)
{
    return (ds_lossscale){.scale = c->first ? c->first : 1};
}

bool ds_lossscale_see(ds_lossscale *s, const ds_lossscale_conf *c, bool finite)
{
    if (!finite) {
        if (s->scale == 1)
            return false;
        s->scale /= 2;
        s->good = 0;
        s->overflows++;
    } else if (c->first && ++s->good == c->window) {
        s->scale = s->scale < DS_LOSSSCALE_MOST ? s->scale * 2 : s->scale;
        s->good = 0;
    }
    return true;
}

bool ds_lossscale_valid(const ds_lossscale *s, const ds_lossscale_conf *c)
{
    return c->first ? is_power(s->scale) && s->good < c->window
                    : s->scale == 1 && !s->good && !s->overflows;
}

int ds_lossscale_described(ds_lossscale_conf *c, const json_t *training, ds_err *err)
{
    const json_t *o = json_object_get(training, "loss_scale");
    const json_int_t first = json_integer_value(json_object_get(o, "first")),
                     window = json_integer_value(json_object_get(o, "window"));

    *c = (ds_lossscale_conf){.first = 0};
    if (!o)
        return 0;
    if (first < 1 || !is_power((uint64_t)first) || window < 1)
        return ds_fail(err, DS_CORRUPT,
                       "run description: a loss scale of %lld, doubled after %lld updates",
                       (long long)first, (long long)window);
    *c = (ds_lossscale_conf){.first = (uint64_t)first, .window = (uint64_t)window};
    return 0;
}
