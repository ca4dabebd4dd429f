"""What every setting must be, how a settings file is read, and how its faults are said."""
