"""Numba's pipeline without the parts that only its own calls need.

Numba optimises every function by itself, with all that it calls, and makes machine code of it, so that Python may call it. A
kernel is called from outside of Numba, and what it calls becomes part of it: one function is optimised once, and the machine
code is made at the end.
"""

from __future__ import annotations

from typing import Any

from numba import _dynfunc
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import CompilerBase, DefaultPassBuilder
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering


class _Source(JITCodeLibrary):
    """One function in LLVM's language, to be linked into others."""

    def _optimize_final_module(self) -> None:
        """Nothing yet: it is optimised in its place."""

    def _finalize_final_module(self) -> None:
        """Nothing: no machine code, and no place among what Numba runs."""
        self._finalize_dynamic_globals()
        self._verify_declare_only_symbols()
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """0: there is no machine code."""
        self._ensure_finalized()
        return 0


class _Kernel(_Source):
    """A kernel with all that it calls."""

    def _optimize_final_module(self) -> None:
        JITCodeLibrary._optimize_final_module(self)


@register_pass(mutates_CFG=True, analysis_only=False)
class _LowerSource(NativeLowering):
    _name = "qmoe_lower_source"
    library: type[_Source] = _Source

    def run_pass(self, state: Any) -> Any:
        context = state.targetctx
        state.library = self.library(context.codegen(), state.func_id.func_qualname)
        state.flags = state.flags.copy()
        state.flags.no_compile = True
        super().run_pass(state)
        lowered = state["cr"]
        # What callers in the compiler find the function by; it has no code, and is called by nobody.
        key = _dynfunc.make_function(
            lowered.fndesc.lookup_module(), lowered.fndesc.qualname, "", 0, lowered.env, (state.library,)
        )
        state["cr"] = lowered._replace(cfunc=key)
        state.library._ensure_finalized()
        context.insert_user_function(key, lowered.fndesc, [state.library])
        return True


@register_pass(mutates_CFG=True, analysis_only=False)
class _LowerKernel(_LowerSource):
    _name = "qmoe_lower_kernel"
    library = _Kernel


class _Pipeline(CompilerBase):
    lowering: type[_LowerSource]

    def define_pipelines(self) -> list[Any]:
        """Numba's own, with another last step."""
        pipeline = DefaultPassBuilder.define_nopython_pipeline(self.state)
        pipeline.passes = [(self.lowering if step is NativeLowering else step, text) for step, text in pipeline.passes]
        pipeline.finalize()
        return [pipeline]


class SourcePipeline(_Pipeline):
    """For functions that kernels call."""

    lowering = _LowerSource


class KernelPipeline(_Pipeline):
    """For kernels."""

    lowering = _LowerKernel
