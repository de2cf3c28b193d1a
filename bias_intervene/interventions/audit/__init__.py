"""What an intervention changed: `audit` counts it and keeps samples, `page` shows it to people."""

from bias_intervene.interventions.audit.audit import Audit, ChangedRow
from bias_intervene.interventions.audit.page import audit_page

__all__ = ["Audit", "ChangedRow", "audit_page"]
