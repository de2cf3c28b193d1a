"""The worker processes, one module per stage; `python -m bias_intervene.stages STAGE RUN_DIR` runs one."""
