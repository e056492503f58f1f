"""The parts of gear's constants that Torii uses; gear fills them in at import, where no checker sees them."""

REQ: bytes
RES: bytes
CAN_DO: int
CANT_DO: int
RESET_ABILITIES: int
PRE_SLEEP: int
NOOP: int
SUBMIT_JOB: int
JOB_CREATED: int
GRAB_JOB: int
NO_JOB: int
JOB_ASSIGN: int
WORK_STATUS: int
WORK_COMPLETE: int
WORK_FAIL: int
GET_STATUS: int
ECHO_REQ: int
ECHO_RES: int
SUBMIT_JOB_BG: int
ERROR: int
STATUS_RES: int
SUBMIT_JOB_HIGH: int
SET_CLIENT_ID: int
WORK_EXCEPTION: int
OPTION_REQ: int
OPTION_RES: int
WORK_DATA: int
WORK_WARNING: int
GRAB_JOB_UNIQ: int
JOB_ASSIGN_UNIQ: int
SUBMIT_JOB_LOW: int
types: dict[int, str]
