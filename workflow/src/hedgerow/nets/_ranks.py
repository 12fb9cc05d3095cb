"""Several processes that train one network: each has a device of its own and a part of each batch.

`launch` starts them as ``torchrun`` does, by its own engine; what runs under ``torchrun`` already is taken as it is.
"""

import contextlib
import os
import sys
import uuid

import numpy as np
import torch
from torch import distributed
from torch.nn.parallel import DistributedDataParallel


def place(device):
    """Number of this process, number of all, and its device (``cuda:1``), by the process group if there is one."""
    if not distributed.is_initialized():
        return 0, 1, device
    if device.startswith("cuda"):
        device = f"cuda:{torch.cuda.current_device()}"
    return distributed.get_rank(), distributed.get_world_size(), device


def shared(net, device, unused=False):
    """`net` with gradients that are averaged over the processes; as it is where there is one only.

    `unused`: it may have parameters that play no part in a step, which costs a look at each step's graph.
    """
    if not distributed.is_initialized() or distributed.get_world_size() == 1:
        return net
    ids = [device] if device.startswith("cuda") else None
    return DistributedDataParallel(net, device_ids=ids, find_unused_parameters=unused)


def agree(net):
    """Give all processes what the first one's network keeps beside its weights: running means of a normalisation."""
    if distributed.is_initialized():
        for buffer in net.buffers():
            distributed.broadcast(buffer, 0)


def total(value):
    """Sum of a tensor over the processes."""
    if distributed.is_initialized():
        value = value.clone()
        distributed.all_reduce(value)
    return value


def gathered(own, lengths, columns):
    """Rows of all processes in the order of their batches, of which each process has every so many.

    Parameters
    ----------
    own : torch.Tensor (rows, columns)
        Of the batches that are this process's, one after the other.
    lengths : list of int
        Rows of all batches.
    columns : int
    """
    if not distributed.is_initialized():
        return own
    world = distributed.get_world_size()
    counts = [sum(lengths[rank::world]) for rank in range(world)]
    padded = own.new_zeros(max(counts, default=0), columns)
    padded[: len(own)] = own
    parts = [torch.zeros_like(padded) for _ in range(world)]
    distributed.all_gather(parts, padded)
    blocks = [part[:count].split(lengths[rank::world]) for rank, (part, count) in enumerate(zip(parts, counts))]
    return torch.cat([blocks[number % world][number // world] for number in range(len(lengths))])


def launch(function, job, world, device):
    """Result of ``function(**job)`` of the first of `world` processes, tensors on the CPU.

    Parameters
    ----------
    function : callable
        Importable by its name.
    job : dict
        Its keywords; they are pickled, and nothing in them may be defined in the script that runs.
    world : int
    device : str
        ``"cuda"``: each process has the GPU of its number; ``"cpu"``.

    Raises
    ------
    ValueError
        Fewer GPUs than processes; or what the first process to fail has raised, if that was a ValueError.
    RuntimeError
        Another fault of a process.
    """
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    if device.startswith("cuda") and torch.cuda.device_count() < world:
        raise ValueError(f"{world} processes need a GPU each, and {torch.cuda.device_count()} are visible")
    config = LaunchConfig(
        min_nodes=1, max_nodes=1, nproc_per_node=world, run_id=uuid.uuid4().hex, rdzv_backend="c10d",
        rdzv_endpoint="localhost:0", local_addr="localhost", max_restarts=0, monitor_interval=0.1,
    )  # fmt: skip
    try:
        with _without_script():
            found = elastic_launch(config, _rank)(function, job, device)
    except ChildFailedError as error:
        raise RuntimeError(f"a process of the training failed: {error}") from None
    done, refused = found[0]
    if refused:
        raise refused
    weights, *others = done
    return {name: torch.from_numpy(value) for name, value in weights.items()}, *others


@contextlib.contextmanager
def _without_script():
    """Processes that are started do not run the script again: a rule's script is no module that could be imported."""
    main = sys.modules["__main__"]
    kept = {name: vars(main)[name] for name in ("__file__", "__spec__") if name in vars(main)}
    try:
        main.__spec__ = None
        if "__file__" in kept:
            del main.__file__
        yield
    finally:
        vars(main).update(kept)


def _rank(function, job, device):
    """What each process does."""
    if device.startswith("cuda"):
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    distributed.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    try:
        done = function(**job)
    except ValueError as error:
        return None, error
    finally:
        distributed.destroy_process_group()
    return (_plain(done), None) if os.environ["RANK"] == "0" else (None, None)


def _plain(done):
    """Without memory that is shared with a process about to end."""
    weights, *others = done
    return {name: np.array(value) for name, value in weights.items()}, *others
