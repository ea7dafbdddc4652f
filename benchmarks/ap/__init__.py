"""YouTube-VIS average precision with intervals over videos."""
