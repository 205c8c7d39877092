"""Traces and metrics for OpenTelemetry. The rest of the code uses `spans`; `export` sends."""
