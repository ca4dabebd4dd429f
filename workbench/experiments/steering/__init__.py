"""Steer a finished run's base model along its probe's direction."""
