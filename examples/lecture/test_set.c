/*
 * Why hyper-parameters are not chosen on the test set: the best of many candidates on a set looks
 * better there than it is. Small networks that differ in rate, width and first weights are the
 * candidates; each of 40 parts of the test set chooses one, which the other rows then judge.
 */
#include "lesson.h"

enum {
    N_CANDIDATES = 32,
    N_PARTS = 40,
    N_TEST = 10000,
    PART = N_TEST / N_PARTS,
    N_CLASSES = 10,
    ROWS = 2000
};

static const lesson_text text = {
    .name = "test_set",
    .title = "Why validation and test sets are two",
    .lecture = "We may end up finding hyper-parameters which fit particular peculiarities of the "
               "Test Data, but where the performance of the network won't generalize to other Test "
               "data sets",
    .what = "32 small networks that differ in learning rate, width and first weights learn 2,000 "
            "images of Fashion-MNIST. Let a set of 250 others choose the best of them: how good is "
            "it on that set, and how good on 9,750 that had no part in the choice? Asked of each "
            "of 40 such sets."};

typedef struct trial {
    uint8_t label[N_TEST];
    bool right[N_CANDIDATES][N_TEST];
    double part[N_PARTS]; /* 1 to 40 */
    double chosen[N_PARTS],
        rest[N_PARTS]; /* accuracy of the chosen one where it was chosen; elsewhere */
    double average;    /* accuracy of all candidates */
    double mean_chosen, mean_rest, error; /* error: standard error of the mean difference */
} trial;

static cot_model *build(cot_context *context, int64_t width) {
    cot_tensor image = cot_input(context, COT_F32, COT_SHAPE(784), "image");
    cot_tensor hidden = cot_dense(image, width, .activation = COT_RELU);
    cot_tensor class = cot_dense(hidden, N_CLASSES, .activation = COT_SOFTMAX, .name = "class");
    return cot_model_create(context, COT_TENSORS(image), COT_TENSORS(class), NULL);
}

/* The i-th candidate: four rates and two widths, each from four first weights. */
static bool train(lesson *l, trial *t, int i, const cot_dataset *rows, float *scores) {
    static const double rate[] = {0.001, 0.0015, 0.002, 0.003};
    cot_model *model = build(l->context, i / 4 % 2 == 0 ? 32 : 48);
    const size_t bytes = sizeof(float) * N_TEST * N_CLASSES;
    bool good =
        lesson_made(l, model) &&
        lesson_good(l, cot_model_compile(model, .optimizer = cot_adam(.learning_rate = rate[i % 4]),
                                         .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY)) &&
        lesson_good(l, cot_model_fit(model, rows, .epochs = 10)) &&
        lesson_good(l, cot_model_predict(model, l->test, COT_BUFFERS({scores, bytes})));
    for (int row = 0; row < N_TEST && good; row++) {
        const float *score = scores + (ptrdiff_t)row * N_CLASSES;
        int best = 0;
        for (int c = 1; c < N_CLASSES; c++) {
            best = score[c] > score[best] ? c : best;
        }
        t->right[i][row] = best == t->label[row];
    }
    cot_model_destroy(model);
    return good;
}

/* How many of rows [first, end) a candidate has right. */
static int count(const trial *t, int candidate, int first, int end) {
    int n = 0;
    for (int row = first; row < end; row++) {
        n += t->right[candidate][row];
    }
    return n;
}

static void choose(trial *t) {
    double sum = 0.0, squares = 0.0;
    for (int i = 0; i < N_CANDIDATES; i++) {
        t->average += (double)count(t, i, 0, N_TEST) / N_TEST / N_CANDIDATES;
    }
    for (int p = 0; p < N_PARTS; p++) {
        int best = 0, first = p * PART;
        for (int i = 1; i < N_CANDIDATES; i++) {
            bool better = count(t, i, first, first + PART) > count(t, best, first, first + PART);
            best = better ? i : best;
        }
        int here = count(t, best, first, first + PART), all = count(t, best, 0, N_TEST);
        t->part[p] = p + 1.0;
        t->chosen[p] = (double)here / PART;
        t->rest[p] = (double)(all - here) / (N_TEST - PART);
        t->mean_chosen += t->chosen[p] / N_PARTS;
        t->mean_rest += t->rest[p] / N_PARTS;
        sum += t->chosen[p] - t->rest[p];
        squares += (t->chosen[p] - t->rest[p]) * (t->chosen[p] - t->rest[p]);
    }
    double mean = sum / N_PARTS;
    t->error = sqrt((squares / N_PARTS - mean * mean) / (N_PARTS - 1));
}

static void report(lesson *l, const trial *t) {
    double gap = t->mean_chosen - t->mean_rest;
    (void)printf("accuracy of the chosen network, mean of %d choices among %d\n", N_PARTS,
                 N_CANDIDATES);
    (void)printf("  %-35s %.4f\n", "the average candidate", t->average);
    (void)printf("  on the %d images that chose it     %.4f\n", PART, t->mean_chosen);
    (void)printf("  on the %d others                  %.4f\n", N_TEST - PART, t->mean_rest);
    (void)printf("  %-35s %.4f, standard error %.4f\n", "difference", gap, t->error);
    lesson_claim(l, gap > 3.0 * t->error && gap > 0.01,
                 "a set that chose flatters what it has chosen, by %.1f points of accuracy",
                 100.0 * gap);
    double seeming = t->mean_chosen - t->average, real = t->mean_rest - t->average;
    lesson_claim(l, real < 0.5 * seeming,
                 "the choice seems to gain %.1f points over the average candidate; it gains %.1f",
                 100.0 * seeming, 100.0 * real);
}

static void draw(lesson *l, const trial *t) {
    const double ends[2] = {0.0, N_PARTS + 1.0}, chosen[2] = {t->mean_chosen, t->mean_chosen},
                 rest[2] = {t->mean_rest, t->mean_rest};
    const figure_line line[] = {
        {.label = "on the set that chose",
         .color = FIGURE_RED,
         .style = FIGURE_POINTS,
         .n = N_PARTS,
         .x = t->part,
         .y = t->chosen},
        {.label = "mean",
         .color = FIGURE_RED,
         .style = FIGURE_DASHED,
         .n = 2,
         .x = ends,
         .y = chosen},
        {.label = "on all others",
         .color = FIGURE_BLUE,
         .style = FIGURE_POINTS,
         .n = N_PARTS,
         .x = t->part,
         .y = t->rest},
        {.label = "mean", .color = FIGURE_BLUE, .n = 2, .x = ends, .y = rest},
    };
    const figure_panel panel = {.title = "Accuracy of the network that a set of 250 chose",
                                .x_label = "set",
                                .y_label = "accuracy",
                                .x_high = N_PARTS + 1.0,
                                .line = line,
                                .n = 4};
    lesson_picture(l, &panel, 1, 1);
}

int main(int argc, char **argv) {
    static trial t;
    lesson l;
    float *scores = malloc(sizeof(float) * N_TEST * N_CLASSES);
    bool good = lesson_begin(&l, &text, argc, argv) && scores != NULL && lesson_data(&l);
    cot_dataset *rows = good ? cot_dataset_slice(l.train, 0, ROWS) : NULL;
    good = good && lesson_made(&l, rows);
    if (good) {
        memcpy(t.label, cot_dataset_target(l.test, 0)->data, sizeof t.label);
    }
    for (int i = 0; i < N_CANDIDATES && good; i++) {
        good = train(&l, &t, i, rows, scores);
    }
    if (good) {
        choose(&t);
        report(&l, &t);
        draw(&l, &t);
    }
    cot_dataset_destroy(rows);
    free(scores);
    return lesson_end(&l);
}
