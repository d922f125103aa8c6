"""Training as one function: options in, a finished run folder out."""

import dataclasses
import logging
import re
import time
from collections.abc import Sequence

import keras

from linegate_bundle.errors import ConfigError
from linegate_bundle.manifest import Label, PreprocessSpec
from linegate_bundle.run_folder import Part, RunFolder
from linegate_training.data.prepare import Prepared, prepare
from linegate_training.data.roles import assign_roles
from linegate_training.data.scan import scan
from linegate_training.fitting.history import HistoryRow
from linegate_training.fitting.loop import Plan
from linegate_training.fitting.recipe import collect, fine_tune, fit_whole
from linegate_training.fitting.views import view_numbers
from linegate_training.networks.base import NORMALIZATION, Network, build_model
from linegate_training.networks.registry import load_network
from linegate_training.options import NO_WEIGHTS, TrainOptions
from linegate_training.run_writer import Result, check_out, write_run
from linegate_training.weights.load import default_weights, load_weights

_LOG = logging.getLogger(__name__)
_FINE_TUNING_EPOCHS, _FINE_TUNING_RATE = 12, 3e-4
_WHOLE_EPOCHS, _WHOLE_RATE = 40, 1e-3


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
    network = load_network(options.network)
    options = resolve(options, network)
    spec = _preprocess_spec(options, network)
    views = view_numbers(options.augmentation, spec.shape)
    dataset = scan(options.data)
    labels = assign_roles(dataset.labels, options.good)
    keras.utils.set_random_seed(options.seed)
    model = build_model(network, spec.shape, len(labels))
    load_weights(network, model, options.weights or NO_WEIGHTS)
    prepared = prepare(dataset, spec, options)
    history = _fit(model, prepared, labels, views, options)
    result = Result(model, spec, labels, prepared, tuple(history))
    run = write_run(result, options)
    _LOG.info("wrote %s after %.0f s", run.path, time.monotonic() - started)
    return run


def resolve(options: TrainOptions, network: Network) -> TrainOptions:
    """Put in the place of None what suits network and data.

    Raises:
        ConfigError: fine-tuning is asked for where there is nothing to fine-tune, or
            from a layer that is none of the network's.
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
    epochs, rate = (
        (_FINE_TUNING_EPOCHS, _FINE_TUNING_RATE) if tuned else (_WHOLE_EPOCHS, _WHOLE_RATE)
    )
    return dataclasses.replace(
        options,
        data=options.data.absolute(),
        name=options.name or _name(options),
        weights=weights,
        size=options.size or (network.size, network.size),
        colour=options.colour or network.colour,
        epochs=epochs if options.epochs is None else options.epochs,
        learning_rate=options.learning_rate or rate,
        fine_tune_after=cut or (network.fine_tune_after if tuned else None),
    )


def _name(options: TrainOptions) -> str:
    """Make a name out of that of the data folder."""
    plain = re.sub(r"[^a-z0-9._-]+", "-", options.data.absolute().name.lower()).strip("-._")
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


def _fit(
    model: keras.Model,
    prepared: Prepared,
    labels: Sequence[Label],
    views: Sequence[int],
    options: TrainOptions,
) -> list[HistoryRow]:
    plan = Plan(
        stage="training" if options.fine_tune_after is None else "fine-tuning",
        epochs=options.epochs or 0,
        batch_size=options.batch_size,
        learning_rate=options.learning_rate or _WHOLE_RATE,
        patience=options.patience,
        label_smoothing=options.label_smoothing,
        seed=options.seed,
    )
    train_images = collect(prepared, Part.TRAIN, labels, views, options.class_weights)
    validation = collect(prepared, Part.VALIDATION, labels, views[:1], options.class_weights)
    if options.fine_tune_after is None:
        return fit_whole(model, train_images, validation, plan)
    return fine_tune(
        model, train_images, validation, plan, cut=options.fine_tune_after, views=options.views
    )
