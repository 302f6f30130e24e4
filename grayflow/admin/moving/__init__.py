"""Moving in from other flag systems, and out to flagd."""

from grayflow.admin.moving.remarks import Moved, Remark
from grayflow.admin.moving.to_flagd import Exported, to_flagd
from grayflow.admin.moving.translating import translate

__all__ = ["Exported", "Moved", "Remark", "to_flagd", "translate"]
