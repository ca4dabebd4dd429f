"""What of the main loop's result holds over training seeds, precisions and ways of teaching?"""
