/*
 * An ensemble: networks that have learnt from different rows vote, and the majority is right more
 * often than its members.
 */
#include "lesson.h"

enum { N_MEMBERS = 9, N_CLASSES = 10, N_TEST = 10000, ROWS = 5000 };

static const lesson_text text = {
    .name = "ensemble",
    .title = "Ensembles",
    .lecture = "Parallel Processing: Model Ensembles. Example: Majority Vote models. Increases "
               "prediction accuracy",
    .what = "Nine networks 784-64-10 learn 5,000 images of Fashion-MNIST each, no image twice, and "
            "vote on the 10,000 of the test set; a tie goes to the class that the first of its "
            "members said. Their errors are partly their own, and these are outvoted."};

typedef struct ensemble {
    cot_model *model[N_MEMBERS];
    uint8_t label[N_TEST];
    uint8_t said[N_MEMBERS][N_TEST];
    double accuracy[N_MEMBERS]; /* of each member */
    double vote[N_MEMBERS];     /* of the majority of the first i + 1 */
    double size[N_MEMBERS];     /* i + 1 */
} ensemble;

static cot_model *build(cot_context *context) {
    cot_tensor image = cot_input(context, COT_F32, COT_SHAPE(784), "image");
    cot_tensor hidden = cot_dense(image, 64, .activation = COT_RELU);
    cot_tensor class = cot_dense(hidden, N_CLASSES, .activation = COT_SOFTMAX, .name = "class");
    return cot_model_create(context, COT_TENSORS(image), COT_TENSORS(class), NULL);
}

/* The i-th member learns the i-th ROWS rows; its scores go into `scores`, its classes into e. */
static bool train(lesson *l, ensemble *e, int i, float *scores) {
    const size_t bytes = sizeof(float) * N_TEST * N_CLASSES;
    cot_model *model = e->model[i] = build(l->context);
    cot_dataset *rows = cot_dataset_slice(l->train, (int64_t)i * ROWS, ROWS);
    bool good =
        lesson_made(l, model) && lesson_made(l, rows) &&
        lesson_good(l, cot_model_compile(model, .optimizer = cot_adam(.learning_rate = 0.002),
                                         .loss = COT_SPARSE_CATEGORICAL_CROSSENTROPY)) &&
        lesson_good(l, cot_model_fit(model, rows, .epochs = l->quick ? 5 : 15,
                                     .batch_size = LESSON_BATCH)) &&
        lesson_good(l, cot_model_predict(model, l->test, COT_BUFFERS({scores, bytes})));
    for (int row = 0; row < N_TEST && good; row++) {
        const float *score = scores + (ptrdiff_t)row * N_CLASSES;
        int best = 0;
        for (int c = 1; c < N_CLASSES; c++) {
            best = score[c] > score[best] ? c : best;
        }
        e->said[i][row] = (uint8_t)best;
    }
    cot_dataset_destroy(rows);
    return good;
}

/* The class that most of the first n members say. */
static uint8_t majority(const ensemble *e, int n, int row) {
    int votes[N_CLASSES] = {0};
    for (int i = 0; i < n; i++) {
        votes[e->said[i][row]]++;
    }
    uint8_t best = e->said[0][row];
    for (int i = 1; i < n; i++) {
        best = votes[e->said[i][row]] > votes[best] ? e->said[i][row] : best;
    }
    return best;
}

static void count(ensemble *e) {
    for (int i = 0; i < N_MEMBERS; i++) {
        int right = 0, right_votes = 0;
        for (int row = 0; row < N_TEST; row++) {
            right += e->said[i][row] == e->label[row];
            right_votes += majority(e, i + 1, row) == e->label[row];
        }
        e->accuracy[i] = (double)right / N_TEST;
        e->vote[i] = (double)right_votes / N_TEST;
        e->size[i] = i + 1.0;
    }
}

static void report(lesson *l, const ensemble *e) {
    double best = 0.0, mean = 0.0;
    (void)printf("%6s %12s %22s\n", "member", "accuracy", "vote of so many");
    for (int i = 0; i < N_MEMBERS; i++) {
        best = fmax(best, e->accuracy[i]);
        mean += e->accuracy[i] / N_MEMBERS;
        (void)printf("%6d %12.4f %22.4f\n", i + 1, e->accuracy[i], e->vote[i]);
    }
    lesson_claim(l, e->vote[N_MEMBERS - 1] > best + 0.002,
                 "the majority is right in %.2f %% of the test set, its best member in %.2f %%, "
                 "its members on average in %.2f %%",
                 100.0 * e->vote[N_MEMBERS - 1], 100.0 * best, 100.0 * mean);
    lesson_claim(l, e->vote[N_MEMBERS - 1] > e->vote[0] && e->vote[4] > e->vote[0],
                 "more members are better than one");
}

static void draw(lesson *l, const ensemble *e) {
    const figure_line line[] = {
        {.label = "majority of the first n",
         .color = FIGURE_BLUE,
         .style = FIGURE_SOLID,
         .n = N_MEMBERS,
         .x = e->size,
         .y = e->vote},
        {.label = "member n alone",
         .color = FIGURE_RED,
         .style = FIGURE_POINTS,
         .n = N_MEMBERS,
         .x = e->size,
         .y = e->accuracy},
    };
    const figure_panel panel = {.title = "Votes on the test set",
                                .x_label = "n",
                                .y_label = "accuracy",
                                .x_low = 0.5,
                                .x_high = N_MEMBERS + 0.5,
                                .line = line,
                                .n = 2};
    lesson_picture(l, &panel, 1, 1);
}

int main(int argc, char **argv) {
    static ensemble e;
    lesson l;
    float *scores = malloc(sizeof(float) * N_TEST * N_CLASSES);
    bool good = lesson_begin(&l, &text, argc, argv) && scores != NULL && lesson_data(&l);
    if (good) {
        memcpy(e.label, cot_dataset_target(l.test, 0)->data, sizeof e.label);
    }
    for (int i = 0; i < N_MEMBERS && good; i++) {
        good = train(&l, &e, i, scores);
    }
    if (good) {
        count(&e);
        report(&l, &e);
        draw(&l, &e);
    }
    for (int i = 0; i < N_MEMBERS; i++) {
        cot_model_destroy(e.model[i]);
    }
    free(scores);
    return lesson_end(&l);
}
