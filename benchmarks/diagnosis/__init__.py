"""Why an AP is what it is: tracking figures, lost AP by cause, and AP of parts of the tracks."""
