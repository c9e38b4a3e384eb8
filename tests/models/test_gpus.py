"""TensorFlow on a GPU: what can be shown without one, and one test for machines that have one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch, SettingsError
from imagefeatures.models import engines, gpus, reference
from imagefeatures.models.engines import Bundle, TensorFlow
from imagefeatures.models.prepare import read_bundle
from imagefeatures.settings import REPOSITORY
from support.photos import picture
from support.shared import MODEL


@pytest.fixture(scope="module")
def bundle(prepared_lake: str) -> Bundle:
    return read_bundle(prepared_lake, MODEL)


@pytest.fixture
def engine(bundle: Bundle) -> TensorFlow:
    return TensorFlow(bundle)


def drawn(count: int) -> np.ndarray:
    return np.stack([picture(224, 224, seed) for seed in range(count)])


def short_of_memory(engine: TensorFlow, enough: Callable[[int], bool]) -> list[int]:
    """Let the engine's compiled model run out of memory unless enough(images); returns the batches it was asked for."""
    import tensorflow as tf

    run, asked = engine._run, []

    def tight(batch: np.ndarray) -> object:
        asked.append(len(batch))
        if not enough(len(batch)):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return run(batch)

    engine._run = tight
    return asked


def test_a_batch_that_is_too_large_is_halved_and_nothing_is_lost(engine: TensorFlow) -> None:
    pixels = drawn(19)
    expected = engine.features(pixels)
    asked = short_of_memory(engine, lambda images: images <= 5)
    found = engine.features(pixels)
    assert asked == [32, 16, 8, 4, 4, 4, 4, 4]
    assert np.abs(found - expected).max() <= 1e-5
    assert np.abs(expected[:-1] - expected[1:]).max(axis=1).min() > 0.1  # or a wrong order would not show
    asked.clear()
    engine.features(pixels[:4])
    assert asked == [4]  # it does not try again what has failed


def test_memory_that_runs_out_in_the_middle_costs_nothing_that_was_computed(engine: TensorFlow) -> None:
    pixels = drawn(11)
    expected = engine.features(pixels)
    engine.batch = 4
    asked = short_of_memory(engine, lambda images: len(asked) not in (2, 4))
    assert np.abs(engine.features(pixels) - expected).max() <= 1e-5
    # The second batch once more as two, the first of which did not fit either.
    assert asked == [4, 4, 2, 2, 1, 1, 1, 1, 1]


def test_no_memory_for_one_image_is_an_error_of_the_machine(engine: TensorFlow) -> None:
    import tensorflow as tf

    asked = short_of_memory(engine, lambda images: False)
    with pytest.raises(tf.errors.ResourceExhaustedError, match="OOM"):
        engine.features(drawn(1))
    assert asked == [32, 16, 8, 4, 2, 1]


def test_without_a_gpu_the_batch_is_that_of_a_cpu(engine: TensorFlow) -> None:
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("TensorFlow sees a GPU here")
    assert engine.batch == TensorFlow.BATCH == 32
    assert not tf.config.experimental.tensor_float_32_execution_enabled()


def test_an_engine_is_proven_on_the_machine_that_loads_it(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    right = engines.OpenVino.features
    monkeypatch.setattr(engines.OpenVino, "features", lambda *given: right(*given) + np.float32(0.002))
    with pytest.raises(ModelMismatch, match=r"^MODEL_MISMATCH: openvino differs by 0\.002 "):
        engines.load("openvino", bundle)


def seen_after(program: str, **variables: str) -> list[str]:
    """What the lines of a fresh interpreter say; its environment has these variables and no other of CUDA's."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("CUDA_")} | variables
    command = [sys.executable, "-c", f"import os, sys\nfrom imagefeatures.models import gpus\n{program}"]
    return subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split()


SAY = "print(os.environ.get('CUDA_VISIBLE_DEVICES'), os.environ.get('CUDA_DEVICE_ORDER'), 'tensorflow' in sys.modules)"


def test_a_process_sees_the_gpu_that_it_was_given_before_tensorflow_is_there() -> None:
    assert seen_after(f"gpus.claim('3')\n{SAY}") == ["3", "PCI_BUS_ID", "False"]
    assert seen_after(f"gpus.claim('3')\n{SAY}", CUDA_VISIBLE_DEVICES="0,1,2,3") == ["3", "PCI_BUS_ID", "False"]
    assert seen_after(f"gpus.claim(None)\n{SAY}", CUDA_VISIBLE_DEVICES="0,1") == ["0,1", "None", "False"]


def test_a_process_that_computes_on_one_gpu_is_not_given_another(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow  # noqa: F401 - it is there, so which GPUs it sees is settled

    monkeypatch.setenv(gpus.VISIBLE, "1")
    gpus.claim("1")
    with pytest.raises(SettingsError, match=r"^spark\.executor\.resource\.gpu\.amount: must be 1; .* GPU 0 .*=1$"):
        gpus.claim("0")
    assert os.environ[gpus.VISIBLE] == "1"


def test_the_job_passes_on_what_spark_has_given_to_the_task() -> None:
    from pyspark.resource import ResourceInformation

    from imagefeatures_spark import featurize

    assert featurize.gpu_of({"gpu": ResourceInformation("gpu", ["2"])}) == "2"
    assert featurize.gpu_of({}) is None
    assert featurize.gpu_of({"fpga": ResourceInformation("fpga", ["0"])}) is None


def test_on_a_gpu_the_numbers_are_the_references(engine: TensorFlow, bundle: Bundle) -> None:
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        pytest.skip("TensorFlow sees no GPU here")
    assert "GPU" in engine._run(np.zeros((1, 224, 224, 3), np.float32)).device
    assert engine.batch == gpus.batch(0) >= 1
    reference.check_parity("tensorflow", engine.features(reference.golden_pixels()), reference.golden_vectors())
    pixels = drawn(engine.batch + 3)
    reference.check_parity("tensorflow", engine.features(pixels), engines.cached("openvino", bundle).features(pixels))
