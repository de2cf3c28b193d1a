"""The files of a run directory: written atomically, fingerprinted, and gathered into the record of a finished run.

`files` writes and reads, `manifest` holds what is read later against what was written, `record` claims a directory and
writes record.json, `environment` describes the machine and the installed versions, `tracking` copies numbers to
TensorBoard or W&B.
"""

from bias_intervene.record.environment import describe_environment
from bias_intervene.record.files import (
    append_line,
    exact_file_state,
    file_state,
    fingerprint,
    json_text,
    read_json,
    read_lines,
    settle_folder,
    sha256_of_file,
    whole_folder,
    write_bytes,
    write_json,
)
from bias_intervene.record.manifest import first_altered, is_as_made, keep_as_made, made_once, write_manifest
from bias_intervene.record.record import (
    ATTEMPTS,
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
    "ATTEMPTS",
    "SCHEMA",
    "STAGES",
    "append_line",
    "by_content",
    "describe_environment",
    "differences",
    "equal_checkpoints",
    "exact_file_state",
    "file_state",
    "fingerprint",
    "first_altered",
    "flatten",
    "gather",
    "has_effect",
    "is_as_made",
    "is_complete",
    "is_complete_run_of",
    "json_text",
    "keep_as_made",
    "made_once",
    "open_run",
    "read_json",
    "read_lines",
    "settle_folder",
    "sha256_of_file",
    "whole_folder",
    "without_home",
    "write_bytes",
    "write_json",
    "write_manifest",
    "write_no_results",
    "write_record",
]
