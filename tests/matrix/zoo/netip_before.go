// SPDX-License-Identifier: Apache-2.0

//go:build !go1.18
// +build !go1.18

package main

import "reflect"

func spokenSince(v reflect.Value) (text string, ok bool) { return "", false }
