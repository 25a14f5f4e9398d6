// SPDX-License-Identifier: Apache-2.0

//go:build !go1.20
// +build !go1.20

package main

import "fmt"

func joined(errs ...error) error { return errs[1] }

func both(a, b error) error { return fmt.Errorf("one: %w", b) }
