"""The best labels of a grid: what a graph cut finds, by message passing.

Tree-reweighted message passing (Kolmogorov, "Convergent tree-reweighted
message passing for energy minimization", 2006) raises a lower bound of the
energy in every sweep. Its sequential form visits nodes in an order in which
messages run along monotone chains: here that of the grid's anti-diagonals, the
nodes of which have no edges among them and are visited together.
"""

from typing import NamedTuple

from noisymix_tf.lazy import tf


def solve(unary, vertical, horizontal, sweeps=10) -> "tf.Tensor":
    """Labels of a grid with (nearly) the least energy

        sum_i unary_i(l_i) + sum_ij w_ij ((l_i - l_j) / (L - 1))^2

    Args:
        unary: float32 `[B, n, m, L]`, cost of each label, L at least 2.
        vertical: float32 `[B, n - 1, m]`, not negative: what two vertical
            neighbours with the first and the last label cost.
        horizontal: float32 `[B, n, m - 1]`, the same across.
        sweeps: Sweeps there and back to the labels, int32 `[B, n, m]`.
    """
    width, num_labels = unary.shape[2:]
    level = tf.range(num_labels, dtype=tf.float32) / (num_labels - 1)
    distance = tf.square(level[:, tf.newaxis] - level)
    after = _Pair(
        _skew(tf.pad(horizontal, [[0, 0], [0, 0], [0, 1]])[..., tf.newaxis]),
        _skew(tf.pad(vertical, [[0, 0], [0, 1], [0, 0]])[..., tf.newaxis]),
    )
    before = _Pair(_later(after.across), _lower(_later(after.down)))
    costs = _skew(unary)

    def turned(pair):
        return _Pair(*map(_turned, pair))

    def sweep(index, *messages):
        there = _messages(costs, after, _Pair(*messages), distance)
        # Turned around, the way back is the same.
        back = _turned(costs), turned(before), turned(there)
        return index + 1, *turned(_messages(*back, distance))

    start = (tf.constant(0), tf.zeros_like(costs), tf.zeros_like(costs))
    _, *messages = tf.while_loop(
        lambda index, *_: index < sweeps,
        sweep,
        start,
        maximum_iterations=sweeps,
    )
    labels = _decoded(costs + messages[0] + messages[1], before, level)
    return _unskewed(labels, width)


class _Pair(NamedTuple):
    """Something for the edges across and the edges down.

    Arrays are `[D, B, n, ...]`: node `i` of anti-diagonal `d` is in row `i` and
    column `d - i`. Its edge across leads to node `i` of anti-diagonal `d + 1`,
    its edge down to node `i + 1`. Places outside of the grid have no costs, and
    edges of no weight.
    """

    across: "tf.Tensor"
    down: "tf.Tensor"


def _messages(costs, weights, opposite, distance):
    """Messages along all edges, from the first anti-diagonal to the last.

    `weights` `[D, B, n, 1]` are of the edges that begin at a node, `opposite`
    `[D, B, n, L]` the messages that came to it against their direction. What is
    returned came along the edges that end there.
    """

    def step(arriving, here):
        costs, weights, opposite = here
        # Every node is in two chains: half of its costs goes down each.
        share = 0.5 * (costs + sum(arriving) + sum(opposite))
        across = _sent(share - opposite.across, weights.across, distance)
        down = _sent(share - opposite.down, weights.down, distance)
        return _Pair(across, _lower(down, axis=1))

    start = tf.zeros_like(costs[0])
    sent = tf.scan(step, (costs, weights, opposite), _Pair(start, start))
    return _Pair(*map(_later, sent))


def _sent(costs, weight, distance):
    """`min_l costs(l) + weight distance(l, k)`, less its least value."""
    terms = costs[..., tf.newaxis] + weight[..., tf.newaxis] * distance
    message = tf.reduce_min(terms, axis=-2)
    return message - tf.reduce_min(message, axis=-1, keepdims=True)


def _decoded(costs, weights, level):
    """Chooses labels in turn, given those before; int32 `[D, B, n]`.

    `costs` `[D, B, n, L]` have the messages from nodes to come; `weights` are
    of the edges that end at a node.
    """

    def step(before, here):
        costs, weights = here
        chosen = tf.gather(level, before)[..., tf.newaxis]
        above = _lower(chosen, axis=1)
        costs += weights.across * tf.square(level - chosen)
        costs += weights.down * tf.square(level - above)
        return tf.argmin(costs, axis=-1, output_type=tf.int32)

    start = tf.zeros_like(costs[0, ..., 0], tf.int32)
    return tf.scan(step, (costs, weights), start)


def _skew(grid):
    """`[B, n, m, ...]` by anti-diagonals, `[n + m - 1, B, n, ...]`."""
    _, height, width, *rest = grid.shape
    # A row longer by one than the rows it is cut into shifts with each row.
    grid = tf.pad(grid, [[0, 0], [0, 0], [0, height]] + [[0, 0]] * len(rest))
    flat = tf.reshape(grid, [-1, height * (width + height), *rest])
    length = width + height - 1
    rows = tf.reshape(flat[:, : height * length], [-1, height, length, *rest])
    return tf.transpose(rows, [2, 0, 1, *range(3, 3 + len(rest))])


def _unskewed(diagonals, width):
    """Labels `[D, B, n]` as a grid `[B, n, m]`."""
    length, _, height = diagonals.shape
    flat = tf.reshape(tf.transpose(diagonals, [1, 2, 0]), [-1, height * length])
    flat = tf.pad(flat, [[0, 0], [0, height]])
    return tf.reshape(flat, [-1, height, length + 1])[:, :, :width]


def _turned(diagonals):
    """The grid turned by half a turn."""
    return tf.reverse(diagonals, [0, 2])


def _later(diagonals):
    """What is at one anti-diagonal, at the next; zeros at the first."""
    return tf.concat([tf.zeros_like(diagonals[:1]), diagonals[:-1]], 0)


def _lower(nodes, axis=2):
    """What is at one node of an anti-diagonal, at the next."""
    pads = [[0, 0] for _ in nodes.shape]
    pads[axis] = [1, 0]
    size = nodes.shape[axis]
    return tf.gather(tf.pad(nodes, pads), tf.range(size), axis=axis)
