"""The files of a run directory: written atomically, fingerprinted, and gathered into the record of a finished run.

`files` writes and reads, `form` checks what was read, `record` claims a directory and writes record.json, `environment`
describes the machine and the installed versions, `tracking` copies numbers to TensorBoard or W&B.
"""

from bias_intervene.record.environment import describe_environment
from bias_intervene.record.files import (
    append_line,
    fingerprint,
    read_json,
    read_lines,
    settle_folder,
    sha256_of_file,
    whole_folder,
    write_bytes,
    write_json,
)
from bias_intervene.record.form import FingerprintsForm, RecordForm, ResultsForm, check_form
from bias_intervene.record.record import (
    SCHEMA,
    STAGES,
    by_content,
    differences,
    equal_checkpoints,
    flatten,
    gather,
    has_effect,
    is_complete,
    is_complete_run_of,
    open_run,
    without_home,
    write_no_results,
    write_record,
)

__all__ = [
    "SCHEMA",
    "STAGES",
    "FingerprintsForm",
    "RecordForm",
    "ResultsForm",
    "append_line",
    "by_content",
    "check_form",
    "describe_environment",
    "differences",
    "equal_checkpoints",
    "fingerprint",
    "flatten",
    "gather",
    "has_effect",
    "is_complete",
    "is_complete_run_of",
    "open_run",
    "read_json",
    "read_lines",
    "settle_folder",
    "sha256_of_file",
    "whole_folder",
    "without_home",
    "write_bytes",
    "write_json",
    "write_no_results",
    "write_record",
]
