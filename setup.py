"""The one part that is compiled; all else is in pyproject.toml."""

from setuptools import Extension, setup

setup(
    options={"bdist_wheel": {"py_limited_api": "cp311"}},  # one wheel for every Python from 3.11 on
    ext_modules=[
        Extension(
            "imagefeatures._bicubic",
            [
                f"imagefeatures/{name}.c"
                for name in ("_bicubic", "_filter", "_filter_vnni", "_jpeg", "_markers", "_png")
            ],
            depends=[f"imagefeatures/{name}.h" for name in ("_filter", "_jpeg", "_jpeg62", "_markers", "_png")],
            # Weights must be the same doubles on every processor: no multiplying and adding in one rounding.
            extra_compile_args=["-O3", "-ffp-contract=off", "-fvisibility=hidden"],
            libraries=["dl"],  # part of the C library since glibc 2.34
            py_limited_api=True,
            optional=True,  # without a C compiler Pillow does it: the same pixels, later
        )
    ],
)
