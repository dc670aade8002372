"""The C extension; everything else of the build is in pyproject.toml.

``optional`` lets an installation without a working compiler go on: ``relume.kernels`` then uses
torch operations.
"""

from setuptools import Extension, setup

NATIVE = Extension(
    "relume.kernels._native",
    ["src/relume/kernels/_native.c"],
    depends=[f"src/relume/kernels/_native_{part}.h" for part in ("lanes", "norms", "quick")],
    extra_compile_args=["-O3", "-g0", "-fopenmp-simd"],  # what MSVC does not know it ignores
    py_limited_api=True,
    optional=True,
)

setup(ext_modules=[NATIVE], options={"bdist_wheel": {"py_limited_api": "cp311"}})
