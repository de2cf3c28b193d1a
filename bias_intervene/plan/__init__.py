"""Settings -> what will run."""

from bias_intervene.plan.history import History, history
from bias_intervene.plan.plan import Plan, checkpoints_between, make_plan, rows_of_step
from bias_intervene.plan.schedule import Schedule
from bias_intervene.plan.seeds import draws_from_seed
from bias_intervene.plan.table import plan_table

__all__ = [
    "History",
    "Plan",
    "Schedule",
    "checkpoints_between",
    "draws_from_seed",
    "history",
    "make_plan",
    "plan_table",
    "rows_of_step",
]
