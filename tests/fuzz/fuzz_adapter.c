/* fuzz_adapter.c - adapters of strangers: PEFT's adapter_config.json and adapter_model.safetensors,
 * onto a small model of each architecture. The first byte of the input says which one, and whether
 * the length before the tensors' header is made right; two more are the length of the config. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter.h"
#include "rmtree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void require(int ok)
{
    if (!ok)
        abort();
}

static ds_kernels *cpu;
static char *folder;

static void end(void)
{
    ds_remove_tree(folder);
    free(folder);
    cpu->close(cpu);
}

static void begin(void)
{
    ds_err err = {0};

    require(ds_kernels_cpu(&cpu, 1, NULL, &err) == 0);
    require(ds_temp_folder(&folder, "fuzz", &err) == 0 && atexit(end) == 0);
}

static ds_modelconf model(enum ds_arch arch)
{
    ds_modelconf c;
    ds_err err = {0};

    require(ds_modelconf_preset(&c, arch, "tiny", 11, &err) == 0);
    c.hidden = 8;
    c.ffn = 12;
    c.layers = 1;
    c.heads = c.kv_heads = 2;
    c.head_dim = 4;
    if (arch == DS_DEEPSEEK_V2) {
        c.kv_lora = 6;
        c.qk_nope = 4;
        c.qk_rope = 2;
        c.v_dim = 4;
        c.experts = 2;
        c.experts_used = 1;
        c.moe_ffn = 6;
        c.first_dense = 0;
    }
    require(ds_modelconf_check(&c, &err) == 0);
    return c;
}

static void write_file(const char *name, const uint8_t *p, size_t n)
{
    char path[1024];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    require(f && fwrite(p, 1, n, f) == n && fclose(f) == 0);
}

/* With what was loaded the network computes. */
static void forward(ds_net *net)
{
    static const int32_t ids[] = {1, 7, 3}, pos[] = {0, 1, 2}, target[] = {7, 3, 1}, cu[] = {0, 3};
    static const float weight[] = {1, 1, 1};
    const ds_netbatch b = {
        .t = 3, .ids = ids, .pos = pos, .target = target, .weight = weight, .seqs = {cu, 1}};
    float logits[2 * 11];
    ds_err err = {0};

    require(ds_net_logits(net, &b, pos + 1, 2, logits, &err) == 0);
}

static void load(enum ds_arch arch)
{
    ds_modelconf c = model(arch);
    ds_net *net = NULL;
    ds_err err = {0};

    require(ds_net_new(&net, cpu, &c, DS_KF32, 8, &err) == 0);
    require(ds_net_init(net, 1, &err) == 0);
    const int rc = ds_adapter_load(net, folder, &err);
    require(rc == 0 || (rc == err.code && *err.msg));
    if (rc == 0)
        forward(net);
    ds_net_free(net);
    ds_modelconf_fini(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (!folder)
        begin();
    if (len < 3)
        return 0;
    const size_t want = data[1] | (size_t)data[2] << 8, n = want < len - 3 ? want : len - 3;
    const size_t rest = len - 3 - n;
    uint8_t *p = malloc(rest + 1);

    require(p != NULL);
    memcpy(p, data + 3 + n, rest);
    if (data[0] & 4 && rest >= 8) { /* up to the last closing brace */
        const uint8_t *brace = memrchr(p + 8, '}', rest - 8);
        ds_set_u64(p, brace ? (uint64_t)(brace - p) - 7 : 0);
    }
    write_file("adapter_config.json", data + 3, n);
    write_file("adapter_model.safetensors", p, rest);
    free(p);
    load((enum ds_arch)((data[0] & 3) % 3));
    return 0;
}
