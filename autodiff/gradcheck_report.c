/*
 * What a gradient check says: a line an input, the smallest part that fails, the verdict, and the
 * report's fields. Of the two orders the one that failed is reported, else the first.
 */
#include "gradcheck.h"

#include <stdio.h>
#include <string.h>

/* The order that the report is about. */
typedef struct subject {
    const coti_check *check;
    const coti_check_result *result;
    bool is_second;
} subject;

static subject subject_of(const coti_check_job *j) {
    bool second = j->second != NULL && !j->result.failed && j->second_result.failed;
    return (subject){second ? j->second : j->check, second ? &j->second_result : &j->result,
                     second};
}

static bool has_failed(const coti_check_job *j) {
    return j->result.failed || (j->second != NULL && j->second_result.failed);
}

static bool has_passed(const coti_check_job *j) {
    int64_t unclear = j->result.n_unclear + (j->second != NULL ? j->second_result.n_unclear : 0);
    return j->is_finite && !has_failed(j) && unclear == 0;
}

/* ---- one line ---- */

static void append_leaf(coti_str *out, const coti_check *check, int32_t leaf) {
    const coti_check_part *part = &check->leaf[leaf];
    coti_str_printf(out, "%s \"%s\"", coti_check_is_state(check, part) ? "state" : "input",
                    part->name);
}

/* `d output "y"[3] / d input "x"[5]`, or what stands for either. */
static void append_place(coti_str *out, const subject *s, const coti_check_entry *entry) {
    coti_str_append(out, "d ");
    if (entry->output < 0) {
        coti_str_append(out, "(a combination of the outputs)");
    } else {
        coti_str_printf(out, "output \"%s\"[%lld]", s->check->output[entry->output].name,
                        (long long)entry->output_element);
    }
    coti_str_append(out, " / d ");
    if (entry->leaf < 0) {
        coti_str_append(out, "(a random direction)");
    } else {
        append_leaf(out, s->check, entry->leaf);
        coti_str_printf(out, "[%lld]", (long long)entry->element);
    }
}

static void append_suspect(coti_str *out, const coti_check_culprit *culprit) {
    if (culprit->op != NULL) {
        coti_str_printf(out, "; suspect: %s", culprit->op);
    } else {
        coti_str_append(out, "; no operation is wrong by itself");
    }
    if (culprit->layer != NULL) {
        coti_str_printf(out, " \"%s\"", culprit->layer);
    }
}

static void append_failure(coti_str *out, const coti_check_job *j, const subject *s) {
    const coti_check_entry *worst = &s->result->worst;
    bool native = s->result->native_failed;
    append_place(out, s, worst);
    coti_str_append(out, " is ");
    coti_str_double(out, worst->analytic);
    coti_str_append(out, native ? " in the graph's own dtypes and " : " by cot_grad and ");
    coti_str_double(out, worst->numeric);
    if (native) {
        coti_str_append(out, " in f64, of which rounding explains ");
        coti_str_double(out, s->result->native_allowed);
    } else {
        coti_str_append(out, " by differences");
    }
    append_suspect(out, &j->culprit);
}

static void append_verdict(coti_str *out, const coti_check_job *j) {
    subject s = subject_of(j);
    if (!j->is_finite) {
        coti_str_printf(out, "the outputs are not finite at %d points", (int)j->n_points);
    } else if (s.result->failed) {
        append_failure(out, j, &s);
    } else if (!has_passed(j)) {
        coti_str_printf(out, "undecided, there is a kink near each of %d points", (int)j->n_points);
    } else {
        coti_str_printf(out, "%lld derivatives, largest error ", (long long)j->result.n_compared);
        coti_str_double(out, j->result.worst.error);
        coti_str_append(out, " in ");
        append_place(out, &s, &j->result.worst);
        if (j->second != NULL) {
            coti_str_printf(out, "; %lld of second order, largest error ",
                            (long long)j->second_result.n_compared);
            coti_str_double(out, j->second_result.worst.error);
        }
    }
}

/* ---- lines an input ---- */

static void append_inputs(coti_str *out, const coti_check *check, const coti_check_result *result) {
    for (int32_t i = 0; i < check->n_leaves; i++) {
        const coti_check_part *part = &check->leaf[i];
        if (part->at < 0) {
            continue;
        }
        append_leaf(out, check, i);
        coti_str_append(out, " ");
        coti_str_type(out, part->dtype, &part->shape);
        coti_str_printf(out, ": %lld derivatives by element, largest error ",
                        (long long)result->leaf_compared[i]);
        coti_str_double(out, result->leaf_error[i]);
        coti_str_append(out, "\n");
    }
}

static void append_lines(coti_str *out, const coti_check_job *j) {
    append_inputs(out, j->check, &j->result);
    if (j->second != NULL) {
        coti_str_append(out, "second order:\n");
        append_inputs(out, j->second, &j->second_result);
    }
    if (j->culprit.text.count > 0) {
        coti_str_append(out, "the smallest part that fails:\n");
        coti_str_append_bytes(out, j->culprit.text.data, j->culprit.text.count);
    }
}

/* ---- the report ---- */

static void fill_report(const coti_check_job *j, coti_str *message, cot_gradcheck_report *report) {
    subject s = subject_of(j);
    const coti_check_entry *worst = &s.result->worst;
    const coti_check_culprit *culprit = &j->culprit;
    int64_t second = j->second != NULL ? j->second_result.n_compared : 0;
    *report = (cot_gradcheck_report){.passed = has_passed(j),
                                     .order = s.is_second ? 2 : 1,
                                     .error = worst->error,
                                     .analytic = worst->analytic,
                                     .numeric = worst->numeric,
                                     .element = worst->element,
                                     .output_element = worst->output_element,
                                     .n_compared = j->result.n_compared + second,
                                     .n_points = j->n_points};
    (void)snprintf(report->input, sizeof report->input, "%s",
                   worst->leaf < 0 ? "" : s.check->leaf[worst->leaf].name);
    (void)snprintf(report->output, sizeof report->output, "%s",
                   worst->output < 0 ? "" : s.check->output[worst->output].name);
    (void)snprintf(report->op, sizeof report->op, "%s", culprit->op == NULL ? "" : culprit->op);
    (void)snprintf(report->layer, sizeof report->layer, "%s",
                   culprit->layer == NULL ? "" : culprit->layer);
    (void)snprintf(report->message, sizeof report->message, "%s", coti_str_text(message));
    if (culprit->text.count > 0 && culprit->text.count < sizeof report->part) {
        memcpy(report->part, culprit->text.data, culprit->text.count);
    }
}

cot_status coti_check_report(const coti_check_job *j, cot_gradcheck_report *report_out) {
    coti_str text;
    coti_str lines;
    coti_str_init(&text, j->context);
    coti_str_init(&lines, j->context);
    append_verdict(&text, j);
    append_lines(&lines, j);
    cot_status status = coti_str_status(&text);
    status = status == COT_OK ? coti_str_status(&lines) : status;
    if (status == COT_OK && j->options.write != NULL && lines.count > 0 &&
        !j->options.write(lines.data, lines.count, j->options.user)) {
        status = COTI_FAIL(j->context, COT_E_IO, "gradcheck: the caller stopped the report");
    }
    if (status == COT_OK) {
        fill_report(j, &text, report_out);
    }
    coti_str_free(&text);
    coti_str_free(&lines);
    return status;
}
