// SPDX-License-Identifier: Apache-2.0

//go:build go1.23
// +build go1.23

package main

// Handles of netip.Addr point to what tells IPv4 and IPv6 apart.
const newHandles = true
