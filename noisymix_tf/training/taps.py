"""Chooses where to mix: the `"auto"` taps of any functional classifier.

The first tap is the output of the leading preprocessing, or the input. The
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

import math

import keras

INPUT = "input"
_MAX_HIDDEN = 3
# Two sizes within this factor are one resolution: convolutions without padding
# and odd strides change sizes a little.
_SAME_SIZE = 1.5

_MERGES = ("Add", "Average", "Concatenate", "CustomScaleLayer", "Maximum")
_MERGE_WORDS = ("add", "concat", "droppath", "merge", "residual", "stochastic")
_PREPROCESSING = ("CastToFloat32", "Lambda", "Resize")
_PREPROCESSING_WORDS = ("normaliz", "preprocess", "rescal", "standardiz")


def choose(graph):
    """The taps that `"auto"` stands for.

    Args:
        graph: `Graph` of a model.

    Returns:
        Tuple of names, the input or the preprocessed input first.
    """
    blocks = block_outputs(graph)
    stages = _by_resolution(blocks, graph.shapes)
    if len(stages) > 1:
        hidden = _last_of_each(stages, graph)
    else:
        depths = {math.ceil(len(blocks) * q / 4) - 1 for q in (1, 2, 3)}
        hidden = [blocks[depth] for depth in sorted(depths)] if blocks else []
    return (_preprocessed(graph), *(block.name for block in hidden))


def block_outputs(graph):
    """The points at which blocks end, in order; the head has none.

    Args:
        graph: `Graph` of a model.
    """
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
        blocks = [
            block
            for block in blocks
            if not _same_size(_size(graph.shapes, block), final)
        ]
    return blocks[:_MAX_HIDDEN]


def _preprocessed(graph):
    """Name of the point behind the leading preprocessing, or of the input."""
    names = {point.position: point.name for point in graph.points}
    found = INPUT
    for position, step in enumerate(graph.steps):
        if _is_entrance(step):
            continue
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
    start, classifier = weighted[0], weighted[-1]
    points = [p for p in graph.points if start <= p.position < classifier]
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
    if a == b:
        return True
    if None in a or None in b:
        return False
    if len(a) != len(b):
        # Tokens made of an image.
        a, b = (math.prod(a),), (math.prod(b),)
    return all(
        max(x, y) < _SAME_SIZE * max(min(x, y), 1) or x == y
        for x, y in zip(a, b)
    )


def _is_entrance(step):
    return not isinstance(step.operation, keras.Operation)


def _is_layer(step):
    return isinstance(step.operation, keras.layers.Layer)


def _kind(step):
    """Name and module of an operation's class."""
    return type(step.operation).__name__, type(step.operation).__module__


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
    if len(set(step.inputs)) < 2:
        return False
    own = not module.startswith("keras.src.")
    return name in _MERGES or (
        own and any(word in name.lower() for word in _MERGE_WORDS)
    )


def _is_activation(step):
    name, module = _kind(step)
    return (
        len(step.inputs) == 1
        and "Softmax" not in name
        and (".activations" in module or module.endswith("ops.nn"))
    )


def _is_preprocessing(step, shapes):
    """Whether a step prepares pixels, at the head of a network."""
    name, module = _kind(step)
    if ".preprocessing" in module or name in _PREPROCESSING:
        return True
    if not _is_layer(step):
        # Arithmetic such as `x / 127.5 - 1`.
        return shapes[step.outputs[0]] == shapes[step.inputs[0]]
    return not step.operation.weights and any(
        word in name.lower() for word in _PREPROCESSING_WORDS
    )


def _is_reshaping(step):
    """Whether a step only rearranges what preprocessing may follow on."""
    _, module = _kind(step)
    return ".reshaping" in module or ".merging" in module or not _is_layer(step)
