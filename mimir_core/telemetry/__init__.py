"""Sources of telemetry become signals: redacted, typed, with their origin."""
