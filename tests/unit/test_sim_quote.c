// SPDX-License-Identifier: Apache-2.0
// Quotes of the simulated TEEs: made under this machine's root, judged by the verifier's rules.
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <cmocka.h>

#include <shelter/simtd.h>
#include <shelter/verify.h>

#include "host/attest/sim_tee.h"
#include "host/sgx/sim/sim.h"
#include "host/launch/qemu/parts.h"
#include "lib/bytes.h"

static char folder[] = "/tmp/shelter-test-quote-XXXXXX";
static char *tee_dir, *fuses;
static uint8_t *root;
static size_t root_size;

static int setup(void **state)
{
    struct sh_error err = {0};
    if (!mkdtemp(folder))
        return -1;
    tee_dir = sh_format("%s/sim-tee", folder);
    fuses = sh_format("%s/fuses", folder);
    if (sh_sim_tee_make(tee_dir, &err) || sim_cpu_init(fuses))
        return -1;
    cleanup_free char *path = sh_format("%s/" SH_SIM_ROOT, tee_dir);
    return sh_read_file(AT_FDCWD, path, 65536, &root, &root_size, &err);
}

static int teardown(void **state)
{
    sh_remove_tree(AT_FDCWD, folder);
    free(tee_dir);
    free(fuses);
    free(root);
    return 0;
}

struct judged {
    bool accepted, simulated;
    enum shelter_reason reason;
    char tcb[48];
};

static struct judged judge(const uint8_t *quote, size_t size, const char *collateral, bool named,
                           bool allowed, int64_t when)
{
    struct shelter_collateral *col = NULL;
    struct shelter_verdict *v;
    struct judged j;
    char why[200] = "";
    if (collateral)
        assert_int_equal(
            shelter_collateral_load(collateral, root, root_size, &col, why, sizeof(why)), 0);
    struct shelter_verify_request rq = {.size = sizeof(rq),
                                        .evidence = quote,
                                        .evidence_size = size,
                                        .collateral = col,
                                        .ca = named ? root : NULL,
                                        .ca_size = named ? root_size : 0,
                                        .time = when,
                                        .allow_simulated = allowed};
    assert_int_equal(shelter_verify(&rq, &v), 0);
    j = (struct judged){shelter_verdict_accepted(v), shelter_verdict_simulated(v),
                        shelter_verdict_reason(v), ""};
    snprintf(j.tcb, sizeof(j.tcb), "%s", shelter_verdict_tcb_status(v));
    shelter_verdict_free(v);
    shelter_collateral_free(col);
    return j;
}

static struct sgx_report make_report(const struct sgx_targetinfo *target)
{
    static struct sgxsim dev;
    struct sgx_report r;
    uint8_t data[64];
    memset(data, 0x5a, sizeof(data));
    memset(dev.secs.mrenclave, 0x33, 32);
    dev.secs.attributes =
        (struct sgx_attributes){SGX_ATTR_INIT | SGX_ATTR_MODE64BIT | SGX_ATTR_KSS, SGX_XFRM_LEGACY};
    assert_int_equal(sim_report(&dev, target, data, &r), 0);
    return r;
}

/* Every combination of being named and allowed; with collateral, in time and out of it. */
static void judge_all(const uint8_t *quote, size_t size, bool tdx)
{
    struct sh_error err = {0};
    int64_t now = time(NULL);
    cleanup_free char *col = sh_format("%s/%s", folder, tdx ? "tdx" : "sgx");
    cleanup_free char *other = sh_format("%s/other", folder);
    struct judged j = judge(quote, size, NULL, true, true, now);
    assert_true(j.accepted && j.simulated);
    assert_string_equal(j.tcb, "Simulated");
    assert_int_equal(judge(quote, size, NULL, true, false, now).reason, SHELTER_R_SIMULATED);
    assert_int_equal(judge(quote, size, NULL, false, true, now).reason, SHELTER_R_SIMULATED);
    assert_int_equal(judge(quote, size, NULL, false, false, now).reason, SHELTER_R_SIMULATED);

    assert_int_equal(sh_sim_collateral_write(tee_dir, col, tdx, &err), 0);
    j = judge(quote, size, col, true, true, now + 1);
    assert_int_equal(j.reason, SHELTER_R_OK);
    assert_true(j.accepted);
    assert_string_equal(j.tcb, "UpToDate");
    assert_int_equal(judge(quote, size, col, true, true, now + 31 * 86400).reason,
                     SHELTER_R_CRL_EXPIRED);
    assert_int_equal(judge(quote, size, col, true, true, now - 3600).reason, SHELTER_R_CRL_EARLY);
    assert_int_equal(judge(quote, size, col, true, true, now + 21ll * 366 * 86400).reason,
                     SHELTER_R_CERT_EXPIRED);
    assert_int_equal(sh_sim_collateral_write(tee_dir, other, !tdx, &err), 0);
    assert_int_equal(judge(quote, size, other, true, true, now + 1).reason,
                     SHELTER_R_TCB_INFO_MISMATCH);
}

static void test_sgx(void **state)
{
    static uint8_t quote[SH_QUOTE_MAX];
    struct sgx_targetinfo target;
    struct sh_error err = {0};
    sh_sim_qe_target(&target);
    struct sgx_report r = make_report(&target);
    int n = sh_sim_qe_quote_sgx(tee_dir, &r, quote, &err);
    assert_true(n > 432);
    assert_memory_equal(quote + 48, &r, 384);
    judge_all(quote, (size_t)n, false);
}

/* No byte of a report may change, and none for another target is quoted. */
static void test_sgx_mac(void **state)
{
    static uint8_t quote[SH_QUOTE_MAX];
    struct sgx_targetinfo target;
    sh_sim_qe_target(&target);
    struct sgx_report good = make_report(&target), r;
    for (size_t i = 0; i < sizeof(r); i++) {
        struct sh_error err = {0};
        r = good;
        ((uint8_t *)&r)[i] ^= 1;
        assert_int_equal(sh_sim_qe_quote_sgx(tee_dir, &r, quote, &err), -EBADMSG);
    }
    struct sh_error err = {0};
    target.mrenclave[0] ^= 1;
    r = make_report(&target);
    assert_int_equal(sh_sim_qe_quote_sgx(tee_dir, &r, quote, &err), -EBADMSG);
}

static void test_tdx(void **state)
{
    static uint8_t out[sizeof(struct sh_simtd_quote_reply) + SH_SIMTD_QUOTE_MAX];
    struct sh_td_measurement m = {.mrtd = {1}, .rtmr = {{2}, {3}, {4}, {5}}, .mrconfigid = {6}};
    struct sh_simtd_request request = {
        .magic = SH_SIMTD_MAGIC, .kind = SH_SIMTD_QUOTE, .report_data = {7}};
    struct sh_simtd_quote_reply head;
    size_t n = sh_simtd_answer_quote(&m, &request, tee_dir, out);
    memcpy(&head, out, sizeof(head));
    assert_int_equal(head.status, 0);
    assert_int_equal(n, sizeof(head) + head.size);
    const uint8_t *quote = out + sizeof(head);
    judge_all(quote, head.size, true);
    assert_int_equal(quote[48 + 136], 1);          /* MRTD */
    assert_int_equal(quote[48 + 184], 6);          /* MRCONFIGID */
    assert_int_equal(quote[48 + 328 + 3 * 48], 5); /* RTMR3 */
    assert_int_equal(quote[48 + 520], 7);          /* REPORTDATA */
    request.magic++;
    n = sh_simtd_answer_quote(&m, &request, tee_dir, out);
    memcpy(&head, out, sizeof(head));
    assert_int_equal(head.status, EINVAL);
    assert_int_equal(n, sizeof(head));
}

static void test_files(void **state)
{
    static uint8_t quote[SH_QUOTE_MAX];
    struct sh_error err = {0};
    struct stat st;
    cleanup_free char *keys = sh_format("%s/quoting.pem", tee_dir);
    cleanup_free char *authority = sh_format("%s/authority.pem", tee_dir);
    assert_int_equal(stat(keys, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(stat(authority, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(sh_sim_tee_make(tee_dir, &err), 0); /* the same stays */
    cleanup_free char *path = sh_format("%s/" SH_SIM_ROOT, tee_dir);
    cleanup_free uint8_t *again = NULL;
    size_t size;
    assert_int_equal(sh_read_file(AT_FDCWD, path, 65536, &again, &size, &err), 0);
    assert_int_equal(size, root_size);
    assert_memory_equal(again, root, size);
    /* A machine's evidence is not another machine's. */
    cleanup_free char *other = sh_format("%s/other-tee", folder);
    struct sgx_targetinfo target;
    assert_int_equal(sh_sim_tee_make(other, &err), 0);
    sh_sim_qe_target(&target);
    struct sgx_report r = make_report(&target);
    int n = sh_sim_qe_quote_sgx(other, &r, quote, &err);
    assert_true(n > 0);
    assert_int_equal(judge(quote, (size_t)n, NULL, true, true, time(NULL)).reason,
                     SHELTER_R_SIMULATED);
    assert_int_equal(truncate(keys, 40), 0);
    assert_int_equal(sh_sim_qe_quote_sgx(tee_dir, &r, quote, &err), -EBADMSG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sgx),
        cmocka_unit_test(test_sgx_mac),
        cmocka_unit_test(test_tdx),
        cmocka_unit_test(test_files),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
