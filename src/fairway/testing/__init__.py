"""The contracts, shipped to whoever writes a model or a kernel: `check_model(MyModel)`, `check_kernel(MyKernel())`."""

from fairway.testing.contract import Check, ContractError, applicable, check_model, contract
from fairway.testing.stationarity import Known, check_kernel, stationarity

__all__ = ["Check", "ContractError", "Known", "applicable", "check_kernel", "check_model", "contract", "stationarity"]
