"""The contract that every model passes, shipped to whoever writes one: `check_model(MyModel)`."""

from fairway.testing.contract import Check, ContractError, applicable, check_model, contract

__all__ = ["Check", "ContractError", "applicable", "check_model", "contract"]
