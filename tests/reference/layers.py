"""Layers that are graphs of the library's operations: embeddings, recurrent layers under masks, multi-head attention.
Their values, and the gradients of inputs and weights for a given gradient of the values."""
from writer import Writer, grid, keras, np, tf

out = Writer("layers.txt", "Layers as graphs, values and gradients: layers.py")
layers = keras.layers


def set_weights(*made):
    """Tensor i of all is grid(shape, 7 i)."""
    weights = [w for layer in made for w in layer.weights if "seed" not in w.path]
    for i, weight in enumerate(weights):
        weight.assign(grid(weight.shape, 7 * i))
    return weights


def write_rest(weights, compute, x=None, golden=None):
    """The weights, what compute() makes of them (and of x), a gradient of that, and the gradients that follow."""
    with tf.GradientTape() as tape:
        wanted = [w.value for w in weights]
        tape.watch(wanted)
        if x is not None:
            tape.watch(x)
        y = compute()
        cotangent = grid(y.shape, 31, 2.0)
        total = tf.reduce_sum(y * cotangent)
    gradients = tape.gradient(total, ([] if x is None else [x]) + wanted)
    names = ([] if x is None else ["x"]) + [f"w{i}" for i in range(len(weights))]
    for i, weight in enumerate(weights):
        out.array(f"w{i}", weight.numpy())
    out.array("y", y.numpy())
    out.array("cotangent", cotangent)
    for name, gradient in zip(names, gradients):
        out.array(f"gradient/{name}", tf.convert_to_tensor(gradient).numpy())
    if golden is not None:
        out.array("golden", np.float32(golden))


def embedding(ids, rows, features, golden=None):
    layer = layers.Embedding(rows, features)
    ids = np.int32(ids)
    layer(ids)
    out.case("layer", "embedding")
    out.array("ids", ids)
    write_rest(set_weights(layer), lambda: layer(ids), golden=golden)


def recurrent(kind, units, ids, sequences=False, golden=None, **options):
    """An Embedding whose 0 is masked, before a recurrent layer."""
    embed = layers.Embedding(6, 2, mask_zero=True)
    layer = getattr(layers, kind)(units, return_sequences=sequences, **options)
    ids = np.int32(ids)
    layer(embed(ids))
    out.case("layer", kind.lower(), return_sequences=sequences, **options)
    out.array("ids", ids)
    write_rest(set_weights(embed, layer), lambda: layer(embed(ids)), golden=golden)


def attention(heads, key_dim, value_dim=None, causal=False, keys=None, mask=None, golden=None, golden_scores=None):
    """Of x by itself, or of x by other keys, which are the values too. Scores are of a second way through the layer,
    by its masked softmax, which gives a query that may see nothing zeros: not under a mask."""
    layer = layers.MultiHeadAttention(heads, key_dim, value_dim)
    n = 1 if golden is not None else 2
    x = tf.constant(grid((n, 4, 5), 3, 2.0))
    other = None if keys is None else tf.constant(grid((n, keys, 5), 11, 2.0))

    def call(**options):
        return layer(x, x if other is None else other, attention_mask=mask, use_causal_mask=causal, **options)

    call()
    weights = set_weights(layer)
    out.case("layer", "multi_head_attention", causal=causal)
    out.array("x", x)
    if other is not None:
        out.array("keys", other)
    if mask is None:
        out.array("scores", call(return_attention_scores=True)[1])
    else:
        out.array("mask", mask.astype(np.int32))
    write_rest(weights, call, x, golden)
    if golden_scores is not None:
        out.array("golden_scores", np.float32(golden_scores))


embedding([[1, 4]], 5, 3, [-0.29207921, 0.074257426, 0.44059405, 0.004950495, 0.37128714, -0.26237625])
embedding([[1, 4, 1, 1], [0, 1, 4, 0], [3, 3, 3, 3]], 5, 3)
embedding([[0], [0], [0]], 1, 1)

padded = [[1, 2, 0, 0, 0], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0], [5, 5, 5, 0, 0], [4, 0, 0, 0, 0]]
gaps = [[0, 1, 0, 2, 0], [1, 2, 3, 4, 5], [0, 0, 0, 0, 0], [0, 0, 5, 5, 1], [3, 0, 0, 0, 4]]
known = [-0.065473959, -0.12279072]
recurrent("SimpleRNN", 2, [[1, 2, 0, 0, 0]], golden=known)
recurrent("SimpleRNN", 2, [[1, 2]], golden=known)
for kind, options in [("SimpleRNN", {}), ("LSTM", {}), ("GRU", {}), ("GRU", {"reset_after": False})]:
    recurrent(kind, 3, padded, **options)
    recurrent(kind, 3, gaps, **options)
    recurrent(kind, 3, gaps, True, **options)
    recurrent(kind, 2, gaps, go_backwards=True, **options)

attention(2, 3, golden=[-0.61950761, -0.017810501, 0.32811511, -0.079454035, 0.092340752, -0.62086982, -0.015412413,
                        0.32320493, -0.070097476, 0.094289713],
          golden_scores=[0.26208746, 0.2786203, 0.22262438, 0.23666784])
attention(2, 3, causal=True, golden=[-0.59288496, -0.1018712, 0.46844849, -0.43726346, 0.032477878, -0.56674117,
                                     -0.11191463, 0.51509225, -0.44917548, 0.016430117])
attention(1, 2, 4, keys=3)
some = np.arange(2 * 4 * 4).reshape(2, 4, 4) * 7 % 3 > 0
some[1, 2] = False  # a query that may see nothing
attention(2, 3, mask=some)
attention(3, 2, 1, causal=True, mask=some)
out.close()
