"""What the run file says of a fit as a whole."""

import platform

import torch

import relume
from relume.runs.records import RunInfo
from relume.training.job import Job
from relume.training.several import described_targets


def run_info(job: Job) -> RunInfo:
    """Return what the run file says of a fit before its first step."""
    data, settings = job.data, job.settings
    described = described_targets(data.preprocessing.targets)
    return RunInfo(
        kind="fit",
        status="running",
        settings=settings.to_json(),
        data={
            "name": data.name,
            "task": described["task"],
            "target": described["target"],
            "rows": {
                "train": len(data.train.y),
                "validation": len(data.validation.y),
                "test": len(data.test.y),
            },
            "features": len(data.preprocessing.features),
            "classes": described["classes"],
            "notes": list(data.notes),
            "fingerprint": data.fingerprint,
        },
        environment={
            "relume": relume.__version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "device": str(job.device),
            "threads": torch.get_num_threads(),
        },
    )
