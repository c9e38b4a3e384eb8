"""TensorFlow on a GPU: what can be tested without one, and one test for machines with one."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable

import numpy as np
import pytest

from imagefeatures.errors import ModelMismatch, SettingsError
from imagefeatures.models import engines, gpus, reference
from imagefeatures.models.engines import Bundle, openvino
from imagefeatures.models.engines import tensorflow as tensorflow_engine
from imagefeatures.models.engines.tensorflow import TensorFlow
from imagefeatures.models.prepare import read_bundle
from imagefeatures.settings import REPOSITORY
from support.photos import picture
from support.shared import PREPROCESSING, SPEC


@pytest.fixture(scope="module")
def bundle(prepared_lake: str) -> Bundle:
    return read_bundle(SPEC, PREPROCESSING, prepared_lake)


@pytest.fixture
def engine(bundle: Bundle) -> TensorFlow:
    return tensorflow_engine.load(bundle)


@pytest.fixture
def of_a_cpu(engine: TensorFlow) -> TensorFlow:
    """The engine with a CPU's batch, on a machine with a GPU too."""
    engine.batch = tensorflow_engine.BATCH
    return engine


def drawn(count: int) -> np.ndarray:
    return np.stack([picture(224, 224, seed) for seed in range(count)])


def short_of_memory(engine: TensorFlow, enough: Callable[[int], bool]) -> list[int]:
    """Let the engine's model run out of memory unless enough(images). Returns the batch sizes it is asked for."""
    import tensorflow as tf

    run, asked = engine._run, []

    def tight(batch: np.ndarray) -> object:
        asked.append(len(batch))
        if not enough(len(batch)):
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return run(batch)

    engine._run = tight
    return asked


def test_a_batch_that_is_too_large_is_halved_and_nothing_is_lost(of_a_cpu: TensorFlow) -> None:
    pixels = drawn(19)
    expected = of_a_cpu.features(pixels)
    asked = short_of_memory(of_a_cpu, lambda images: images <= 5)
    found = of_a_cpu.features(pixels)
    assert asked == [32, 16, 8, 4, 4, 4, 4, 4]
    assert np.abs(found - expected).max() <= 1e-5
    assert np.abs(expected[:-1] - expected[1:]).max(axis=1).min() > 0.1  # else a wrong order would pass
    asked.clear()
    of_a_cpu.features(pixels[:4])
    assert asked == [4]  # a size that has failed is not tried again


@pytest.mark.long
def test_memory_that_runs_out_in_the_middle_loses_no_computed_vector(engine: TensorFlow) -> None:
    pixels = drawn(11)
    expected = engine.features(pixels)
    engine.batch = 4
    asked = short_of_memory(engine, lambda images: len(asked) not in (2, 4))
    assert np.abs(engine.features(pixels) - expected).max() <= 1e-5
    # The second batch is tried again as two halves, of which the first does not fit either.
    assert asked == [4, 4, 2, 2, 1, 1, 1, 1, 1]


def test_no_memory_for_one_image_is_an_error_of_the_machine(of_a_cpu: TensorFlow) -> None:
    import tensorflow as tf

    asked = short_of_memory(of_a_cpu, lambda images: False)
    with pytest.raises(tf.errors.ResourceExhaustedError, match="OOM"):
        of_a_cpu.features(drawn(1))
    assert asked == [32, 16, 8, 4, 2, 1]


def test_without_a_gpu_the_batch_is_that_of_a_cpu(engine: TensorFlow) -> None:
    import tensorflow as tf

    if tf.config.list_physical_devices("GPU"):
        pytest.skip("TensorFlow sees a GPU here")
    assert engine.batch == tensorflow_engine.BATCH == 32
    assert not tf.config.experimental.tensor_float_32_execution_enabled()


def test_a_program_that_uses_the_gpu_already_may_load_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow as tf

    def too_late(*_: object) -> None:
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: [kind])
    monkeypatch.setattr(tf.config.experimental, "set_memory_growth", too_late)
    tf.config.experimental.enable_tensor_float_32_execution(True)
    gpus.configure_tensorflow()
    assert not tf.config.experimental.tensor_float_32_execution_enabled()


def test_an_engine_is_checked_on_the_machine_that_loads_it(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    right = openvino.OpenVino.features
    monkeypatch.setattr(openvino.OpenVino, "features", lambda *given: right(*given) + np.float32(0.002))
    with pytest.raises(ModelMismatch, match=r"^MODEL_MISMATCH: openvino differs by 0\.002 "):
        engines.load("openvino", bundle)


def seen_after(program: str, **variables: str) -> list[str]:
    """The words that a new interpreter prints. Of CUDA's variables its environment has only these."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("CUDA_")} | variables
    command = [sys.executable, "-c", f"import os, sys\nfrom imagefeatures.models import gpus\n{program}"]
    return subprocess.run(command, env=env, cwd=REPOSITORY, capture_output=True, text=True, check=True).stdout.split()


SAY = "print(os.environ.get('CUDA_VISIBLE_DEVICES'), os.environ.get('CUDA_DEVICE_ORDER'), 'tensorflow' in sys.modules)"


def test_a_process_sees_its_gpu_before_tensorflow_is_imported() -> None:
    assert seen_after(f"gpus.use_gpu('3')\n{SAY}") == ["3", "PCI_BUS_ID", "False"]
    assert seen_after(f"gpus.use_gpu('3')\n{SAY}", CUDA_VISIBLE_DEVICES="0,1,2,3") == ["3", "PCI_BUS_ID", "False"]
    assert seen_after(f"gpus.use_gpu(None)\n{SAY}", CUDA_VISIBLE_DEVICES="0,1") == ["0,1", "None", "False"]


def test_a_process_that_computes_on_one_gpu_is_not_given_another(monkeypatch: pytest.MonkeyPatch) -> None:
    import tensorflow  # noqa: F401 - once imported, it keeps the GPUs that it sees

    monkeypatch.setenv(gpus.VISIBLE, "1")
    gpus.use_gpu("1")
    with pytest.raises(SettingsError, match=r"^spark\.executor\.resource\.gpu\.amount: must be 1; .* GPU 0 .*=1$"):
        gpus.use_gpu("0")
    assert os.environ[gpus.VISIBLE] == "1"


def test_the_job_passes_on_the_gpu_that_spark_assigned_to_the_task() -> None:
    from pyspark.resource import ResourceInformation

    from imagefeatures_spark import featurize

    assert featurize.gpu_of({"gpu": ResourceInformation("gpu", ["2"])}) == "2"
    assert featurize.gpu_of({}) is None
    assert featurize.gpu_of({"fpga": ResourceInformation("fpga", ["0"])}) is None


def test_on_a_gpu_the_vectors_match_the_reference(engine: TensorFlow, bundle: Bundle) -> None:
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        pytest.skip("TensorFlow sees no GPU here")
    assert "GPU" in engine._run(np.zeros((1, 224, 224, 3), np.float32)).device
    assert engine.batch == gpus.batch(0, 224 * 224) >= 1
    golden = engine.features(reference.golden_pixels(SPEC.input_shape))
    reference.check_parity("tensorflow", golden, bundle.golden_vectors)
    pixels = drawn(engine.batch + 3)
    reference.check_parity("tensorflow", engine.features(pixels), engines.cached("openvino", bundle).features(pixels))
