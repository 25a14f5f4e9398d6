// SPDX-License-Identifier: Apache-2.0

//go:build !go1.23
// +build !go1.23

package main

// Up to Go 1.22 only an address tells IPv4 and IPv6 apart, which the tracer does not know.
const newHandles = false
