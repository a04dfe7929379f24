/* Where the examples find their data sets' files. Shared by the examples and the cotangent command.
 */
#ifndef EXAMPLES_DATASETS_H
#define EXAMPLES_DATASETS_H

#include <cotangent.h>

#include <limits.h>
#include <stdio.h>
#include <unistd.h>

/* Where Debian's package dataset-fashion-mnist puts its files. */
#define FASHION_MNIST_DIR "/usr/share/datasets/fashion-mnist"

/* part: "train" or "t10k". <dir>/<part>-images-idx3-ubyte and <part>-labels-idx1-ubyte, gzip (.gz)
 * or plain. */
static inline cot_dataset *read_fashion_mnist(cot_context *context, const char *dir,
                                              const char *part) {
    char images[PATH_MAX];
    char labels[PATH_MAX];
    const char *suffix = ".gz";
    (void)snprintf(images, sizeof images, "%s/%s-images-idx3-ubyte%s", dir, part, suffix);
    if (access(images, R_OK) != 0) {
        suffix = "";
    }
    (void)snprintf(images, sizeof images, "%s/%s-images-idx3-ubyte%s", dir, part, suffix);
    (void)snprintf(labels, sizeof labels, "%s/%s-labels-idx1-ubyte%s", dir, part, suffix);
    return cot_dataset_read_idx(context, images, labels, NULL);
}

/* Labels of a CIFAR-10 data set as one-hot rows; takes the data set. */
static inline cot_dataset *one_hot_of(cot_dataset *labelled) {
    cot_dataset *one_hot = cot_dataset_to_categorical(labelled, 0, 10);
    cot_dataset_destroy(labelled);
    return one_hot;
}

/* data_batch_1.bin to data_batch_5.bin in dir, those that are there, joined; labels one-hot. */
static inline cot_dataset *read_cifar10_training(cot_context *context, const char *dir) {
    char path[5][PATH_MAX];
    const char *found[5];
    int32_t n = 0;
    for (int i = 0; i < 5; i++) {
        (void)snprintf(path[i], sizeof path[i], "%s/data_batch_%d.bin", dir, i + 1);
        if (i == 0 || access(path[i], R_OK) == 0) {
            found[n++] = path[i];
        }
    }
    return one_hot_of(cot_dataset_read_cifar10(context, found, n, NULL));
}

/* test_batch.bin in dir; labels one-hot. */
static inline cot_dataset *read_cifar10_test(cot_context *context, const char *dir) {
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/test_batch.bin", dir);
    const char *paths[] = {path};
    return one_hot_of(cot_dataset_read_cifar10(context, paths, 1, NULL));
}

#endif
