"""Study what makes calibration tuning work: labels, divergence, answers, question forms."""
