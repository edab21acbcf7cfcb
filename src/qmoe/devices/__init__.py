"""Would a router survive on a real device? Trained clean, evaluated with the noise of snapshots, judged."""

from qmoe.devices.device_runs import DEVICES, TrainedModel, trained_models
from qmoe.devices.device_table import DeviceRow, DeviceTable, check_asked, device_table

__all__ = ["DEVICES", "DeviceRow", "DeviceTable", "TrainedModel", "check_asked", "device_table", "trained_models"]
