"""Training as one function: options in, a finished run folder out."""

import dataclasses
import hashlib
import logging
import re
import time
from collections.abc import Sequence
from typing import TypeVar

import keras

from linegate_bundle.errors import ConfigError, TrainingError
from linegate_bundle.manifest import Label, PreprocessSpec
from linegate_bundle.run_folder import Part, RunFolder, encode_split
from linegate_training.augment.augmenter import Augmenter
from linegate_training.data.prepare import Prepared, prepare
from linegate_training.data.roles import assign_roles
from linegate_training.data.source import load_dataset
from linegate_training.data.table import TABLE_SUFFIX
from linegate_training.fitting.backend import arithmetic
from linegate_training.fitting.callbacks import BrokenLossError
from linegate_training.fitting.checkpoint import Checkpoint
from linegate_training.fitting.examples import Examples, balanced, check_costs, collect, costly
from linegate_training.fitting.history import HistoryRow
from linegate_training.fitting.loop import Plan, check_tensorboard
from linegate_training.fitting.optimizer import Rates
from linegate_training.fitting.recipe import fine_tune, fit_whole
from linegate_training.networks.base import NORMALIZATION, Network, build_model, fingerprint
from linegate_training.networks.registry import load_network
from linegate_training.options import NO_WEIGHTS, Head, Quality, TrainOptions
from linegate_training.provenance import Setting, configuration, versions
from linegate_training.run_writer import (
    Result,
    check_out,
    check_outside,
    describe_weights,
    write_run,
)
from linegate_training.unfinished import Unfinished
from linegate_training.weights.load import default_head, default_weights, load_weights

_LOG = logging.getLogger(__name__)

Number = TypeVar("Number", int, float)


@dataclasses.dataclass(frozen=True)
class _Recipe:
    """What a training takes where the options say nothing."""

    epochs: int
    average: float
    patience: int
    variants: int = 4


_FINE_TUNING = {
    Quality.DEFAULT: _Recipe(epochs=8, average=0.0, patience=5),
    Quality.BEST: _Recipe(epochs=16, average=1.0, patience=24, variants=8),
}
_FINE_TUNING_RATE = 3e-4
_FROM_NOTHING = {
    Quality.DEFAULT: _Recipe(epochs=40, average=0.5, patience=10),
    Quality.BEST: _Recipe(epochs=120, average=0.5, patience=30),
}


def train(options: TrainOptions) -> RunFolder:
    """Train a network on a folder of photographs.

    The run folder appears when everything in it is written; a training that fails or is
    interrupted leaves none. Sets Keras' global random seed.

    Raises:
        ConfigError: options that contradict each other, the network or the classes.
        DataError: the photographs, the split or the weights are not usable.
        TrainingError: the loss is no longer finite.
        OSError: the run folder cannot be written.
    """
    started = time.monotonic()
    check_out(options.out, options.existing_run)
    check_outside(options.out, options.data)
    check_tensorboard(options.tensorboard)
    network = load_network(options.network, options.alpha)
    options = resolve(options, network)
    head = options.head or Head.PUBLISHED
    spec = _preprocess_spec(options, network)
    augmenter = Augmenter(options.augmentation, spec.shape, options.seed)
    dataset = load_dataset(options.data)
    labels = assign_roles(dataset.labels, options.good)
    check_costs(labels, options.costs)
    # Before the photographs: what is wrong with the options shows in seconds, not in minutes.
    keras.utils.set_random_seed(options.seed)
    with arithmetic(options.precision):
        model = build_model(network, spec.shape, len(labels), head)
    load_weights(network, model, options.weights or NO_WEIGHTS)
    prepared = prepare(dataset, spec, options)
    unfinished = Unfinished(options.out)
    checkpoint = unfinished.begin(_identity(options, prepared, model), options.existing_run)
    try:
        learned = _learn_from(prepared, labels, augmenter, options)
        history = _fit(model, learned, options, unfinished, checkpoint)
        result = Result(
            _float32(network, model, len(labels), head), spec, labels, prepared, history
        )
        run = write_run(result, options)
    except KeyboardInterrupt:
        if checkpoint.exists():
            _LOG.warning("%s has what was learned: the same command goes on", unfinished.path)
        raise
    finally:
        unfinished.tidy()
    unfinished.discard(keep=options.weights)
    _LOG.info("wrote %s after %.0f s", run.path, time.monotonic() - started)
    return run


def resolve(options: TrainOptions, network: Network) -> TrainOptions:
    """Put in the place of None what suits network and data.

    Raises:
        ConfigError: fine-tuning is asked for where there is nothing to fine-tune, or
            from a layer that is none of the network's.
        DataError: the file of weights is damaged.
    """
    weights = options.weights or default_weights(network)
    tuned = weights != NO_WEIGHTS and bool(network.cuts)
    cut = options.fine_tune_after
    if cut is not None and not tuned:
        raise ConfigError(
            f"fine-tuning after {cut!r} needs pretrained weights; choose --weights, or a network "
            "that has some"
        )
    cuts = (NORMALIZATION, *network.cuts)
    if cut is not None and cut not in cuts:
        raise ConfigError(
            f"{network.name} cannot be fine-tuned after {cut!r}; valid are: {', '.join(cuts)}"
        )
    if options.epochs == 0 and not tuned:
        raise ConfigError(
            f"0 epochs fit the head alone, on pretrained weights, and {network.name} starts from "
            "random ones; give --weights, or --epochs of at least 1"
        )
    recipe = (_FINE_TUNING if tuned else _FROM_NOTHING)[options.quality]
    rate = _FINE_TUNING_RATE if tuned else network.learning_rate
    return dataclasses.replace(
        options,
        data=options.data.absolute(),
        name=options.name or _name(options),
        weights=weights,
        head=options.head or default_head(network, weights),
        size=options.size or (network.size, network.size),
        colour=options.colour or network.colour,
        epochs=recipe.epochs if options.epochs is None else options.epochs,
        learning_rate=options.learning_rate or rate,
        average=recipe.average if options.average is None else options.average,
        patience=options.patience or recipe.patience,
        fine_tune_after=(cut or _cut(network, options.quality)) if tuned else None,
        variants=options.variants or recipe.variants,
    )


def _cut(network: Network, quality: Quality) -> str | None:
    """Return after which layer to fine-tune; what the first quarter sees, all photographs have."""
    if quality is Quality.BEST:
        return network.cuts[len(network.cuts) // 4]
    return network.fine_tune_after


def _name(options: TrainOptions) -> str:
    """Make a name out of that of the data folder or CSV file."""
    name = options.data.absolute().name.lower().removesuffix(TABLE_SUFFIX)
    plain = re.sub(r"[^a-z0-9._-]+", "-", name).strip("-._")
    return plain[:64] or "model"


def _preprocess_spec(options: TrainOptions, network: Network) -> PreprocessSpec:
    width, height = options.size or (network.size, network.size)
    return PreprocessSpec(
        colour=options.colour or network.colour,
        region=None,
        width=width,
        height=height,
        resize=options.resize,
        fit=options.fit,
    )


def _identity(options: TrainOptions, prepared: Prepared, model: keras.Model) -> dict[str, Setting]:
    """Return all that decides the result of a training."""
    return {
        **configuration(options),
        # A function of one's own may build another network under the same name.
        "layers_sha256": fingerprint(model),
        **{f"version of {name}": version for name, version in versions().items()},
        "data_sha256": prepared.dataset.sha256(),
        "split_sha256": hashlib.sha256(encode_split(list(prepared.rows))).hexdigest(),
        "weights": describe_weights(options.weights or NO_WEIGHTS),
    }


def _float32(network: Network, model: keras.Model, labels: int, head: Head) -> keras.Model:
    """Return the model as layers that compute in float32, whatever it was trained in."""
    if all(layer.compute_dtype == "float32" for layer in model.layers):
        return model
    plain = build_model(network, model.input_shape[1:], labels, head)
    plain.set_weights(model.get_weights())
    return plain


def _learn_from(
    prepared: Prepared, labels: Sequence[Label], augmenter: Augmenter, options: TrainOptions
) -> tuple[Examples, Examples]:
    """Return what is learned from, and what validates."""
    train_part = collect(prepared, Part.TRAIN, labels, augmenter)
    truth = costly(balanced(train_part.truth, options.balance), labels, options.costs)
    validation = collect(prepared, Part.VALIDATION, labels, augmenter)
    return dataclasses.replace(train_part, truth=truth), validation


def _fit(
    model: keras.Model,
    learned: tuple[Examples, Examples],
    options: TrainOptions,
    unfinished: Unfinished,
    checkpoint: Checkpoint,
) -> tuple[HistoryRow, ...]:
    plan = _plan(options)
    try:
        if options.fine_tune_after is None:
            return tuple(fit_whole(model, *learned, plan, checkpoint))
        return tuple(
            fine_tune(
                model,
                *learned,
                plan,
                cut=options.fine_tune_after,
                variants=_given(options.variants),
                checkpoint=checkpoint,
            )
        )
    except BrokenLossError as error:
        if not error.epochs and options.fine_tune_after is None:
            raise  # nothing was learned; with a cut, the head was
        kept = unfinished.keep(model)
        raise TrainingError(
            f"{error}; the best weights so far are in {kept}: go on from them with --weights {kept}"
        ) from error


def _plan(options: TrainOptions) -> Plan:
    return Plan(
        stage="training" if options.fine_tune_after is None else "fine-tuning",
        epochs=_given(options.epochs),
        batch_size=options.batch_size,
        rates=Rates(
            highest=_given(options.learning_rate),
            head_factor=options.head_rate,
            weight_decay=options.weight_decay,
            average=_given(options.average),
        ),
        monitor=options.monitor,
        patience=_given(options.patience),
        label_smoothing=options.label_smoothing,
        seed=options.seed,
        tensorboard=options.tensorboard,
    )


def _given(value: Number | None) -> Number:
    """Return an option that has been resolved."""
    if value is None:
        raise TypeError("expected options without gaps, see resolve()")
    return value
