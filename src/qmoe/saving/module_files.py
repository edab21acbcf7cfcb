"""One safetensors file with a module: its tensors, and in the metadata what it is made of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from qmoe.errors import ConfigError, UnsupportedError, did_you_mean, visible
from qmoe.routers import DistilledRouter
from qmoe.safe_files import MAX_TEXT, open_regular, write_whole
from qmoe.saving.values import CONFIG_TENSOR, decode_module, encode_module
from qmoe.training.rows import usable_device

#: The key of the metadata, and the version of what stands under it.
KEY, VERSION = "qmoe", 1
#: What the description of a file holds.
_PARTS = ("version", "module", "frozen", "training", "about")


def save(module: nn.Module, path: str | Path, about: Mapping[str, Any] | None = None) -> None:
    """Writes a module with its weights and its configuration to one safetensors file, which `load` reads.

    The file holds tensors, and JSON that says what the module is made of: nothing in it runs, and other programs read its
    weights by their names in ``state_dict``. Saved again, a module gives the same bytes. Not in the file: gradients, the
    state of an optimiser, and hooks.

    Args:
        module: a router, experts, a mixture or a layer of qmoe, or a `torch.nn.Sequential` of these and of common modules of
            torch, such as ``torch.nn.Linear`` and activations.
        path: the file, replaced where there is one. Its name should end in ``.safetensors``.
        about: more that the file says of the module, as plain data; `about_file` gives it back.

    Raises:
        UnsupportedError: for classes and encodings of your own, circuits with angles by a function of your own, a stack of
            models, and weights that two modules share.
        OSError: when the file cannot be written.

    Example:
        >>> import qmoe
        >>> qmoe.save(qmoe.QuantumRouter(2, 2), "router.safetensors")
        >>> type(qmoe.load("router.safetensors")).__name__
        'QuantumRouter'
    """
    if not isinstance(module, nn.Module):
        raise UnsupportedError(f"save writes modules of torch, got a {type(module).__name__}{_remedy(module)}")
    tensors: dict[str, Tensor] = {}
    described = encode_module(module, tensors)
    tensors |= _state(module)
    frozen = [name for name, value in module.named_parameters() if not value.requires_grad]
    training = [name for name, part in module.named_modules() if part.training]
    content = {"version": VERSION, "module": described, "frozen": frozen, "training": training}
    if about is not None:
        content["about"] = dict(about)
    text = json.dumps(content, allow_nan=False)
    _check_whole(module, tensors, text)
    held = {name: value.detach().cpu().contiguous() for name, value in sorted(tensors.items())}
    write_whole(Path(path), safetensors.torch.save(held, metadata={KEY: text}))


def load(path: str | Path, *, device: torch.device | str = "cpu") -> Any:
    """Reads a module that `save` wrote: it computes bit for bit the same.

    A file may come from a stranger. It names classes of qmoe and torch from a fixed list, and nothing else is called; sizes
    are compared with the tensors in the file before memory is taken for them.

    Args:
        path: the file. One that `DistilledRouter.save` wrote is read as well.
        device: where the module then lives, whatever it was saved from.

    Returns:
        The module, with the dtypes, frozen parameters, shots and mode (training or evaluation) that it was saved with.

    Raises:
        ConfigError: for a file that is broken, of another kind, or of a newer version, or a device that cannot be used here.
        OSError: when there is no such file.
    """
    place = usable_device(device)
    with open_regular(path):  # no pipe, which would be waited for
        pass
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            if KEY in metadata:
                return _read(file, _content(metadata[KEY])).to(place)
    except safetensors.SafetensorError as error:
        raise _broken(path, error) from error
    except ConfigError as error:
        raise _refused(path, error) from error
    except UnsupportedError as error:
        raise UnsupportedError(f"{path} cannot be loaded: {error}") from error
    except (
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RuntimeError,
        AssertionError,
        ArithmeticError,
        MemoryError,
    ) as error:  # the frame is right, so what is in it was cut short or changed
        raise _broken(path, error) from error
    if "format" in metadata and "config" in metadata:
        return DistilledRouter.load(path, device=place)
    raise ConfigError(
        f"{path} holds tensors without the description of a module: qmoe.save did not write it. Build the module as it was "
        "and load its weights: module.load_state_dict(safetensors.torch.load_file(path))."
    )


def about_file(path: str | Path) -> dict[str, Any]:
    """What a file of `save` says of its module beside what it is made of; nothing where it was given nothing.

    Args:
        path: the file, which `load` has read.
    """
    with safetensors.safe_open(path, framework="pt") as file:
        about = _content((file.metadata() or {}).get(KEY, f'{{"version": {VERSION}}}')).get("about")
    return about if isinstance(about, dict) else {}


def _state(module: nn.Module) -> dict[str, Tensor]:
    """All parameters and buffers of a module, those that are no part of ``state_dict`` included.

    Raises:
        UnsupportedError: for tensors without memory, and for those that are in two places.
    """
    state = dict(module.state_dict())
    state |= {name: value for name, value in module.named_buffers() if name not in state}
    for name, value in state.items():
        if value.is_meta:
            raise UnsupportedError(f"{name} is on the meta device and holds no numbers; give the module memory first.")
    shared = {id(value) for value in module.parameters()}
    if sum(1 for _ in module.named_parameters(remove_duplicate=False)) > len(shared):
        raise UnsupportedError(
            "The module has one parameter in two places, and would be loaded with two; keep it by torch.save(module, path)."
        )
    return state


def _check_whole(module: nn.Module, tensors: dict[str, Tensor], text: str) -> None:
    """Makes the module anew of what is going to be written, without memory, and compares names and shapes."""
    made = decode_module(json.loads(text)["module"], _of_config(tensors), sum(v.numel() for v in tensors.values()))
    wanted = {name: tuple(value.shape) for name, value in tensors.items() if not name.startswith(CONFIG_TENSOR)}
    found = _shapes(made)
    for name in sorted({*wanted, *found}):
        if wanted.get(name) != found.get(name):
            raise UnsupportedError(
                f"{name} has the shape {wanted.get(name)}, and a new {type(module).__name__} of the same options "
                f"{found.get(name)}: save writes one model as it was built. Write the models of a stack one by one."
            )


def _of_config(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value for name, value in tensors.items() if name.startswith(CONFIG_TENSOR)}


def _shapes(module: nn.Module) -> dict[str, tuple[int, ...]]:
    own = {**module.state_dict(), **dict(module.named_buffers())}
    return {name: tuple(value.shape) for name, value in own.items()}


def _content(text: str) -> dict[str, Any]:
    """The description of a file, checked as far as its frame goes."""
    if len(text) > MAX_TEXT:
        raise ConfigError(f"its description has {len(text):,} characters, expected {MAX_TEXT:,} at most")
    content = json.loads(text)
    if not isinstance(content, dict) or not isinstance(content.get("version"), int):
        raise ConfigError("its description has no version")
    if content["version"] != VERSION:
        raise ConfigError(
            f"it is written in version {content['version']}, and this qmoe reads version {VERSION}: read it with the qmoe "
            "that wrote it, or a newer one"
        )
    for key in content:
        if key not in _PARTS:
            raise ConfigError(f"its description has the unknown key {key!r}{did_you_mean(key, _PARTS)}")
    return content


def _read(file: Any, content: dict[str, Any]) -> nn.Module:
    """The module of an open file, on the CPU."""
    names = list(file.keys())
    there = {name: file.get_slice(name) for name in names}
    shapes = {name: tuple(part.get_shape()) for name, part in there.items()}
    # A file on disk stays mapped behind its tensors, so they are copied.
    config = {name: file.get_tensor(name).clone() for name in names if name.startswith(CONFIG_TENSOR)}
    module = decode_module(content["module"], config, sum(torch.Size(shape).numel() for shape in shapes.values()))
    wanted = _shapes(module)
    for name in [*wanted, *(name for name in names if name not in config)]:
        if wanted.get(name) != shapes.get(name):
            raise ConfigError(
                f"{name} has the shape {shapes.get(name)} in the file, and {wanted.get(name)} by its description"
            )
    state = {name: file.get_tensor(name).clone() for name in wanted}
    _fill(module, state)
    parameters = dict(module.named_parameters())
    for name in content["frozen"]:
        parameters[name].requires_grad_(False)
    parts = dict(module.named_modules())
    training = content["training"]
    if not isinstance(training, list) or not set(training) <= parts.keys():
        raise ConfigError("it says of modules that there are not that they train")
    for name, part in parts.items():
        part.training = name in training
    return module


def _fill(module: nn.Module, state: dict[str, Tensor]) -> None:
    """Gives a module without memory the tensors of a file."""
    own = module.state_dict()
    for name, value in {**own, **dict(module.named_buffers())}.items():
        if state[name].is_floating_point() != value.is_floating_point():
            raise ConfigError(f"{name} is {state[name].dtype} in the file, and numbers like {value.dtype} belong there")
    module.load_state_dict({name: value for name, value in state.items() if name in own}, assign=True)
    for name, value in state.items():
        if name not in own:
            parent, _, last = name.rpartition(".")
            module.get_submodule(parent).register_buffer(last, value, persistent=False)


def _remedy(module: object) -> str:
    inner = getattr(module, "module_", None)
    if isinstance(inner, nn.Module):
        return ". Save its module_; joblib keeps an estimator of scikit-learn whole."
    return "; of a circuit, Circuit.to_dict gives plain data."


def _refused(path: str | Path, error: Exception) -> ConfigError:
    reason = " ".join(visible(str(error)).split()).rstrip(".")
    return ConfigError(f"{path} cannot be loaded: {reason}.")


def _broken(path: str | Path, error: Exception) -> ConfigError:
    reason = " ".join(visible(str(error)).split())[:300] or type(error).__name__
    return ConfigError(
        f"{path} cannot be loaded: it is broken, was cut short or changed ({reason}). Copy it anew, or save it again."
    )
