/* products.cc - see cublasLt.h. */
#include "cublasLt.h"

extern "C" {
#include "kernels.h"
}

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <new>
#include <vector>

struct cublasLtContext {
    int nothing;
};
struct emu_product {
    cublasOperation_t ta = CUBLAS_OP_N, tb = CUBLAS_OP_N;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    void *bias = nullptr;
};
struct emu_matrix {
    cudaDataType_t f;
    int64_t rows, cols, ld;
};
struct emu_wish {
    size_t room = 0;
    uint32_t schemes = 7, align[4] = {256, 256, 256, 256};
};

namespace {
constexpr size_t WORKSPACE = 4096; /* that every product takes */

struct problem {
    emu_matrix a, b, c;
    bool ta, tb;
    int64_t m, n, k;
    cublasLtEpilogue_t epilogue;
};

size_t size_of(cudaDataType_t f)
{
    return f == CUDA_R_32F ? 4 : 2;
}
/* Elements from the first one to the last. */
size_t bytes_of(const emu_matrix &x)
{
    return (size_t)((x.cols - 1) * x.ld + x.rows) * size_of(x.f);
}
bool sound(const emu_matrix &x)
{
    return x.rows > 0 && x.cols > 0 && x.ld >= x.rows;
}

cublasStatus_t problem_of(problem *p, cublasLtMatmulDesc_t d, cublasLtMatrixLayout_t a,
                          cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c,
                          cublasLtMatrixLayout_t to)
{
    if (!d || !a || !b || !c || !to)
        return CUBLAS_STATUS_INVALID_VALUE;
    *p = problem{*a, *b, *to, d->ta == CUBLAS_OP_T, d->tb == CUBLAS_OP_T, 0, 0, 0, d->epilogue};
    p->m = p->ta ? a->cols : a->rows;
    p->k = p->ta ? a->rows : a->cols;
    p->n = p->tb ? b->rows : b->cols;
    if (!sound(*a) || !sound(*b) || !sound(*to) || p->k != (p->tb ? b->cols : b->rows) ||
        to->rows != p->m || to->cols != p->n || std::memcmp(c, to, sizeof *c) != 0)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (a->f != b->f || (to->f != CUDA_R_32F && to->f != a->f))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    return CUBLAS_STATUS_SUCCESS;
}

uint64_t digest_of(const problem &p)
{
    const int64_t of[] = {p.a.f, p.a.rows, p.a.cols, p.a.ld, p.b.f, p.b.rows, p.b.cols,  p.b.ld,
                          p.c.f, p.c.rows, p.c.cols, p.c.ld, p.ta,  p.tb,     p.epilogue};
    uint64_t h = 14695981039346656037u;

    for (int64_t v : of)
        h = (h ^ (uint64_t)v) * 1099511628211u;
    return h;
}

float number_at(const void *p, cudaDataType_t f, int64_t i)
{
    if (f == CUDA_R_32F)
        return static_cast<const float *>(p)[i];
    const uint16_t h = static_cast<const uint16_t *>(p)[i];
    return f == CUDA_R_16F ? ds_f16_to(h) : ds_bf16_to(h);
}

void put_number(void *p, cudaDataType_t f, int64_t i, float x)
{
    if (f == CUDA_R_32F)
        static_cast<float *>(p)[i] = x;
    else
        static_cast<uint16_t *>(p)[i] = f == CUDA_R_16F ? ds_f16_from(x) : ds_bf16_from(x);
}

constexpr int64_t BESIDE = 8; /* rows whose sums are made at once */

/* A matrix as f32: BESIDE rows (or columns) after BESIDE, the last ones filled up with zeros; of
 * each, what is summed over lies BESIDE numbers apart. */
std::vector<float> chains_of(const void *p, const emu_matrix &x, bool along, int64_t n, int64_t k)
{
    std::vector<float> to((size_t)((n + BESIDE - 1) / BESIDE * BESIDE * k));

    for (int64_t i = 0; i < n; i++)
        for (int64_t e = 0; e < k; e++)
            to[(size_t)(i / BESIDE * BESIDE * k + e * BESIDE + i % BESIDE)] =
                number_at(p, x.f, along ? i * x.ld + e : e * x.ld + i);
    return to;
}

/* Sums of BESIDE rows at x with one column at y. Two algorithms, which differ in rounding: in
 * ascending order of k, and in descending order. */
void chain(float sums[BESIDE], const float *x, const float *y, int64_t k, uint64_t algorithm)
{
    float s[BESIDE] = {};

    for (int64_t n = 0; n < k; n++) {
        const int64_t e = algorithm ? k - 1 - n : n;
        for (int64_t i = 0; i < BESIDE; i++)
            s[i] = std::fma(x[e * BESIDE + i], y[e * BESIDE], s[i]);
    }
    std::memcpy(sums, s, sizeof s);
}

void multiply(const problem &p, uint64_t algorithm, float alpha, const void *a, const void *b,
              float beta, void *c, void *bias)
{
    const std::vector<float> left = chains_of(a, p.a, p.ta, p.m, p.k),
                             right = chains_of(b, p.b, !p.tb, p.n, p.k);
    const auto column = [&](int64_t j) {
        return right.data() + j / BESIDE * BESIDE * p.k + j % BESIDE;
    };

    float sums[BESIDE];
    for (int64_t j = 0; j < p.n; j++)
        for (int64_t i = 0; i < p.m; i++) {
            if (i % BESIDE == 0)
                chain(sums, left.data() + i * p.k, column(j), p.k, algorithm);
            float sum = sums[i % BESIDE] * alpha;
            if (beta != 0.0f)
                sum += beta * number_at(c, p.c.f, j * p.c.ld + i);
            if (p.epilogue == CUBLASLT_EPILOGUE_BIAS)
                sum += number_at(bias, p.c.f, i);
            put_number(c, p.c.f, j * p.c.ld + i, sum);
        }
    for (int64_t j = 0; p.epilogue == CUBLASLT_EPILOGUE_BGRADB && j < p.n; j++) {
        float sum = 0.0f;
        for (int64_t k = 0; k < p.k; k++)
            sum += column(j)[k * BESIDE];
        put_number(bias, p.c.f, j, sum);
    }
}

#define FAIL_IF_TOLD()                                                                             \
    do {                                                                                           \
        if (emu::told_to_fail())                                                                   \
            return CUBLAS_STATUS_NOT_INITIALIZED;                                                  \
    } while (0)

template <class T, class... A> cublasStatus_t make(T **out, const char *what, A... with)
{
    FAIL_IF_TOLD();
    *out = new (std::nothrow) T{with...};
    emu::counted(what, 1);
    return *out ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}
template <class T> cublasStatus_t drop(T *x, const char *what)
{
    if (!x) /* the library would follow it */
        return CUBLAS_STATUS_SUCCESS;
    delete x;
    emu::counted(what, -1);
    return CUBLAS_STATUS_SUCCESS;
}
} // namespace

size_t cublasLtGetVersion(void)
{
    return 130100;
}
const char *cublasLtGetStatusString(cublasStatus_t status)
{
    switch (status) {
    case CUBLAS_STATUS_SUCCESS:
        return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_INVALID_VALUE:
        return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED:
        return "CUBLAS_STATUS_NOT_SUPPORTED";
    default:
        return "the emulated device was told to fail";
    }
}

cublasStatus_t cublasLtCreate(cublasLtHandle_t *h)
{
    return make(h, "cuBLASLt handles", 0);
}
cublasStatus_t cublasLtDestroy(cublasLtHandle_t h)
{
    return drop(h, "cuBLASLt handles");
}
cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t *d, cublasComputeType_t compute,
                                        cudaDataType_t scale)
{
    if (compute != CUBLAS_COMPUTE_32F || scale != CUDA_R_32F)
        return CUBLAS_STATUS_NOT_SUPPORTED;
    return make(d, "products");
}
cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t d)
{
    return drop(d, "products");
}
cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t d,
                                              cublasLtMatmulDescAttributes_t what,
                                              const void *value, size_t bytes)
{
    void *to = what == CUBLASLT_MATMUL_DESC_TRANSA     ? (void *)&d->ta
               : what == CUBLASLT_MATMUL_DESC_TRANSB   ? (void *)&d->tb
               : what == CUBLASLT_MATMUL_DESC_EPILOGUE ? (void *)&d->epilogue
                                                       : (void *)&d->bias;

    FAIL_IF_TOLD();
    if (bytes != (what == CUBLASLT_MATMUL_DESC_BIAS_POINTER ? sizeof d->bias : sizeof d->ta))
        return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(to, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t *m, cudaDataType_t f,
                                          uint64_t rows, uint64_t cols, int64_t ld)
{
    return make(m, "matrices", f, (int64_t)rows, (int64_t)cols, ld);
}
cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t m)
{
    return drop(m, "matrices");
}
cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t *p)
{
    return make(p, "preferences");
}
cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t p)
{
    return drop(p, "preferences");
}
cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t p,
                                                    cublasLtMatmulPreferenceAttributes_t what,
                                                    const void *value, size_t bytes)
{
    void *to = &p->schemes;
    size_t size = sizeof p->schemes;

    if (what == CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) {
        to = &p->room;
        size = sizeof p->room;
    } else if (what != CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK) {
        to = &p->align[what - CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES];
    }
    FAIL_IF_TOLD();
    if (bytes != size)
        return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(to, value, bytes);
    return CUBLAS_STATUS_SUCCESS;
}

/* Which one comes first is DS_EMU_RANKING's to say. */
static uint64_t first_choice()
{
    const char *v = std::getenv("DS_EMU_RANKING");

    return v && *v == '1';
}

/* There is none for two bytes at odd addresses, and no bias beside a number of rows that 8 does not
 * divide: what the library does not have is to be tested too. */
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t h, cublasLtMatmulDesc_t d,
                                              cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                              cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t to,
                                              cublasLtMatmulPreference_t p, int wanted,
                                              cublasLtMatmulHeuristicResult_t found[], int *n)
{
    problem of;

    *n = 0;
    FAIL_IF_TOLD();
    if (!h || !p || wanted < 1 || p->schemes != 0)
        return CUBLAS_STATUS_INVALID_VALUE;
    const cublasStatus_t status = problem_of(&of, d, a, b, c, to);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    uint64_t least = 256;
    for (uint32_t align : p->align) {
        if (align == 0 || align & (align - 1))
            return CUBLAS_STATUS_INVALID_VALUE;
        least = align < least ? align : least;
    }
    if (p->room < WORKSPACE || (of.a.f != CUDA_R_32F && least < 4) ||
        (of.epilogue != CUBLASLT_EPILOGUE_DEFAULT && of.n % 8))
        return CUBLAS_STATUS_NOT_SUPPORTED;
    found[0] = cublasLtMatmulHeuristicResult_t{};
    found[0].algo.data[0] = digest_of(of);
    found[0].algo.data[1] = least;
    found[0].algo.data[2] = first_choice();
    found[0].workspaceSize = WORKSPACE;
    *n = 1;
    return CUBLAS_STATUS_SUCCESS;
}

static bool fits(const cublasLtMatmulAlgo_t *algo, const problem &p)
{
    return algo->data[0] == digest_of(p) && algo->data[1] && algo->data[2] < 2;
}

cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t h, cublasLtMatmulDesc_t d,
                                       cublasLtMatrixLayout_t a, cublasLtMatrixLayout_t b,
                                       cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t to,
                                       const cublasLtMatmulAlgo_t *algo,
                                       cublasLtMatmulHeuristicResult_t *result)
{
    problem of;

    FAIL_IF_TOLD();
    if (!h || !algo || !result)
        return CUBLAS_STATUS_INVALID_VALUE;
    const cublasStatus_t status = problem_of(&of, d, a, b, c, to);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    result->workspaceSize = WORKSPACE;
    return fits(algo, of) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_INVALID_VALUE;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t h, cublasLtMatmulDesc_t d, const void *alpha,
                              const void *a, cublasLtMatrixLayout_t la, const void *b,
                              cublasLtMatrixLayout_t lb, const void *beta, const void *c,
                              cublasLtMatrixLayout_t lc, void *to, cublasLtMatrixLayout_t lto,
                              const cublasLtMatmulAlgo_t *algo, void *workspace, size_t bytes,
                              cudaStream_t s)
{
    const uintptr_t all = (uintptr_t)a | (uintptr_t)b | (uintptr_t)to;
    float by, keep;
    problem p;

    FAIL_IF_TOLD();
    if (!h || !algo || !s || c != to)
        return CUBLAS_STATUS_INVALID_VALUE;
    const cublasStatus_t status = problem_of(&p, d, la, lb, lc, lto);
    if (status != CUBLAS_STATUS_SUCCESS)
        return status;
    if (!fits(algo, p) || all % algo->data[1] != 0)
        return CUBLAS_STATUS_INVALID_VALUE;
    if (bytes < WORKSPACE || (uintptr_t)workspace % 256 || !emu::on_device(workspace, bytes))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!emu::on_device(a, bytes_of(p.a)) || !emu::on_device(b, bytes_of(p.b)) ||
        !emu::on_device(to, bytes_of(p.c)))
        return CUBLAS_STATUS_INVALID_VALUE;
    const bool extra = p.epilogue != CUBLASLT_EPILOGUE_DEFAULT;
    const int64_t long_as = p.epilogue == CUBLASLT_EPILOGUE_BIAS ? p.m : p.n;
    void *bias = d->bias; /* as it is now */
    if (extra && !emu::on_device(bias, (size_t)long_as * size_of(p.c.f)))
        return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(&by, alpha, sizeof by);
    std::memcpy(&keep, beta, sizeof keep);
    const uint64_t algorithm = algo->data[2];
    s->add([=] {
        multiply(p, algorithm, by, a, b, keep, to, bias);
        emu::device_fill(workspace, 0xff, WORKSPACE);
    });
    return CUBLAS_STATUS_SUCCESS;
}
