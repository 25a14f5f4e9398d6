# SPDX-License-Identifier: Apache-2.0
"""Requests of services as spans and metrics, by rules that are data.

rules/       a module for each library: which functions, which expressions, which fields of a span
check        which rules fit a program, and why the others do not
probes       the probes of one executable, and its events
engine       events → spans: what belongs together
semconv      spans → names and attributes of OpenTelemetry's conventions;  privacy: what is not shown
metrics      sums of durations, bounded;  table · lines · prometheus · otlp: where they go
run          all of it, from start to end
"""
