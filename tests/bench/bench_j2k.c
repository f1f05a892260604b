/* bench_j2k.c - what OpenJPEG itself takes to decode, for the lane of `dsprep dicom`.
 *
 *   bench_j2k encode ROWS RAW...           RAW, of ROWS x ROWS x 16 bits signed, to RAW.j2k,
 * lossless bench_j2k decode THREADS COUNT J2K...  decodes COUNT frames, J2K... over and over,
 * THREADS of them at a time, and prints frames a second of wall time
 *
 * Files are in memory before the clock starts; values stay where the decoder puts them.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openjpeg.h>

typedef struct bytes {
    uint8_t *p;
    size_t n, at;
} bytes;

static bytes *files;
static int nfiles, frames;
static atomic_int next, failed;

static bool load(bytes *b, const char *path)
{
    FILE *f = fopen(path, "rb");
    bool ok = f && fseek(f, 0, SEEK_END) == 0;
    long n = ok ? ftell(f) : -1;
    ok = n > 0 && fseek(f, 0, SEEK_SET) == 0 && (b->p = malloc((size_t)n)) != NULL &&
         fread(b->p, 1, (size_t)n, f) == (size_t)n;
    b->n = ok ? (size_t)n : 0;
    if (f)
        fclose(f);
    if (!ok)
        fprintf(stderr, "bench_j2k: %s: cannot be read\n", path);
    return ok;
}

static OPJ_SIZE_T from_memory(void *to, OPJ_SIZE_T n, void *ctx)
{
    bytes *b = ctx;
    if (b->at >= b->n)
        return (OPJ_SIZE_T)-1;
    n = n < b->n - b->at ? n : b->n - b->at;
    memcpy(to, b->p + b->at, n);
    b->at += n;
    return n;
}

static OPJ_OFF_T skip_some(OPJ_OFF_T n, void *ctx)
{
    ((bytes *)ctx)->at += (size_t)n;
    return n;
}

static OPJ_BOOL go_to(OPJ_OFF_T at, void *ctx)
{
    ((bytes *)ctx)->at = (size_t)at;
    return OPJ_TRUE;
}

static bool decode(const bytes *file)
{
    bytes b = {file->p, file->n, 0};
    opj_dparameters_t prm;
    opj_image_t *image = NULL;
    opj_codec_t *codec = opj_create_decompress(OPJ_CODEC_J2K);
    opj_stream_t *s = opj_stream_create(1 << 16, OPJ_TRUE);
    opj_set_default_decoder_parameters(&prm);
    opj_stream_set_read_function(s, from_memory);
    opj_stream_set_skip_function(s, skip_some);
    opj_stream_set_seek_function(s, go_to);
    opj_stream_set_user_data(s, &b, NULL);
    opj_stream_set_user_data_length(s, b.n);
    bool ok = opj_setup_decoder(codec, &prm) && opj_read_header(s, codec, &image) &&
              opj_decode(codec, s, image) && opj_end_decompress(codec, s);
    opj_image_destroy(image);
    opj_stream_destroy(s);
    opj_destroy_codec(codec);
    return ok;
}

static void *decode_some(void *ctx)
{
    for (int i; (i = atomic_fetch_add(&next, 1)) < frames;)
        if (!decode(&files[i % nfiles]))
            atomic_store(&failed, 1);
    return ctx;
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int decode_all(int threads, int count, char **paths, int n)
{
    pthread_t t[64];
    files = calloc((size_t)n, sizeof *files);
    nfiles = n;
    frames = count;
    for (int i = 0; i < n; i++)
        if (!files || !load(&files[i], paths[i]))
            return 1;
    threads = threads < 1 ? 1 : threads > 64 ? 64 : threads;
    double start = now();
    for (int i = 0; i < threads; i++)
        if (pthread_create(&t[i], NULL, decode_some, NULL) != 0)
            return 1;
    for (int i = 0; i < threads; i++)
        pthread_join(t[i], NULL);
    printf("%.3f\n", count / (now() - start));
    return atomic_load(&failed);
}

static bool encode(int rows, const char *path)
{
    bytes raw = {0};
    char to[4096];
    opj_image_cmptparm_t c = {
        .dx = 1, .dy = 1, .w = (OPJ_UINT32)rows, .h = (OPJ_UINT32)rows, .prec = 16, .sgnd = 1};
    opj_cparameters_t prm;
    if (!load(&raw, path) || raw.n < (size_t)rows * (size_t)rows * 2 ||
        snprintf(to, sizeof to, "%s.j2k", path) >= (int)sizeof to)
        return false;
    opj_image_t *im = opj_image_create(1, &c, OPJ_CLRSPC_GRAY);
    im->x1 = im->y1 = (OPJ_UINT32)rows;
    for (size_t i = 0; i < (size_t)rows * (size_t)rows; i++)
        im->comps[0].data[i] = (int16_t)(raw.p[2 * i] | raw.p[2 * i + 1] << 8);
    opj_set_default_encoder_parameters(&prm);
    prm.tcp_numlayers = 1;
    prm.cp_disto_alloc = 1;
    opj_codec_t *codec = opj_create_compress(OPJ_CODEC_J2K);
    opj_stream_t *s = opj_stream_create_default_file_stream(to, OPJ_FALSE);
    bool ok = s && opj_setup_encoder(codec, &prm, im) && opj_start_compress(codec, im, s) &&
              opj_encode(codec, s) && opj_end_compress(codec, s);
    opj_stream_destroy(s);
    opj_destroy_codec(codec);
    opj_image_destroy(im);
    free(raw.p);
    return ok;
}

int main(int argc, char **argv)
{
    if (argc > 4 && strcmp(argv[1], "decode") == 0)
        return decode_all((int)strtol(argv[2], NULL, 10), (int)strtol(argv[3], NULL, 10), argv + 4,
                          argc - 4);
    if (argc > 3 && strcmp(argv[1], "encode") == 0) {
        for (int i = 3; i < argc; i++)
            if (!encode((int)strtol(argv[2], NULL, 10), argv[i]))
                return 1;
        return 0;
    }
    fprintf(stderr, "usage: bench_j2k encode ROWS RAW... | decode THREADS COUNT J2K...\n");
    return 2;
}
