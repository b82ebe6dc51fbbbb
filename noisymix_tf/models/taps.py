"""Where to mix: layers by name, or the `"auto"` taps of any classifier.

Of those the first is the output of the leading preprocessing, or the input. The
hidden ones are block outputs. A block ends in a merge of branches (a sum or a
concatenation) with the activation behind it, if any; in a network with hardly
any branches, in a layer with weights and the normalisation, activation and
dropout behind it. Of the blocks of each resolution the last is taken, at the
first three resolutions, but not at the last resolution of a network with more
than three. Where all blocks have one resolution (vision transformers, networks
on vectors), those after a quarter, half and three quarters of the depth are
taken.

Reference: NoisyMix mixes at the normalised input and behind the first three
stages, whether there are three or four.
"""

import difflib
import itertools
import math

from noisymix_tf.errors import UsageError
from noisymix_tf.lazy import keras
from noisymix_tf.models.graph import is_weighted, kind_of

AUTO, INPUT = "auto", "input"
# An error message that names more points than this is not read.
_MAX_LISTED = 12
_MAX_HIDDEN = 3
# Two sizes within this factor are one resolution: convolutions without padding
# and odd strides change sizes a little.
_SAME_SIZE = 1.5

# By names and modules of classes.
_MERGES = ("Add", "Average", "Concatenate", "CustomScaleLayer", "Maximum")
_MERGE_WORDS = ("add", "concat", "droppath", "merge", "residual", "stochastic")
_PREPROCESSING = ("CastToFloat32", "Lambda", "Resize")
_ARITHMETIC = ("Add", "Divide", "Multiply", "Subtract", "TrueDivide")
_REARRANGING = (".reshaping", ".merging")
_PREPROCESSING_WORDS = ("normaliz", "preprocess", "rescal", "standardiz")


def find(graph, taps) -> list[tuple[int, int, str]]:
    """The places of taps, as `segments.cut` takes them, in a `Graph`.

    Returns of each `(place, value, name)`: how many steps lie before it, and
    the number of its value. Taps that cannot be used are a `UsageError`.
    """
    if is_auto(taps):
        _, colon, number = taps.partition(":")
        if colon and not (number.isdecimal() and int(number)):
            raise UsageError(
                f"taps={taps!r} must be 'auto', or 'auto:N' with N of at least "
                f"1: it is how many of the automatic taps are used."
            )
        taps = choose(graph)[: int(number) if colon else None]
    elif isinstance(taps, str):
        taps = (taps,)
    if not taps:
        raise UsageError("taps is empty: name at least one layer, or 'input'.")
    found = [_place(tap, graph) for tap in taps]
    places = [place for place, *_ in found]
    if places != sorted(set(places)):
        raise UsageError(
            f"taps={list(taps)} must be distinct and in the order of the data "
            f"flow: {[name for *_, name in sorted(set(found))]}."
        )
    return found


def is_auto(taps) -> bool:
    """Whether taps are left to be chosen."""
    return isinstance(taps, str) and taps.split(":")[0] == AUTO


def _place(tap, graph):
    if tap == INPUT:
        return 0, 0, INPUT
    names = graph.names
    found = [tap] if tap in names else [n for n in names if _fits(n, tap)]
    values = {names[name] for name in found}
    for point in graph.points:
        if values == {point.value}:
            return point.position + 1, point.value, point.name
    points = [point.name for point in graph.points]
    if not found:
        close = difflib.get_close_matches(str(tap), points, 3)
        reason = "the model has no such layer"
        reason += f"; close to it: {', '.join(close)}" if close else ""
    elif len(values) > 1:
        more = "..." if len(found) > _MAX_LISTED else ""
        reason = f"it may mean {', '.join(found[:_MAX_LISTED])}{more}"
    elif values == {graph.output}:
        reason = "it is the model's output"
    else:
        reason = "not all paths through the model pass it"
    usable = ", ".join([INPUT, *points])
    if len(points) >= _MAX_LISTED:
        ends = [block.name for block in blocks(graph)]
        shown = list(dict.fromkeys([*choose(graph), *ends]))[:_MAX_LISTED]
        usable = (
            f"{', '.join(shown)} and {1 + len(points) - len(shown)} others "
            f"(noisymix_tf.cut_points(model) has them all)"
        )
    raise UsageError(f"Unusable tap {tap!r}: {reason}. Usable: {usable}.")


def _fits(name, tap):
    """Whether a tap abbreviates a name: its end, and no number of the call."""
    tail = name.split("/")[-str(tap).count("/") - 1 :]
    plain = [part.split("#")[0].split(":")[0] for part in tail]
    return tap in ("/".join(tail), "/".join(plain))


def choose(graph) -> tuple[str, ...]:
    """The names of the taps that `"auto"` stands for, of a `Graph`."""
    points = blocks(graph)
    ends = [stage[-1] for stage in _by_size(points, graph)]
    if len(ends) > 1:
        sizes = _by_size(_body(graph), graph)
        last = _size(sizes[-1][-1], graph) if len(sizes) > _MAX_HIDDEN else None
        hidden = [end for end in ends if not _is_same(_size(end, graph), last)]
    else:
        depths = {math.ceil(len(points) * q / 4) - 1 for q in (1, 2, 3)}
        hidden = [points[depth] for depth in sorted(depths) if points]
    hidden = [block.name for block in hidden[:_MAX_HIDDEN]]
    return (_preprocessed(graph), *hidden)


def _preprocessed(graph):
    """Name of the point behind the leading preprocessing, or of the input."""
    names = {point.position: point.name for point in graph.points}
    found = INPUT
    for position, step in enumerate(graph.steps):
        if not isinstance(step.operation, keras.Operation):
            continue  # The entrance of a model.
        name, module, is_layer = kind_of(step)
        named = any(word in name.lower() for word in _PREPROCESSING_WORDS)
        if ".preprocessing" in module or name in _PREPROCESSING:
            prepares = True
        elif is_layer:
            prepares = named and not step.operation.weights
        else:
            # Arithmetic such as `x / 127.5 - 1`.
            first, last = step.inputs[0], step.outputs[0]
            prepares = graph.shapes[first] == graph.shapes[last]
        if prepares:
            found = names.get(position, found)
        elif is_layer and not any(room in module for room in _REARRANGING):
            break
    return found


def normalises(graph) -> bool:
    """Whether pixels of a `Graph` are changed in front of its first weights."""
    front = itertools.takewhile(lambda step: not is_weighted(step), graph.steps)
    return any(
        (name in _ARITHMETIC and not is_layer)
        or any(word in name.lower() for word in _PREPROCESSING_WORDS)
        for name, _, is_layer in map(kind_of, front)
    )


def blocks(graph):
    """The points at which blocks end, in order; the head has none."""
    body, shapes = _body(graph), graph.shapes
    merges, units, is_open = [], [], False
    for point, after in zip(body, [*body[1:], None]):
        if _is_merge(point.step):
            activated = after is not None and _is_activation(after.step)
            merges.append(after if activated else point)
        if is_weighted(point.step):
            units.append(point)
            is_open = True
        elif is_open and shapes[point.value] == shapes[units[-1].value]:
            units[-1] = point
        else:
            is_open = False
    return merges if 2 * len(merges) > len(_by_size(units, graph)) else units


def _body(graph):
    """The points between the first layer with weights and the head."""
    weighted = [i for i, step in enumerate(graph.steps) if is_weighted(step)]
    first, last = (weighted[0], weighted[-1]) if weighted else (0, 0)
    points = [p for p in graph.points if first <= p.position < last]
    is_vector = len(graph.shapes[0]) == 1

    def is_before_head(point):
        is_flat = len(graph.shapes[point.value]) == 1 and not is_vector
        return not (is_flat or kind_of(point.step)[0].startswith("Global"))

    # Points behind a flattening or pooling count where there are no others.
    return list(itertools.takewhile(is_before_head, points)) or points


def _by_size(points, graph):
    """Groups points, in order, into runs of one resolution."""
    runs = []
    for point in points:
        if runs and _is_same(_size(runs[-1][0], graph), _size(point, graph)):
            runs[-1].append(point)
        else:
            runs.append([point])
    return runs


def _size(point, graph):
    """Height and width, or the number of tokens; nothing for vectors."""
    shape = graph.shapes[point.value]
    if keras.config.image_data_format() == "channels_first" and len(shape) > 2:
        return shape[1:]
    return shape[:-1]


def _is_same(a, b):
    """Whether two sizes, of which one may be None, are one resolution."""
    if a is None or b is None or None in (*a, *b):
        return a == b
    if len(a) != len(b):
        # Tokens made of an image.
        a, b = (math.prod(a),), (math.prod(b),)
    return all(
        x == y or max(x, y) < _SAME_SIZE * max(min(x, y), 1)
        for x, y in zip(a, b)
    )


def _is_merge(step):
    name, module, _ = kind_of(step)
    named = any(word in name.lower() for word in _MERGE_WORDS)
    own = not module.startswith("keras.src.")
    return len(set(step.inputs)) > 1 and (name in _MERGES or (own and named))


def _is_activation(step):
    name, module, _ = kind_of(step)
    is_known = ".activations" in module or module.endswith("ops.nn")
    return len(step.inputs) == 1 and "Softmax" not in name and is_known
