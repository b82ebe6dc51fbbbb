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
import math

import keras

from noisymix_tf.errors import UsageError

AUTO, INPUT = "auto", "input"
# An error message that names more points than this is not read.
_MAX_LISTED = 12
_MAX_HIDDEN = 3
# Two sizes within this factor are one resolution: convolutions without padding
# and odd strides change sizes a little.
_SAME_SIZE = 1.5

_MERGES = ("Add", "Average", "Concatenate", "CustomScaleLayer", "Maximum")
_MERGE_WORDS = ("add", "concat", "droppath", "merge", "residual", "stochastic")
_PREPROCESSING = ("CastToFloat32", "Lambda", "Resize")
_PREPROCESSING_WORDS = ("normaliz", "preprocess", "rescal", "standardiz")


def find(graph, taps):
    """The places of taps in a `Graph`.

    Args:
        graph: `Graph`.
        taps: `"auto"`, `"auto:N"`, or names; see `segments.cut`.

    Returns:
        Of each `(place, value, name)`: how many steps lie before it, and the
        number of its value.

    Raises:
        UsageError: A tap that cannot be used.
    """
    if is_auto(taps):
        taps = choose(graph)[: _how_many(taps)]
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


def is_auto(taps):
    """Whether taps are left to be chosen."""
    return isinstance(taps, str) and taps.split(":")[0] == AUTO


def _how_many(taps):
    """The number in `"auto:N"`; None in `"auto"`."""
    _, colon, number = taps.partition(":")
    if not colon:
        return None
    if not number.isdecimal() or int(number) < 1:
        raise UsageError(
            f"taps={taps!r} must be 'auto', or 'auto:N' with N of at least 1: "
            f"it is how many of the automatic taps are used."
        )
    return int(number)


def _place(tap, graph):
    """`(place, value, name)` of a tap: steps before it, number of its value."""
    if tap == INPUT:
        return 0, 0, INPUT
    names = graph.names
    found = [tap] if tap in names else [n for n in names if _fits(n, tap)]
    values = {names[name] for name in found}
    for point in graph.points:
        if values == {point.value}:
            return point.position + 1, point.value, point.name
    raise UsageError(_refusal(tap, found, values, graph))


def _fits(name, tap):
    """Whether a tap abbreviates a name: its end, and no number of the call."""
    tail = name.split("/")[-str(tap).count("/") - 1 :]
    plain = [part.split("#")[0].split(":")[0] for part in tail]
    return tap in ("/".join(tail), "/".join(plain))


def _refusal(tap, found, values, graph):
    """Why a tap is no point, and which are."""
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
    names = [INPUT, *points]
    usable = ", ".join(names)
    if len(names) > _MAX_LISTED:
        blocks = [block.name for block in block_outputs(graph)]
        sensible = dict.fromkeys([*choose(graph), *blocks])
        shown = list(sensible)[:_MAX_LISTED]
        usable = (
            f"{', '.join(shown)} and {len(names) - len(shown)} others "
            f"(noisymix_tf.cut_points(model) has them all)"
        )
    return f"Unusable tap {tap!r}: {reason}. Usable: {usable}."


def choose(graph):
    """The taps that `"auto"` stands for, of a `Graph`: a tuple of names."""
    blocks = block_outputs(graph)
    stages = _by_resolution(blocks, graph.shapes)
    if len(stages) > 1:
        hidden = _last_of_each(stages, graph)
    else:
        depths = {math.ceil(len(blocks) * q / 4) - 1 for q in (1, 2, 3)}
        hidden = [blocks[depth] for depth in sorted(depths)] if blocks else []
    return (_preprocessed(graph), *(block.name for block in hidden))


def block_outputs(graph):
    """The points at which blocks end, in order; the head has none."""
    body = _body(graph)
    merges, units = _merges(body), _units(body, graph.shapes)
    num_resolutions = len(_by_resolution(units, graph.shapes))
    return merges if 2 * len(merges) > num_resolutions else units


def _last_of_each(stages, graph):
    """The last block of the stages that are mixed."""
    blocks = [stage[-1] for stage in stages]
    resolutions = _by_resolution(_body(graph), graph.shapes)
    if len(resolutions) > _MAX_HIDDEN:
        final = _size(graph.shapes, resolutions[-1][-1])
        sizes = [_size(graph.shapes, block) for block in blocks]
        blocks = [b for b, s in zip(blocks, sizes) if not _same_size(s, final)]
    return blocks[:_MAX_HIDDEN]


def _preprocessed(graph):
    """Name of the point behind the leading preprocessing, or of the input."""
    names = {point.position: point.name for point in graph.points}
    found = INPUT
    for position, step in enumerate(graph.steps):
        if not isinstance(step.operation, keras.Operation):
            continue  # The entrance of a model.
        if _is_preprocessing(step, graph.shapes):
            found = names.get(position, found)
        elif not _is_reshaping(step):
            break
    return found


def _body(graph):
    """The points between the first layer with weights and the head.

    The head begins with pooling over the image, or with the classifier. Points
    behind a flattening or pooling count where there are no others, as in
    networks of dense layers.
    """
    weighted = [i for i, step in enumerate(graph.steps) if _is_weighted(step)]
    if not weighted:
        return []
    points = [
        p for p in graph.points if weighted[0] <= p.position < weighted[-1]
    ]
    is_vector = len(graph.shapes[0]) == 1
    body = []
    for point in points:
        pooled = type(point.step.operation).__name__.startswith("Global")
        if pooled or (len(graph.shapes[point.value]) == 1 and not is_vector):
            break
        body.append(point)
    return body or points


def _merges(body):
    """The points that end blocks with branches."""
    merges = []
    for point, after in zip(body, [*body[1:], None]):
        if _is_merge(point.step):
            activated = after is not None and _is_activation(after.step)
            merges.append(after if activated else point)
    return merges


def _units(body, shapes):
    """The points that end blocks without branches."""
    units = []
    is_open = False
    for point in body:
        if _is_weighted(point.step):
            units.append(point)
            is_open = True
        elif is_open and shapes[point.value] == shapes[units[-1].value]:
            units[-1] = point
        else:
            is_open = False
    return units


def _by_resolution(points, shapes):
    """Groups points, in order, into runs of one resolution."""
    stages = []
    for point in points:
        size = _size(shapes, point)
        if stages and _same_size(_size(shapes, stages[-1][0]), size):
            stages[-1].append(point)
        else:
            stages.append([point])
    return stages


def _size(shapes, point):
    """Height and width, or the number of tokens; nothing for vectors."""
    shape = shapes[point.value]
    if keras.config.image_data_format() == "channels_first" and len(shape) > 2:
        return shape[1:]
    return shape[:-1]


def _same_size(a, b):
    if a == b or None in (*a, *b):
        return a == b
    if len(a) != len(b):
        # Tokens made of an image.
        a, b = (math.prod(a),), (math.prod(b),)
    return all(
        max(x, y) < _SAME_SIZE * max(min(x, y), 1) or x == y
        for x, y in zip(a, b)
    )


def _kind(step):
    """Name and module of an operation's class."""
    return type(step.operation).__name__, type(step.operation).__module__


def _is_layer(step):
    return isinstance(step.operation, keras.layers.Layer)


def _is_weighted(step):
    """Whether a step has weights, and not just to normalise or activate."""
    name, module = _kind(step)
    aside = (".normalization", ".preprocessing", ".activations")
    return bool(
        _is_layer(step)
        and step.operation.weights
        and not any(room in module for room in aside)
        and "Normalization" not in name
    )


def _is_merge(step):
    name, module = _kind(step)
    named = any(word in name.lower() for word in _MERGE_WORDS)
    own = not module.startswith("keras.src.")
    return len(set(step.inputs)) > 1 and (name in _MERGES or (own and named))


def _is_activation(step):
    name, module = _kind(step)
    is_known = ".activations" in module or module.endswith("ops.nn")
    return len(step.inputs) == 1 and "Softmax" not in name and is_known


def _is_preprocessing(step, shapes):
    """Whether a step prepares pixels, at the head of a network."""
    name, module = _kind(step)
    if ".preprocessing" in module or name in _PREPROCESSING:
        return True
    if not _is_layer(step):
        # Arithmetic such as `x / 127.5 - 1`.
        return shapes[step.outputs[0]] == shapes[step.inputs[0]]
    named = any(word in name.lower() for word in _PREPROCESSING_WORDS)
    return named and not step.operation.weights


def _is_reshaping(step):
    """Whether a step only rearranges what preprocessing may follow on."""
    _, module = _kind(step)
    return ".reshaping" in module or ".merging" in module or not _is_layer(step)
