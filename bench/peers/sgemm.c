/* Matrix products by a library's sgemm: PEER_OPENBLAS, PEER_BLIS or PEER_ONEDNN says whose. */
#include "product.h"

#include <stdio.h>

#if defined(PEER_ONEDNN)
#include <dnnl.h>

static bool multiply(const peer_product *p) {
    return dnnl_sgemm(p->transposed ? 'T' : 'N', 'N', p->m, p->n, p->k, 1.0F, p->a,
                      p->transposed ? p->m : p->k, p->b, p->n, 0.0F, p->out, p->n) == dnnl_success;
}

void peer_version(char text_out[64]) {
    const dnnl_version_t *version = dnnl_version();
    (void)snprintf(text_out, 64, "oneDNN %d.%d.%d", version->major, version->minor, version->patch);
}
#else
#include <cblas.h>

static bool multiply(const peer_product *p) {
    int m = (int)p->m;
    int n = (int)p->n;
    int k = (int)p->k;
    cblas_sgemm(CblasRowMajor, p->transposed ? CblasTrans : CblasNoTrans, CblasNoTrans, m, n, k,
                1.0F, p->a, p->transposed ? m : k, p->b, n, 0.0F, p->out, n);
    return true;
}

#if defined(PEER_OPENBLAS)
void peer_version(char text_out[64]) {
    /* the first two words: its name and version */
    int n = 0;
    (void)sscanf(openblas_get_config(), "%*s %*s%n", &n);
    (void)snprintf(text_out, 64, "%.*s", n < 60 ? n : 60, openblas_get_config());
}
#else
char *bli_info_get_version_str(void); /* blis.h declares it among much that does not compile with
                                         our warnings */

void peer_version(char text_out[64]) {
    (void)snprintf(text_out, 64, "BLIS %.40s", bli_info_get_version_str());
}
#endif
#endif

static bool run(peer_product *product, int64_t rounds) {
    bool good = true;
    for (int64_t i = 0; i < rounds && good; i++) {
        good = multiply(product);
    }
    return good;
}

bool peer_matrix(const char *name, peer_product *out) {
    int64_t size[3];
    bool plain = peer_read_name(name, "gemm-", 'x', size);
    if (!plain && !peer_read_name(name, "gemmt-", 'x', size)) {
        return false;
    }
    out->transposed = !plain;
    out->m = size[0];
    out->k = size[plain ? 1 : 2];
    out->n = size[plain ? 2 : 1];
    out->n_a = out->m * out->k;
    out->n_b = out->k * out->n;
    out->n_out = out->m * out->n;
    out->run = run;
    return true;
}

#if !defined(PEER_ONEDNN)
bool peer_convolution(const char *name, peer_product *out) {
    (void)name;
    (void)out;
    return false;
}
#endif
