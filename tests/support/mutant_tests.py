"""Which files of tests may notice a mistake in a module."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

ALSO = {
    "imagefeatures/budget.py": ["tests/steps/test_register.py"],
    "imagefeatures/catalog/loading.py": ["tests/catalog/test_file_io.py"],
    "imagefeatures/catalog/lost.py": ["tests/catalog/test_repair.py"],
    "imagefeatures/catalog/rest_catalog.py": ["tests/catalog/test_file_io.py"],
    "imagefeatures/catalog/snapshots.py": ["tests/test_read.py", "tests/test_read_files.py"],
    "imagefeatures/catalog/source_tables.py": [
        "tests/sources/test_iceberg_fields.py",
        "tests/sources/test_iceberg_table.py",
    ],
    "imagefeatures/catalog/sql_catalog.py": [
        "tests/catalog/test_connect.py",
        "tests/catalog/test_file_io.py",
        "tests/catalog/test_guards.py",
    ],
    "imagefeatures/catalog/undo.py": ["tests/test_publications.py", "tests/test_publications_damaged.py"],
    "imagefeatures/columns.py": ["tests/test_docs.py", "tests/test_schemas.py", "tests/test_slowest.py"],
    "imagefeatures/commands/audit.py": ["tests/audits/test_index_audit.py"],
    "imagefeatures/commands/export.py": ["tests/exports/test_export_originals.py"],
    "imagefeatures/commands/feature_map.py": ["tests/maps/test_feature_maps.py"],
    "imagefeatures/commands/relocate_lake.py": [
        "tests/catalog/test_relocation.py",
        "tests/catalog/test_relocation_refused.py",
    ],
    "imagefeatures/commands/repair.py": ["tests/catalog/test_repair.py"],
    "imagefeatures/commands/upkeep.py": ["tests/upkeep/test_upkeep.py"],
    "imagefeatures/decode_child.py": [
        "tests/test_isolation.py",
        "tests/test_isolation_child.py",
        "tests/test_decode_child.py",
        "tests/test_decode_parent.py",
    ],
    "imagefeatures/forget/late.py": ["tests/forget/test_deny.py"],
    "imagefeatures/formats/": [
        "tests/test_images.py",
        "tests/test_images_orientation.py",
        "tests/test_images_rejected.py",
        "tests/test_images_opened.py",
    ],
    "imagefeatures/formats/limits.py": ["tests/bands/test_npy_bands.py"],
    "imagefeatures/formats/npy.py": ["tests/bands/test_npy_bands.py"],
    "imagefeatures/formats/tiff_bands.py": ["tests/bands/test_tiff_bands.py", "tests/bands/test_pillow_bands.py"],
    "imagefeatures/exports/": [
        "tests/exports/test_export_formats.py",
        "tests/exports/test_export_pixels.py",
        "tests/exports/test_export_rows.py",
    ],
    "imagefeatures/exports/estimate.py": ["tests/exports/test_export_estimate.py"],
    "imagefeatures/exports/folder_target.py": ["tests/exports/test_export_targets.py"],
    "imagefeatures/exports/hdf5.py": ["tests/exports/test_export_hdf5.py"],
    "imagefeatures/exports/s3_target.py": ["tests/exports/test_export_s3.py"],
    "imagefeatures/exports/tfrecord.py": ["tests/exports/test_export_tfrecord.py"],
    "imagefeatures/heic.py": ["tests/formats/test_heif_pixels.py"],
    "imagefeatures/models/serving/": [
        "tests/models/serving/test_serving.py",
        "tests/models/serving/test_serving_faults.py",
        "tests/models/serving/test_settled.py",
    ],
    "imagefeatures/preprocessing/": [
        "tests/preprocessing/test_geometry.py",
        "tests/preprocessing/test_colour.py",
        "tests/preprocessing/test_declared_chains.py",
    ],
    "imagefeatures/publications.py": ["tests/steps/test_register.py", "tests/steps/test_register_older.py"],
    "imagefeatures/readers/": ["tests/readers/test_open.py", "tests/readers/test_open_pixels.py"],
    "imagefeatures/readers/dataset.py": ["tests/readers/test_stream_windows.py"],
    "imagefeatures/readers/parquet.py": ["tests/test_read_arguments.py", "tests/test_read_files.py"],
    "imagefeatures/readers/stream.py": ["tests/test_read_vectors.py"],
    "imagefeatures/readers/vectors.py": ["tests/test_read_vectors.py"],
    "imagefeatures/redrive/": ["tests/redrive/test_redrive_merged.py", "tests/redrive/test_redrive_kinds.py"],
    "imagefeatures/redrive/merge.py": [
        "tests/redrive/test_redrive_beside_runs.py",
        "tests/test_several_published.py",
    ],
    "imagefeatures/run_audit.py": [
        "tests/steps/test_equal_bytes.py",
        "tests/steps/test_register_audit.py",
        "tests/test_several_models.py",
        "tests/test_slowest.py",
    ],
    "imagefeatures/sealed.py": ["tests/test_summaries.py", "tests/test_run_files.py"],
    "imagefeatures/schemas.py": ["tests/test_docs.py"],
    "imagefeatures/sources/containers.py": [
        "tests/sources/test_lost_containers.py",
        "tests/sources/test_refused_containers.py",
    ],
    "imagefeatures/sources/http/": [
        "tests/sources/test_http_fetch.py",
        "tests/sources/test_http_hostile.py",
        "tests/sources/test_http_hosts.py",
        "tests/sources/test_http_outcomes.py",
        "tests/sources/test_http_robots.py",
        "tests/sources/test_http_versions.py",
    ],
    "imagefeatures/sources/http/libcurl.py": ["tests/sources/test_libcurl_loaded.py"],
    "imagefeatures/sources/located.py": ["tests/sources/test_places.py", "tests/sources/test_public_buckets.py"],
    "imagefeatures/sources/tables.py": [
        "tests/sources/test_columns_that_lack.py",
        "tests/sources/test_odd_values.py",
        "tests/sources/test_url_table.py",
    ],
    "imagefeatures/storage/bulk.py": [
        "tests/sources/test_public_buckets.py",
        "tests/storage/test_storage.py",
        "tests/usage/test_traffic.py",
    ],
    "imagefeatures/storage/durable.py": [
        "tests/storage/test_storage_durable.py",
        "tests/storage/test_storage_atomic.py",
    ],
    "imagefeatures/storage/kernel_files.py": ["tests/storage/test_local_reading_swaps.py"],
    "imagefeatures/storage/local.py": [
        "tests/storage/test_storage.py",
        "tests/storage/test_storage_local.py",
        "tests/storage/test_storage_durable.py",
        "tests/storage/test_storage_atomic.py",
        "tests/storage/test_local_reading.py",
    ],
    "imagefeatures/storage/local_reading.py": [
        "tests/sources/test_named_addresses.py",
        "tests/storage/test_one_object.py",
        "tests/storage/test_storage.py",
        "tests/storage/test_storage_local.py",
        "tests/usage/test_traffic.py",
    ],
    "imagefeatures/storage/locks.py": ["tests/storage/test_drafts.py"],
    "imagefeatures/storage/objects.py": ["tests/storage/test_drafts.py", "tests/storage/test_uploads.py"],
    "imagefeatures/storage/s3.py": [
        "tests/sources/test_public_buckets.py",
        "tests/storage/test_storage_delete.py",
        "tests/storage/test_uploads.py",
    ],
    "imagefeatures/storage/s3_listing.py": ["tests/storage/test_s3_pages.py"],
    "imagefeatures/storage/s3_named.py": ["tests/sources/test_named_addresses.py"],
    "imagefeatures/steps/featurize.py": [
        "tests/steps/test_equal_bytes.py",
        "tests/steps/test_equal_bytes_settled.py",
        "tests/test_augmented_runs.py",
        "tests/test_pixels_kept.py",
        "tests/test_several_models.py",
    ],
    "imagefeatures/steps/ingest.py": ["tests/sources/test_unchanged_urls.py"],
    "imagefeatures/steps/validate.py": ["tests/steps/test_resize.py"],
    "imagefeatures/transforms.py": ["tests/preprocessing/test_geometry.py", "tests/preprocessing/test_colour.py"],
    "jobs/classify.py": ["tests/jobs/test_job_files.py"],
    "jobs/featurize.py": ["tests/jobs/test_job_files.py"],
    "jobs/imagefeatures_spark/": ["tests/jobs/test_job_ends.py"],
    "jobs/imagefeatures_spark/fit.py": ["tests/jobs/test_fitted_arrays.py"],
    "jobs/imagefeatures_spark/image_options.py": ["tests/jobs/test_image_rows_parts.py"],
    "jobs/ingest.py": ["tests/jobs/test_job_files.py"],
    "jobs/resize.py": ["tests/jobs/test_job_files.py"],
    "jobs/validate.py": ["tests/jobs/test_job_files.py"],
    "plugins/imagefeatures_airflow/": ["tests/dags/test_image_features.py", "tests/dags/test_feature_dags.py"],
    "plugins/imagefeatures_airflow/building_blocks.py": ["tests/dags/test_task_bodies.py"],
    "plugins/imagefeatures_airflow/classify.py": ["tests/dags/test_classify_dags.py"],
    "plugins/imagefeatures_airflow/pipeline.py": ["tests/dags/test_task_bodies.py"],
    "plugins/imagefeatures_airflow/redrive.py": ["tests/dags/test_redrive_dags.py"],
    "plugins/imagefeatures_airflow/unpublish.py": ["tests/dags/test_unpublish_dags.py"],
    "plugins/imagefeatures_airflow/web/dag_runs.py": ["tests/plugins/web/test_web_trends.py"],
    "plugins/imagefeatures_airflow/web/datasets.py": ["tests/plugins/web/test_web_history.py"],
    "plugins/imagefeatures_airflow/web/": [
        "tests/plugins/web/test_web_access.py",
        "tests/plugins/web/test_web_actions.py",
        "tests/plugins/web/test_web_audit.py",
        "tests/plugins/web/test_web_datasets.py",
        "tests/plugins/web/test_web_gallery.py",
        "tests/plugins/web/test_web_map.py",
        "tests/plugins/web/test_web_quarantine.py",
        "tests/plugins/web/test_web_rejected.py",
        "tests/plugins/web/test_web_rendering.py",
        "tests/plugins/web/test_web_roles.py",
        "tests/plugins/web/test_web_run.py",
        "tests/plugins/web/test_web_thumbnails.py",
    ],
}
"""Tests that concern a module, or a folder of modules, and neither import it nor have its name."""

WHOLE_FOLDERS = {"formats"}
"""Folders whose tests use the package and hardly name a module of it: each of them concerns every module."""


def of_module(repository: Path, module: str) -> list[str]:
    """The files of quick tests that concern a module: those of its name, and those that import it."""
    parts = Path(module).with_suffix("").parts
    inside = parts[1:] if parts[0] in ("imagefeatures", "jobs", "plugins") else parts
    dotted = ".".join(parts[1:] if parts[0] in ("jobs", "plugins") else parts).removesuffix(".__init__")
    found = {test for name, tests in ALSO.items() if module.startswith(name) for test in tests}
    for path in (repository / "tests").rglob("test_*.py"):
        where = path.relative_to(repository / "tests")
        if where.parts[0] in ("suites", "integration") or (where.parts[0] == "jobs" and parts[0] != "jobs"):
            continue
        in_folder = where.parts[0] in WHOLE_FOLDERS & set(inside[:-1])
        named = where.parent.parts == inside[:-1] and f"{where.stem}_".startswith(f"test_{inside[-1]}_")
        if in_folder or named or dotted in _imports(path):
            found.add(f"tests/{where.as_posix()}")
    return sorted(found)


@functools.cache
def _imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found
