"""The parts of the rendered page: text, formulas, outputs, the check for loads, template and style."""
