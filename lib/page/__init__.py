"""The parts of the rendered page: text, formulas, outputs, the check that nothing is loaded, template, style."""
