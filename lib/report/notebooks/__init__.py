"""What the notebooks call: parameters, what each part of a run or of the paper displays, curves that live."""
