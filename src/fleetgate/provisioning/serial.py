"""Which value of a request is the serial number that a claim's list is held against.

A list is worth as much as the bond between a serial number on it and the thing that is made: a value that the template
does not use, or uses elsewhere, is a device's mere word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fleetgate.errors import AccessDenied
from fleetgate.registry.claims import REFUSED
from fleetgate.template.document import Document
from fleetgate.template.requirements import naming_parameters

SERIAL_PARAMETERS: Final = ("SerialNumber", "serialNumber", "DeviceSerial", "deviceId")
"""What templates call a serial number."""


def serial_of(document: Document, parameters: Mapping[str, str], thing_name: str | None) -> str:
    """The value of the one of SERIAL_PARAMETERS that names the thing (as sent, or its Default), else the thing's name.

    Where several of them name the thing and differ, only the thing's name says all. Raises AccessDenied, with the
    `reason` for the audit trail, where the template makes no thing, or names it without the serial number it declares.
    """
    if thing_name is None:
        raise _refused("the template makes no thing that a serial number could be bound to.")
    naming = naming_parameters(document)
    declared = [name for name in SERIAL_PARAMETERS if name in document.parameters]
    used = [name for name in declared if name in naming]
    if declared and not used:
        raise _refused(
            f"the template names things without the parameter {declared[0]}, so a listed serial number would make a "
            "thing of any name. Let the thing's name follow from the serial number."
        )
    values = {parameters.get(name, document.parameters[name]) for name in used}
    only = values.pop() if len(values) == 1 else None
    return thing_name if only is None else only


def _refused(why: str) -> AccessDenied:
    return AccessDenied(REFUSED, reason=f"The claim lists serial numbers, and {why}")
